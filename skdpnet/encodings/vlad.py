"""VLAD: residuals of local descriptors from visual words, summed over an image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from torch.nn.functional import normalize

from skdpnet.base.map_estimator import MapEstimator
from skdpnet.encodings.pyramid import (
    WHOLE_IMAGE,
    Levels,
    PyramidLevels,
    check_fit,
)
from skdpnet.encodings.residuals import encode_residuals
from skdpnet.encodings.vocabulary import (
    DescriptorSample,
    learn_words,
    project,
    regularised_whitening,
)
from skdpnet.images.framing import AUTO
from skdpnet.persistence.checks import check_array, check_whitenings
from skdpnet.regions.extents import extents
from skdpnet.regions.whitening import Whitening
from skdpnet.utils.batching import slices_within
from skdpnet.utils.devices import resolve_device
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import Number, check_parameters

__all__ = ["VLAD"]

# Descriptors, and their similarities to the words, of this many bytes are held at once.
_PIECE_BYTES = 64 * 2**20
# Numbers of an encoding of a model that is saved: 64 MB for each image.
_MOST_FEATURES = 2**24


class VLAD(ClassNamePrefixFeaturesOutMixin, TransformerMixin, MapEstimator):
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
        **MapEstimator._parameter_constraints,
        "n_words": [Number(1, whole=True)],
        "n_components": [Number(1, whole=True), None],
        "pyramid": [PyramidLevels(), None],
        "power": [Number(0, above=True, at_most=1)],
        "n_samples": [Number(1, whole=True)],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *MapEstimator._fitted_attributes,
        "whitenings_",
        "words_",
        "_n_features_out",
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
            memory=memory,
            device=device,
            precision=precision,
            num_workers=num_workers,
            verbose=verbose,
        )
        self.n_words = n_words
        self.n_components = n_components
        self.pyramid = pyramid
        self.power = power
        self.intra_normalisation = intra_normalisation
        self.n_samples = n_samples
        self.random_state = random_state

    @in_usual_torch_state
    def fit(self, X, y=None) -> VLAD:
        """Learn the vocabularies.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For unusable parameters or data; the message names what and why.
        skdpnet.images.ImageError
            Names the first item of X that is no readable image.
        """
        self._reset()
        check_parameters(self)
        random = check_random_state(self.random_state)
        samples: list[DescriptorSample] = []
        for maps in self._iter_fit_maps(X):
            if not samples:
                check_fit(self._levels(), self.map_shapes_)
                samples = [
                    DescriptorSample(self.n_samples, random)
                    for _ in self._vocabularies()
                ]
            for sample, members in zip(samples, self._vocabularies(), strict=True):
                # Image by image, so that the sample is the same for pieces of any size.
                for image in zip(*(maps[i] for i in members), strict=True):
                    for feature_map in image:
                        sample.add(feature_map.reshape(-1, feature_map.shape[-1]))
        whitenings, words = [], []
        for sample in samples:
            descriptors = sample.descriptors()
            whitening = regularised_whitening(descriptors, self.n_components)
            projected = project(torch.from_numpy(descriptors), whitening).numpy()
            whitenings.append(whitening)
            words.append(learn_words(projected, self.n_words, random))
        self.whitenings_, self.words_ = whitenings, words
        self._n_features_out = self._length(self.words_)
        return self

    def transform(self, X) -> np.ndarray:
        """Encode images.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``

        Returns
        -------
        float32 ndarray of shape (n, L)
            Unit rows: for each vocabulary and cell of the pyramid, the residuals word
            by word. ``L = n_cells * K * K'``, summed over the vocabularies. An image
            without contrast has a row of zeros.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If the maps of X have other shapes than in `fit`, or X is unusable.
        skdpnet.images.ImageError
            Names the first item of X that is no readable image.
        """
        pieces = self.iter_maps(X)
        device = resolve_device(self.device)
        return np.concatenate([self._encode(maps, device) for maps in pieces])

    @in_usual_torch_state
    def _encode(self, maps: list[np.ndarray], device: torch.device) -> np.ndarray:
        """Encode some images, (n', L)."""
        encodings = []
        for images in slices_within(
            len(maps[0]), self._bytes_per_image(), _PIECE_BYTES
        ):
            each = zip(self._vocabularies(), self.whitenings_, self.words_, strict=True)
            blocks = [
                self._encode_by(
                    np.stack([maps[i][images] for i in members], axis=3),
                    whitening,
                    words,
                    device,
                )
                for members, whitening, words in each
            ]
            encoding = normalize(torch.cat(blocks, dim=1), dim=1)
            encodings.append(encoding.cpu().numpy())
        return np.concatenate(encodings)

    def _encode_by(
        self,
        descriptors: np.ndarray,
        whitening: Whitening,
        words: np.ndarray,
        device: torch.device,
    ) -> torch.Tensor:
        """Encode descriptors (n', H, W, M, D) by one vocabulary."""
        raw = torch.from_numpy(descriptors).to(device).float()
        projected = project(normalize(raw, dim=4), whitening)
        valid, centres = raw.any(dim=4), torch.from_numpy(words).to(device)
        out = torch.empty(0)
        for images, (height, width) in self._same_extents(descriptors):
            encodings = encode_residuals(
                projected[images, :height, :width],
                centres,
                valid[images, :height, :width],
                levels=self._levels(),
                power=self.power,
                intra_normalisation=self.intra_normalisation,
            )
            if len(images) == len(raw):
                return encodings
            if len(out) == 0:
                out = encodings.new_empty((len(raw), encodings.shape[1]))
            out[images] = encodings
        return out

    def _same_extents(
        self, descriptors: np.ndarray
    ) -> Iterator[tuple[torch.Tensor, tuple[int, int]]]:
        """Yield the numbers of images that cover the same rows and columns, and these.

        The cells of a pyramid divide the image, not the canvas that it lies on.
        """
        n, height, width = descriptors.shape[:3]
        covered = None
        if self.pyramid is not None and self._may_have_canvas():
            covered = extents(descriptors.reshape(n, height, width, -1))
        # Some image would fill the map if it were not a canvas for several shapes.
        if covered is None or covered.min(axis=1).max() == min(height, width):
            yield torch.arange(n), (height, width)
            return
        for rows, columns in np.unique(covered, axis=0).tolist():
            same = (covered == (rows, columns)).all(axis=1)
            yield torch.from_numpy(np.flatnonzero(same)), (rows, columns)

    def _may_have_canvas(self) -> bool:
        """Whether maps may be larger than the images on them."""
        return self.is_precomputed or self.input_framing().name == "aspect"

    def _vocabularies(self) -> list[list[int]]:
        """Return the numbers of the maps that share each vocabulary."""
        members: dict[tuple[int, ...], list[int]] = {}
        for i, shape in enumerate(self.map_shapes_):
            members.setdefault(shape, []).append(i)
        return list(members.values())

    def _levels(self) -> Levels:
        return WHOLE_IMAGE if self.pyramid is None else self.pyramid

    def _length(self, words: list[np.ndarray]) -> int:
        n_cells = sum(int(rows) * int(columns) for rows, columns in self._levels())
        return n_cells * sum(one_vocabulary.size for one_vocabulary in words)

    def _bytes_per_image(self) -> int:
        n_bytes = 0
        for members, words in zip(self._vocabularies(), self.words_, strict=True):
            shape = self.map_shapes_[members[0]]
            n_descriptors = len(members) * int(np.prod(shape[:-1]))
            n_bytes += 4 * n_descriptors * (shape[-1] + sum(words.shape))
        return n_bytes

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        check_parameters(self)
        check_fit(self._levels(), state["map_shapes_"])
        shapes = tuple(dict.fromkeys(state["map_shapes_"]))
        depths = check_whitenings(state["whitenings_"], shapes)
        words = state["words_"]
        if not isinstance(words, list) or len(words) != len(depths):
            raise ValueError(f"words_ does not hold {len(depths)} vocabularies")
        for one_vocabulary, depth in zip(words, depths, strict=True):
            check_array("words_", one_vocabulary, (len(one_vocabulary), depth))
        n_features = state["_n_features_out"]
        if type(n_features) is not int or n_features != self._length(words):
            raise ValueError("_n_features_out is not the length of an encoding")
        if n_features > _MOST_FEATURES:
            raise ValueError(f"an encoding has {n_features} numbers")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "words_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
