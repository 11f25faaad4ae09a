"""VLAD: residuals of local descriptors from visual words, summed over an image."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import torch

from skdpnet.encodings.local_encoder import LocalEncoder
from skdpnet.encodings.pyramid import Levels
from skdpnet.encodings.residuals import encode_residuals
from skdpnet.images.framing import AUTO
from skdpnet.utils.validation import Number

__all__ = ["VLAD"]


class VLAD(LocalEncoder):
    """Describe images by the residuals of their local descriptors from visual words.

    A vector of locally aggregated descriptors [1]_. The cells of the feature maps are
    local descriptors. `fit` learns their principal axes and clusters them into visual
    words, without labels. Of an image, the differences of the descriptors from their
    nearest words are summed, word by word; the sums, normalised as in [2]_, are its
    encoding. Together with dense SIFT and a linear classifier this is image
    classification as it was before convolutional networks; on the maps of a network it
    is a descriptor that, unlike the average, keeps apart what different cells show.

    Parameters
    ----------
    backbone : str, torch.nn.Module or callable, default="dense_sift"
        As in `FeatureMaps`; ``"precomputed"`` takes maps n×H×W×D, regions n×R×D,
        features n×D or several maps in place of images.
    weights, strides, image_size, framing, memory, device, precision, num_workers, \
            verbose
        As in `FeatureMaps`.
    n_words : int, default=64
        K, the visual words of a vocabulary; fewer where the sample has fewer distinct
        descriptors.
    n_components : int or None, default=80
        The principal axes to which descriptors are reduced, of nearly equal variances
        afterwards; fewer where the sample spans fewer. None: descriptors stay as
        they are.
    pyramid : sequence of (rows, columns), default=None
        Levels of a spatial pyramid. Each cuts the image into cells, which are encoded
        separately: ``((1, 1), (2, 2), (3, 1))`` into the whole, quarters, and three
        bands one above the other. None: the whole image, ``((1, 1),)``. For
        ``framing="aspect"`` an image ends at its last cells that are not zero.
    power : float in (0, 1], default=0.5
        Exponent of the residuals' absolute values; their signs stay. It damps
        descriptors that appear many times. 1: none.
    intra_normalisation : bool, default=True
        Whether the residuals of each word are l2-normalised, so that no word outweighs
        the others.
    n_samples : int, default=100_000
        Local descriptors that a vocabulary is learned from, drawn at random.
    random_state : int, RandomState or None, default=None
        Draws the descriptors, and starts k-means.

    Attributes
    ----------
    whitenings_ : list of Whitening
        For each vocabulary, the projection of descriptors from D dimensions to K'.
    words_ : list of float32 ndarray of shape (K, K')
        The visual words of each vocabulary.
    map_shapes_ : tuple of tuples
        Shape of each map of an image.
    n_features_in_ : int
        D, for ``backbone="precomputed"`` only.

    See Also
    --------
    GlobalFeatures : The average of the maps.
    skdpnet.backbones.DenseSIFT : Dense SIFT of other settings.

    Notes
    -----
    Maps of one shape, as those of dense SIFT are, share a vocabulary, and are summed
    into one encoding; every other map has a vocabulary and an encoding of its own.

    Descriptors are l2-normalised, and those of zero are left out: dense SIFT has them
    where an image shows no contrast. Projection, in which axis i of variance λ_i is
    divided by √(λ_i + 0.01 λ_1) and the descriptor normalised again, and the order
    of the normalisations (power, words, whole) are those of VLFeat's recipe [3]_.
    The encodings of cells and of vocabularies are l2-normalised before they are joined
    and after.

    In memory are, beside the encodings, the sample and the maps of some images.

    References
    ----------
    .. [1] H. Jégou, M. Douze, C. Schmid, P. Pérez, "Aggregating local descriptors into
       a compact image representation", CVPR 2010.
    .. [2] R. Arandjelović, A. Zisserman, "All about VLAD", CVPR 2013.
    .. [3] A. Vedaldi, B. Fulkerson, "VLFeat: an open and portable library of computer
       vision algorithms", 2008, ``apps/recognition``.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import VLAD
    >>> maps = np.random.default_rng(0).random((10, 6, 6, 16))
    >>> vlad = VLAD(
    ...     "precomputed", n_words=4, n_components=8, pyramid=((1, 1), (2, 2)),
    ...     random_state=0,
    ... )
    >>> vlad.fit_transform(maps).shape
    (10, 160)
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LocalEncoder._parameter_constraints,
        "power": [Number(0, above=True, at_most=1)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *LocalEncoder._fitted_attributes,
        "words_",
    )

    def __init__(
        self,
        backbone: str | Callable = "dense_sift",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = None,
        image_size: int | None = None,
        framing: str = AUTO,
        n_words: int = 64,
        n_components: int | None = 80,
        pyramid: Levels | None = None,
        power: float = 0.5,
        intra_normalisation: bool = True,
        n_samples: int = 100_000,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int | str = "auto",
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(
            backbone,
            weights=weights,
            strides=strides,
            image_size=image_size,
            framing=framing,
            n_words=n_words,
            n_components=n_components,
            pyramid=pyramid,
            n_samples=n_samples,
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
            random_state=random_state,
        )
        self.power = power
        self.intra_normalisation = intra_normalisation

    def _encode_cells(
        self,
        descriptors: torch.Tensor,
        valid: torch.Tensor,
        vocabulary: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:
        (words,) = vocabulary
        return encode_residuals(
            descriptors,
            words,
            valid,
            levels=self._levels(),
            power=self.power,
            intra_normalisation=self.intra_normalisation,
        )

    def _length_of_cell(self, n_words: int, depth: int) -> int:
        return n_words * depth
