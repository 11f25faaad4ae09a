"""The base class of estimators that encode the local descriptors of an image."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    n_cells,
)
from skdpnet.encodings.vocabulary import (
    DescriptorSample,
    learn_words,
    principal_axes,
    project,
)
from skdpnet.images.framing import AUTO
from skdpnet.persistence.checks import check_array, check_whitenings
from skdpnet.regions.extents import extents
from skdpnet.regions.whitening import Whitening
from skdpnet.utils.batching import slices_within
from skdpnet.utils.devices import resolve_device
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import Number, check_parameters

__all__ = ["LocalEncoder"]

# Descriptors, and their similarities to the words, of this many bytes are held at once.
_PIECE_BYTES = 64 * 2**20
# Numbers of an encoding of a model that is saved: 64 MB for each image.
_MOST_FEATURES = 2**24


class LocalEncoder(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, MapEstimator, ABC
):
    """Base of the estimators that encode local descriptors by visual words.

    The cells of the feature maps are local descriptors. `fit` draws a sample of them,
    image by image, and learns from it, without labels, a projection and a vocabulary:
    one for all maps of one shape. `transform` encodes the descriptors of each cell of
    a spatial pyramid.

    A subclass implements `_encode_cells` and `_length_of_cell`, and may override
    `_join`. One whose vocabulary is not visual words overrides `_learn` and
    `_check_vocabulary` too, and names its arrays in `_vocabulary_attributes`.

    Parameters
    ----------
    backbone, weights, strides, image_size, framing, memory, device, precision, \
            num_workers, verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D, features n×D or several maps in place of images.
    n_words : int
        K, the visual words of a vocabulary.
    n_components : int or None
        The principal axes to which descriptors are reduced. None: they stay as they
        are.
    pyramid : sequence of (rows, columns) or None
        Levels of a spatial pyramid; None: the whole image.
    n_samples : int
        Local descriptors that a vocabulary is learned from.
    random_state : int, RandomState or None

    Attributes
    ----------
    whitenings_ : list of Whitening
        For each vocabulary, the projection of descriptors from D dimensions to K'.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **MapEstimator._parameter_constraints,
        "n_words": [Number(1, whole=True)],
        "n_components": [Number(1, whole=True), None],
        "pyramid": [PyramidLevels(), None],
        "n_samples": [Number(1, whole=True)],
    }
    # Whether descriptors are whitened and normalised again, or only rotated.
    _whitens: ClassVar[bool] = True
    # Lists with an array for each vocabulary; those of the first are (K, K').
    _vocabulary_attributes: ClassVar[tuple[str, ...]] = ("words_",)

    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *MapEstimator._fitted_attributes,
        "whitenings_",
        "_n_features_out",
    )

    whitenings_: list[Whitening]

    def __init__(
        self,
        backbone: str | Callable = "dense_sift",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = None,
        image_size: int | None = None,
        framing: str = AUTO,
        n_words: int = 64,
        n_components: int | None = None,
        pyramid: Levels | None = None,
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
        self.n_samples = n_samples
        self.random_state = random_state

    def _learn(
        self, sample: np.ndarray, random_state: np.random.RandomState
    ) -> tuple[np.ndarray, ...]:
        """Learn a vocabulary from projected descriptors (m, K'): here, visual words.

        Returns
        -------
        tuple of float32 ndarray
            An array for each of `_vocabulary_attributes`.
        """
        return (learn_words(sample, self.n_words, random_state),)

    @abstractmethod
    def _encode_cells(
        self,
        descriptors: torch.Tensor,
        valid: torch.Tensor,
        vocabulary: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:
        """Encode the cells of the pyramid.

        Parameters
        ----------
        descriptors : tensor of shape (n, H, W, M, K')
            Projected descriptors of n images, M at each place.
        valid : bool tensor of shape (n, H, W, M)
            Whether a descriptor counts: those of no contrast do not.
        vocabulary : tuple of tensor
            What `_learn` returned.

        Returns
        -------
        tensor of shape (n, n_cells, L)
        """

    @abstractmethod
    def _length_of_cell(self, n_words: int, depth: int) -> int:
        """Return L, the numbers of a cell in what `transform` returns."""

    def _join(self, blocks: list[torch.Tensor]) -> torch.Tensor:
        """Join the encodings (n, n_cells, L) of each vocabulary to unit rows."""
        return normalize(
            torch.cat([normalize(block.flatten(1), dim=1) for block in blocks], dim=1),
            dim=1,
        )

    @in_usual_torch_state
    def fit(self, X, y=None) -> LocalEncoder:
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
        whitenings, learned = [], []
        for sample in samples:
            descriptors = sample.descriptors()
            whitening = principal_axes(
                descriptors, self.n_components, whiten=self._whitens
            )
            projected = self._project(torch.from_numpy(descriptors), whitening)
            whitenings.append(whitening)
            learned.append(self._learn(projected.numpy(), random))
        self.whitenings_ = whitenings
        for name, arrays in zip(
            self._vocabulary_attributes, zip(*learned, strict=True), strict=True
        ):
            setattr(self, name, list(arrays))
        self._n_features_out = self._length(self._each(vars(self)))
        return self

    def _project(self, descriptors: torch.Tensor, whitening: Whitening) -> torch.Tensor:
        return project(descriptors, whitening, renormalise=self._whitens)

    def _each(self, state: Mapping[str, Any]) -> list[tuple[np.ndarray, ...]]:
        """Return the arrays of each vocabulary."""
        lists = [state[name] for name in self._vocabulary_attributes]
        return list(zip(*lists, strict=True))

    def transform(self, X) -> np.ndarray:
        """Encode images.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``

        Returns
        -------
        float32 ndarray of shape (n, L)
            For each vocabulary and cell of the pyramid, the encoding that the class's
            docstring defines. An image without contrast has a row of zeros.

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
        encodings, vocabularies = [], self._each(vars(self))
        for images in slices_within(
            len(maps[0]), self._bytes_per_image(vocabularies), _PIECE_BYTES
        ):
            each = zip(
                self._vocabularies(), self.whitenings_, vocabularies, strict=True
            )
            blocks = [
                self._encode_by(
                    np.stack([maps[i][images] for i in members], axis=3),
                    whitening,
                    tuple(torch.from_numpy(array).to(device) for array in arrays),
                    device,
                )
                for members, whitening, arrays in each
            ]
            encodings.append(self._join(blocks).cpu().numpy())
        return np.concatenate(encodings)

    def _encode_by(
        self,
        descriptors: np.ndarray,
        whitening: Whitening,
        vocabulary: tuple[torch.Tensor, ...],
        device: torch.device,
    ) -> torch.Tensor:
        """Encode descriptors (n', H, W, M, D) by one vocabulary, (n', n_cells, L)."""
        raw = torch.from_numpy(descriptors).to(device).float()
        projected, valid = self._project(normalize(raw, dim=4), whitening), raw.any(4)
        out = torch.empty(0)
        for images, (height, width) in self._same_extents(descriptors):
            encodings = self._encode_cells(
                projected[images, :height, :width],
                valid[images, :height, :width],
                vocabulary,
            )
            if len(images) == len(raw):
                return encodings
            if len(out) == 0:
                out = encodings.new_empty((len(raw), *encodings.shape[1:]))
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

    def _length(self, vocabularies: list[tuple[np.ndarray, ...]]) -> int:
        """Return the numbers of an encoding."""
        lengths = [self._length_of_cell(*arrays[0].shape) for arrays in vocabularies]
        return n_cells(self._levels()) * sum(lengths)

    def _bytes_per_image(self, vocabularies: list[tuple[np.ndarray, ...]]) -> int:
        n_bytes = 0
        for members, arrays in zip(self._vocabularies(), vocabularies, strict=True):
            shape = self.map_shapes_[members[0]]
            n_descriptors = len(members) * int(np.prod(shape[:-1]))
            n_bytes += 4 * n_descriptors * (shape[-1] + sum(arrays[0].shape))
        return n_bytes

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        check_parameters(self)
        check_fit(self._levels(), state["map_shapes_"])
        shapes = tuple(dict.fromkeys(state["map_shapes_"]))
        depths = check_whitenings(state["whitenings_"], shapes)
        for name in self._vocabulary_attributes:
            arrays = state[name]
            if not isinstance(arrays, list) or len(arrays) != len(depths):
                raise ValueError(f"{name} does not hold {len(depths)} vocabularies")
        vocabularies = self._each(state)
        for arrays, depth in zip(vocabularies, depths, strict=True):
            self._check_vocabulary(arrays, depth)
        n_features = state["_n_features_out"]
        if type(n_features) is not int or n_features != self._length(vocabularies):
            raise ValueError("_n_features_out is not the length of an encoding")
        if n_features > _MOST_FEATURES:
            raise ValueError(f"an encoding has {n_features} numbers")

    def _check_vocabulary(self, arrays: tuple[Any, ...], depth: int) -> None:
        """Check the arrays of one vocabulary; a subclass with others overrides it."""
        (words,) = arrays
        check_array("words_", words, (len(words), depth))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_n_features_out")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
