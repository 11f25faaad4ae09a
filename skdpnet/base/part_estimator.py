"""The base class of estimators that describe an image by what parts find in it."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.map_estimator import MapEstimator
from skdpnet.base.part_naming import PartNaming
from skdpnet.persistence.checks import check_part_layout, of_maps_with_parts
from skdpnet.regions.extents import have_parts, shorter_side
from skdpnet.regions.grid import AVERAGE_POOLING, RegionGrid
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import HostCopies, copy_to_host
from skdpnet.utils.labels import check_classes, check_labels
from skdpnet.utils.validation import Number, SequenceOf, check_parameters

__all__ = ["PartEstimator", "region_grid"]

# Responses are computed for some images at a time, so that they take at most this many
# bytes.
_RESPONSE_BYTES = 128 * 2**20


class PartEstimator(PartNaming, TransformerMixin, MapEstimator, ABC):
    """Base of the estimators that describe an image by what parts find in it.

    Explanations, displays, metrics and the report use only the public methods and
    attributes of this class. A subclass implements `part_responses` and `descriptor`,
    and its `fit` sets the attributes below; `_begin_fit` sets all of them except
    `part_classes_` and `part_maps_`.

    Parts are numbered map by map: those of the first feature map come first.

    Parameters
    ----------
    region_scales : sequence of float in (0, 1]
        Sides of the square windows that are the regions, as shares of the image's
        shorter side on the feature map. The constructor of a subclass takes it.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The distinct labels, sorted. A regressor has none.
    part_classes_ : int ndarray of shape (P,)
        The class that each part was learned for, as an index into `classes_`; −1 for
        a part that classes share.
    part_maps_ : int ndarray of shape (P,)
        The number of the feature map that each part responds on, in ascending order.
        Maps of one cell, which have no parts, are not counted; see `have_parts`.
    grids_ : list of RegionGrid
        The layout of the regions of each feature map that has parts.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **MapEstimator._parameter_constraints,
        "region_scales": [
            SequenceOf(Number(0, above=True, at_most=1), "shares in (0, 1]")
        ],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *MapEstimator._fitted_attributes,
        *("classes_", "part_classes_", "part_maps_", "grids_"),
    )

    # Whether `part_responses` and `_describe_maps` take maps on the device too, as
    # tensors; all others get arrays.
    _takes_tensors: ClassVar[bool] = False
    # How its regions can be described by their cells; see `RegionGrid`.
    _poolings: ClassVar[tuple[str, ...]] = (AVERAGE_POOLING,)

    region_scales: Sequence[float]
    classes_: np.ndarray
    part_classes_: np.ndarray
    part_maps_: np.ndarray
    grids_: list[RegionGrid]

    @abstractmethod
    def part_responses(self, maps: list[np.ndarray]) -> list[torch.Tensor]:
        """Compute the response of each part to each region of some images.

        Parameters
        ----------
        maps : list of ndarray of shape (n', H, W, D)
            The feature maps of n' images, as `iter_maps` yields them.

        Returns
        -------
        list of tensor of shape (n', R, P')
            For each map, the responses of its P' parts to its R regions, in the order
            of the parts and of the regions of the grid.
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
            One number for each part, as from `transform`.
        """

    @property
    def column_parts_(self) -> np.ndarray:
        """The part of each number of the descriptor, int ndarray (F,), ascending.

        Here each part has one number, so that F is P.
        """
        return np.arange(len(self.part_maps_))

    @property
    def describes_by_responses_(self) -> bool:
        """Whether the descriptor has one number for each part, its response."""
        return True

    @property
    def beta_(self) -> float | None:
        """β of the soft maximum over the regions; None: the maximum is hard."""
        return None

    @property
    def empty_responses_(self) -> np.ndarray:
        """The response of each part to an empty region, float32 ndarray (P,).

        Where images do not fill their maps, regions beside them are known by it.
        """
        return np.zeros(len(self.part_maps_), np.float32)

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
        for maps in self._iter_pieces(X):
            yield self.part_responses(maps)

    def iter_described(self, X) -> Iterator[tuple[list[torch.Tensor], np.ndarray]]:
        """Iterate over the responses of the parts to X, and the descriptors.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``

        Yields
        ------
        responses : list of tensor of shape (n', R, P')
            As from `iter_responses`.
        descriptors : float64 ndarray of shape (n', F)
            As from `transform`.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `iter_maps`.
        """
        for maps in self._iter_pieces(X):
            responses, descriptors = self._respond_and_describe(maps)
            yield responses, descriptors.astype(np.float64)

    def _respond_and_describe(
        self, maps: list
    ) -> tuple[list[torch.Tensor], np.ndarray]:
        """Return the responses to some images, and the descriptors.

        A subclass overrides it if descriptors need more of an image than the responses.
        """
        responses = self.part_responses(maps)
        return responses, self.descriptor(responses)

    def _iter_pieces(self, X) -> Iterator[list]:
        """Iterate over the maps of X, so few at a time that responses are small."""
        check_is_fitted(self)
        for maps in self._iter_inputs(X):
            for images in self._slices_of(maps):
                yield [feature_map[images] for feature_map in maps]

    def _slices_of(self, maps: list) -> Iterator[slice]:
        """Cut images into slices, so few at a time that responses are small."""
        n_parts = np.bincount(self.part_maps_, minlength=len(self.grids_)).tolist()
        bytes_per_image = 4 * sum(
            grid.n_regions * n for grid, n in zip(self.grids_, n_parts, strict=True)
        )
        return slices_within(len(maps[0]), bytes_per_image, _RESPONSE_BYTES)

    def transform(self, X) -> np.ndarray:
        """Compute the descriptors of images.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        float ndarray of shape (n, F)
            The descriptors, which the class's docstring defines; float32 for the
            estimators of this package. Most have one number for each part, so that F
            is P; `column_parts_` has the part of each column.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If the maps of X have other shapes than in `fit`, or if X is unusable.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        return self._describe(self._iter_inputs(X))

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
            If parameters, labels or data are unusable; the message says why.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        self._reset()
        check_parameters(self)
        labels = self._set_targets(X, y)
        maps = self._all_maps(X, reset=True)
        self.grids_ = self._region_grids(maps)
        return maps, labels

    def _set_targets(self, X, y) -> np.ndarray:
        """Check y and set `classes_`; return the labels of the images as numbers.

        A subclass overrides it if its targets are others than one label of each image.
        """
        self.classes_, labels = check_classes(self, check_labels(self, X, y))
        return labels

    def _all_maps(self, X, *, reset: bool) -> list[np.ndarray]:
        return self._maps_of_parts(super()._all_maps(X, reset=reset), reset)

    def _iter_checked_maps(
        self, X, *, reset: bool, to_host: bool
    ) -> Iterator[list[torch.Tensor]]:
        for maps in super()._iter_checked_maps(X, reset=reset, to_host=to_host):
            yield self._maps_of_parts(maps, reset)

    def _iter_inputs(self, X) -> Iterator[list]:
        """Iterate over maps of X in the form that `part_responses` takes."""
        return self._iter_tensors(X) if self._takes_tensors else self.iter_maps(X)

    def _maps_of_parts(self, maps: list, in_fit: bool) -> list:
        """Return the maps that parts respond on, of all maps of some images.

        A subclass overrides it if it has parts on other maps too.
        """
        return list(itertools.compress(maps, have_parts(self.map_shapes_)))

    def _region_grids(self, maps: Sequence[np.ndarray]) -> list[RegionGrid]:
        """Return the layout of the regions on each map of the training images."""
        shapes = itertools.compress(self.map_shapes_, have_parts(self.map_shapes_))
        return [
            region_grid(shape, self.region_scales, feature_map)
            for shape, feature_map in zip(shapes, maps, strict=True)
        ]

    def _describe(self, batches: Iterable[list]) -> np.ndarray:
        """Return the descriptors (n, F) of images, from batches of their maps.

        A batch is begun before the descriptors of the one before have left the device.
        """
        rows: list[np.ndarray] = []
        pending: HostCopies | None = None
        for maps in batches:
            begun = self._describe_maps(maps)
            if pending is not None:
                rows.append(pending.wait()[0].numpy())
            pending = copy_to_host([begun])
        if pending is not None:
            rows.append(pending.wait()[0].numpy())
        return np.concatenate(rows)

    def _describe_maps(self, maps: list) -> torch.Tensor:
        """Return the descriptors (n', F) of some images, which may be on a device.

        A subclass overrides it if it can compute them without all responses.
        """
        return torch.from_numpy(self.descriptor(self.part_responses(maps)))

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        check_part_layout(self._state_of_parts(state), self._poolings)

    def _state_of_parts(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return a state in which ``map_shapes_`` has a shape for each of the grids."""
        return of_maps_with_parts(state)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "part_maps_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def region_grid(
    shape: tuple[int, ...], scales: Sequence[float], maps: np.ndarray
) -> RegionGrid:
    """Return the layout of the regions on a feature map of the training images.

    Parameters
    ----------
    shape : (H, W, D), (R, D) or (D,)
        The shape of the map of an image.
    scales : sequence of float in (0, 1]
        Sides of the windows, as shares of the images' shorter side.
    maps : ndarray of shape (n, H, W, D)

    Returns
    -------
    RegionGrid
    """
    if len(shape) == 3:
        return RegionGrid.from_scales(*shape[:2], scales, shorter_side(maps))
    # The user passed regions (R, D), or the features (D,) of whole images.
    n_regions = 1 if len(shape) == 1 else shape[0]
    return RegionGrid(n_regions, 1, ((1, 1),))
