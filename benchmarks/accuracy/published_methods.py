"""Pipelines as they were published before convolutional networks, and their figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.metrics.pairwise import linear_kernel

from skdpnet import LLC, VLAD, BagOfWords, FisherVector
from skdpnet.backbones import DenseSIFT
from skdpnet.encodings import intersection_kernel

__all__ = ["FRAMING", "IMAGE_SIZE", "PIPELINES", "Pipeline"]

# The side to which the images of scene15 at hand were reduced, so that descriptors see
# their own pixels; and whole images, which the cells of a pyramid divide.
IMAGE_SIZE, FRAMING = 224, "aspect"


@dataclass(frozen=True)
class Pipeline:
    """Local descriptors, their encoding, and the kernel of the SVM.

    Parameters
    ----------
    local : dict
        Parameters of `DenseSIFT` other than the default.
    encoding : class
        Of the estimator.
    parameters : dict
        Its parameters other than the default.
    kernel : callable, default=linear_kernel
        Takes encodings (n, L) and (m, L), and returns (n, m).
    published : str, default="–"
        Accuracy on scene15 in the source, in %, as the mean over the classes.
    """

    local: dict[str, Any]
    encoding: Callable[..., BaseEstimator]
    parameters: dict[str, Any] = field(default_factory=dict)
    kernel: Callable[..., Any] = linear_kernel
    published: str = "–"

    def estimator(self, seed: int, **extraction: Any) -> BaseEstimator:
        """Return the unfitted encoder.

        Parameters
        ----------
        seed : int
            Random state.
        **extraction
            Parameters of the maps.

        Returns
        -------
        transformer
        """
        backbone = DenseSIFT(**self.local)
        return self.encoding(
            backbone, **extraction, **self.parameters, random_state=seed
        )

    def settings(self) -> dict:
        """Return what the encodings depend on, as JSON can write it.

        Returns
        -------
        dict
        """
        return {
            "local": self.local,
            "encoding": self.encoding.__name__,
            "parameters": self.parameters,
            "kernel": self.kernel.__name__,
        }


# In the sources patches without contrast, such as those of the sky, count too.
_ALL = {"step": 8, "contrast_threshold": 0}
# Patches of 16 × 16 pixels, 8 pixels apart, with plain SIFT.
_PATCHES = {**_ALL, "bin_sizes": (4,), "root": False}
# The same without patches of low contrast: the threshold is dense SIFT's default.
_CONTRASTS = {"step": 8, "bin_sizes": (4,), "root": False}
# Patches of 16, 24, 32 and 40 pixels, with RootSIFT.
_SCALES = {**_ALL, "bin_sizes": (4, 6, 8, 10), "root": True}
# Levels 0 to 2 of Lazebnik et al., and the pyramid of VOC 2007.
_QUARTERED = ((1, 1), (2, 2), (4, 4))
_BANDS = ((1, 1), (2, 2), (3, 1))
# VLFeat learns words from 200 descriptors each.
_SAMPLES_OF_A_WORD = 200


def _words(
    n_words: int, pyramid: tuple | None, local: dict, published: str = "–"
) -> Pipeline:
    parameters = {
        "n_words": n_words,
        "pyramid": pyramid,
        "level_weights": "pyramid_match",
        "feature_map": None,
        "n_samples": _SAMPLES_OF_A_WORD * n_words,
    }
    return Pipeline(local, BagOfWords, parameters, intersection_kernel, published)


PIPELINES: dict[str, Pipeline] = {
    "200 words": _words(200, None, _PATCHES, "72.2 ± 0.6"),
    "200 words, pyramid": _words(200, _QUARTERED, _PATCHES, "81.1 ± 0.3"),
    "200 words, flat patches left out": _words(200, None, _CONTRASTS),
    "200 words, flat patches left out, pyramid": _words(200, _QUARTERED, _CONTRASTS),
    "400 words": _words(400, None, _PATCHES, "74.8 ± 0.3"),
    "400 words, pyramid": _words(400, _QUARTERED, _PATCHES, "81.4 ± 0.5"),
    "400 words, four scales, pyramid": _words(400, _QUARTERED, _SCALES),
    "LLC, pyramid": Pipeline(_SCALES, LLC, {"pyramid": _QUARTERED}),
    "VLAD": Pipeline(_SCALES, VLAD),
    "VLAD, pyramid": Pipeline(_SCALES, VLAD, {"pyramid": _BANDS}),
    "Fisher vectors": Pipeline(_SCALES, FisherVector),
    "Fisher vectors, pyramid": Pipeline(_SCALES, FisherVector, {"pyramid": _BANDS}),
}
