"""The second contract: an estimator whose descriptor has a number for each part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.map_estimator import MapEstimator
from skdpnet.persistence.checks import check_part_layout
from skdpnet.regions.grid import RegionGrid
from skdpnet.utils.batching import slices_within
from skdpnet.utils.validation import (
    Number,
    SequenceOf,
    check_classes,
    check_labels,
    check_parameters,
)

__all__ = ["PartEstimator"]

# Responses of so many bytes are held at once: a few hundred images of a few hundred
# parts.
_RESPONSE_BYTES = 128 * 2**20
_SHARE = Number(0, above=True, at_most=1)


class PartEstimator(TransformerMixin, MapEstimator, ABC):
    """Base of the estimators that describe an image by the responses of parts.

    The explanations, displays, metrics and the report need nothing else of an
    estimator than what this class names. A subclass implements `part_responses` and
    `descriptor`, and its `fit` sets the attributes below; `_begin_fit` sets all but
    `part_classes_` and `part_maps_`.

    The parts are numbered map by map: those of the first feature map come first.

    Parameters
    ----------
    region_scales : sequence of float in (0, 1]
        Sides of the square windows that are the regions, as shares of the feature
        map's shorter side. A subclass has it among its parameters.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The labels, sorted.
    part_classes_ : int ndarray of shape (P,)
        The class that each part was learned for, as an index into `classes_`; −1 for
        a part that classes share.
    part_maps_ : int ndarray of shape (P,)
        The feature map that each part responds on; it never falls from one part to
        the next.
    grids_ : list of RegionGrid
        The layout of the regions of each feature map.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **MapEstimator._parameter_constraints,
        "region_scales": [SequenceOf(_SHARE, "shares in (0, 1]")],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *MapEstimator._fitted_attributes,
        *("classes_", "part_classes_", "part_maps_", "grids_"),
    )

    region_scales: Sequence[float]
    classes_: np.ndarray
    part_classes_: np.ndarray
    part_maps_: np.ndarray
    grids_: list[RegionGrid]

    @abstractmethod
    def part_responses(self, maps: list[np.ndarray]) -> list[torch.Tensor]:
        """Compute what each part answers in each region of some images.

        Parameters
        ----------
        maps : list of ndarray of shape (n', H, W, D)
            The feature maps of n' images, as `iter_maps` yields them.

        Returns
        -------
        list of tensor of shape (n', R, P')
            For each map, the responses of the P' parts on it to its R regions, in the
            order of the parts and of the grid's regions.
        """

    @abstractmethod
    def descriptor(self, responses: list[torch.Tensor]) -> np.ndarray:
        """Compute the descriptors of images from the responses of the parts.

        Parameters
        ----------
        responses : list of tensor of shape (n', R, P')
            As `part_responses` returns them.

        Returns
        -------
        float ndarray of shape (n', P)
            One number for each part, as `transform` returns it.
        """

    @property
    def beta_(self) -> float | None:
        """β of the soft maximum over the regions; None: the maximum is hard."""
        return None

    def iter_responses(self, X) -> Iterator[list[torch.Tensor]]:
        """Iterate over the responses of the parts to X, some images at a time.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``

        Yields
        ------
        list of tensor of shape (n', R, P')
            As `part_responses` returns them, for the next n' images.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `iter_maps`.
        """
        check_is_fitted(self)
        parts_per_map = np.bincount(self.part_maps_, minlength=len(self.grids_))
        bytes_per_image = 4 * sum(
            grid.n_regions * int(n)
            for grid, n in zip(self.grids_, parts_per_map, strict=True)
        )
        for maps in self.iter_maps(X):
            for images in slices_within(len(maps[0]), bytes_per_image, _RESPONSE_BYTES):
                yield self.part_responses([one_map[images] for one_map in maps])

    def transform(self, X) -> np.ndarray:
        """Describe images by their parts.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        float ndarray of shape (n, P)
            One number for each part.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `iter_maps`.
        """
        return self._describe(self.iter_maps(X))

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Return the names of the parts: the class, and the part's number within it.

        Parts that classes share are called ``part0``, ``part1`` and so on.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        object ndarray of shape (P,)

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        check_is_fitted(self)
        n_so_far: dict[int, int] = {}
        names = []
        for label in self.part_classes_.tolist():
            number = n_so_far[label] = n_so_far.get(label, -1) + 1
            prefix = "" if label < 0 else f"{self.classes_[label]}_"
            names.append(f"{prefix}part{number}")
        return np.array(names, dtype=object)

    def _begin_fit(self, X, y) -> tuple[list[np.ndarray], np.ndarray]:
        """Check parameters and labels, and set `classes_`, `map_shapes_`, `grids_`.

        Returns
        -------
        maps : list of ndarray of shape (n, H, W, D)
        labels : int ndarray of shape (n,)
            The class of each image, as an index into `classes_`.

        Raises
        ------
        ValueError
            For unusable parameters, labels or data; the message names what and why.
        skdpnet.images.ImageError
            If an image cannot be read; the message names it.
        """
        self._reset()
        check_parameters(self)
        self.classes_, labels = check_classes(self, check_labels(self, X, y))
        maps = self._all_maps(X, reset=True)
        self.grids_ = self._region_grids()
        return maps, labels

    def _region_grids(self) -> list[RegionGrid]:
        """Lay out the regions of each of the maps that the estimator is fitted on."""
        return [_region_grid(shape, self.region_scales) for shape in self.map_shapes_]

    def _describe(self, batches: Iterable[list[np.ndarray]]) -> np.ndarray:
        """Return the descriptors (n, P) of images whose maps come some at a time."""
        return np.concatenate([self._describe_maps(maps) for maps in batches])

    def _describe_maps(self, maps: list[np.ndarray]) -> np.ndarray:
        """Return the descriptors (n', P) of some images.

        A subclass that has a faster way than by all responses overrides it.
        """
        return self.descriptor(self.part_responses(maps))

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        check_part_layout(state)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "part_maps_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _region_grid(shape: tuple[int, ...], scales: Sequence[float]) -> RegionGrid:
    if len(shape) == 3:
        return RegionGrid.from_scales(shape[0], shape[1], scales)
    # Regions that the user computed, or one vector of features for the whole image.
    n_regions = 1 if len(shape) == 1 else shape[0]
    return RegionGrid(n_regions, 1, ((1, 1),))
