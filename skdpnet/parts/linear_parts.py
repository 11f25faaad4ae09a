"""The base of part learners whose parts are linear detectors of whitened regions."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils import check_random_state

from skdpnet.encodings.pyramid import Levels, PyramidLevels, check_fit
from skdpnet.images.framing import AUTO
from skdpnet.parts.layout import stack_parts
from skdpnet.parts.linear_responses import LinearResponses
from skdpnet.parts.map_parts import PIECE_BYTES, MapParts, region_maxima
from skdpnet.parts.pyramid_maxima import (
    cell_boxes,
    image_groups,
    pyramid_maxima,
)
from skdpnet.parts.standardisation import standardisation
from skdpnet.regions.extents import have_parts
from skdpnet.regions.grid import AVERAGE_POOLING, CONCAT_POOLING, RegionGrid
from skdpnet.regions.whitening import fit_whitening
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import Number, OneOf

__all__ = ["LinearParts"]


class LinearParts(LinearResponses):
    """Base of part learners whose parts are linear detectors of whitened regions.

    The regions of each feature map are l2-normalised, whitened by PCA, and then
    l2-normalised again. The response of a part to a region is their inner product,
    minus the part's bias where parts have one. The descriptor of an image is the
    maximum of each part's response over the regions, standardised on the training set
    (mean 0, variance 1/P). A part that responds alike to all training images gives 0.

    With a spatial pyramid, each part has a copy for each cell of the pyramid. A copy
    responds to the regions whose centres lie in its cell; its response to other regions
    is the lowest that it can have, so that it is best nowhere else. A copy whose cell
    holds no region gives 0.

    A subclass implements `_learn_map`, which learns the parts of a map from its regions
    alone, or overrides `_learn_maps` in its place. It overrides `_check_learning` if
    its parameters have to agree with one another or with the data. If parts have
    biases, ``"part_biases_"`` is among its `_fitted_attributes`, as are the names of
    `MapParts.facts`.

    Parameters
    ----------
    backbone, weights, strides, image_size, framing, memory, device, precision, \
            num_workers, verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D in place of images.
    region_scales : sequence of float in (0, 1], default=(0.15, 0.3, 0.45)
        As in `PartEstimator`.
    pooling : {"average", "concat"}, default="average"
        How a region is described by its cells before it is whitened: by their average,
        or by all of them side by side. Parts are then rigid templates, as those of
        HOG. All windows on a map need one size, so that `region_scales` is a single
        share. h×w cells of D channels make descriptors of h·w·D numbers, whose
        covariance takes memory by their square.
    n_components : int or None, default=256
        Number of principal components of the region descriptors that are kept. None:
        regions are not whitened.
    pyramid : sequence of (rows, columns), default=None
        Levels of a spatial pyramid. Each cuts the image into cells, and each part has a
        copy for each cell, next to one another; ``((1, 1), (2, 2))`` makes five of
        each. None: no pyramid. Cells of zeros at the right and lower edges of given
        maps are taken to lie beyond the image.
    random_state : int, RandomState or None, default=None
        Determines the samples of regions, and what the subclass draws.

    Attributes
    ----------
    parts_ : float32 ndarray of shape (P, K)
        Detectors of the whitened regions. Zeros fill the rows of a map whose whitened
        space has fewer dimensions than another's.
    part_biases_ : float32 ndarray of shape (P,)
        Of learners whose parts have biases only: what is subtracted from the responses.
    part_classes_, part_maps_ : int ndarrays of shape (P,)
        As in `PartEstimator`.
    whitenings_ : list of Whitening
        For each map, the projection of region descriptors from D dimensions to K.
    grids_ : list of RegionGrid
        The layout of the regions of each map.
    shift_, scale_ : float32 ndarrays of shape (P,)
        The descriptor is ``(maxima - shift_) * scale_``.
    part_cells_ : float64 ndarray of shape (P, 4)
        With a pyramid only: left, top, right and bottom of the cell of each part, as
        shares of the image's sides.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        **LinearResponses._parameter_constraints,
        "pooling": [OneOf((AVERAGE_POOLING, CONCAT_POOLING))],
        "n_components": [Number(1, whole=True), None],
        "pyramid": [PyramidLevels(), None],
    }
    _added_parameters: ClassVar[dict[str, Any]] = {
        **LinearResponses._added_parameters,
        "pooling": AVERAGE_POOLING,
        "pyramid": None,
    }

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        region_scales: Sequence[float] = (0.15, 0.3, 0.45),
        pooling: str = AVERAGE_POOLING,
        n_components: int | None = 256,
        pyramid: Levels | None = None,
        memory: str | os.PathLike | None = None,
        device: str = "auto",
        precision: str = "auto",
        num_workers: int | str = "auto",
        verbose: int = 0,
        random_state=None,
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
        self.region_scales = region_scales
        self.pooling = pooling
        self.n_components = n_components
        self.pyramid = pyramid
        self.random_state = random_state

    def fit(self, X, y) -> Self:
        """Learn the parts.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            List or array of n paths, PIL images, uint8 or [0, 1] float arrays or
            tensors; precomputed: maps n×H×W×D, regions n×R×D or features n×D.
        y : array-like of shape (n,)
            Labels of at least two classes, numbers or strings.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If parameters, labels or data are unusable; the message says why.
        skdpnet.images.ImageError
            If images cannot be read; the message names all.
        """
        self._learn(X, y)
        return self

    def fit_transform(self, X, y=None) -> np.ndarray:
        """Fit and transform, computing the maps once.

        Parameters
        ----------
        X, y
            As in `fit`.

        Returns
        -------
        float32 ndarray of shape (n, P)
            As from `transform`.

        Raises
        ------
        ValueError, skdpnet.images.ImageError
            As `fit`.
        """
        return self._standardise(self._learn(X, y))

    def _region_grids(self, maps: Sequence[np.ndarray]) -> list[RegionGrid]:
        grids = super()._region_grids(maps)
        return [dataclasses.replace(grid, pooling=self.pooling) for grid in grids]

    def _check_learning(self, n_maps: int) -> None:
        """Check what parameters have to do with one another, before parts are learned.

        Raises
        ------
        ValueError
            If they do not agree; the message names them.
        """

    def _learn_map(
        self,
        number: int,
        regions: np.ndarray,
        labels: np.ndarray,
        random: np.random.RandomState,
    ) -> MapParts:
        """Learn the parts of a map.

        Parameters
        ----------
        number : int
            The number of the map, as in `part_maps_`.
        regions : float32 ndarray of shape (n, R, K)
            The whitened regions of the training images, of length 1, or 0. They may be
            memory-mapped.
        labels : int ndarray of shape (n,)
            The class of each image, as an index into `classes_`.
        random : RandomState

        Returns
        -------
        MapParts
            At least one part.
        """
        raise NotImplementedError

    def _learn_maps(
        self, maps: list[np.ndarray], labels: np.ndarray, random: np.random.RandomState
    ) -> list[tuple[MapParts, np.ndarray]]:
        """Learn the parts of all maps, and set `whitenings_`.

        Here one map follows the other, so that the regions of one at a time are kept.

        Parameters
        ----------
        maps : list of ndarray of shape (n, H, W, D)
        labels : int ndarray of shape (n,)
        random : RandomState

        Returns
        -------
        list of (MapParts, float32 ndarray of shape (n, P'))
            For each map its parts, and their maxima as from `_training_maxima`.
        """
        learned = []
        for number, feature_map in enumerate(maps):
            regions = self._whiten(number, feature_map, random)
            parts = self._learn_map(number, regions, labels, random)
            maxima = self._training_maxima(number, feature_map, regions, parts)
            learned.append((parts, maxima))
            del regions
        return learned

    def _whiten(
        self, number: int, feature_map: np.ndarray, random: np.random.RandomState
    ) -> np.ndarray:
        """Learn the next of `whitenings_`; return the regions (n, R, K) of its map."""
        grid = self.grids_[number]
        whitening = fit_whitening(feature_map, grid, self.n_components, random)
        self.whitenings_.append(whitening)
        return whitening(feature_map, grid, folder=self.memory)

    def _training_maxima(
        self,
        number: int,
        feature_map: np.ndarray,
        regions: np.ndarray,
        parts: MapParts,
    ) -> np.ndarray:
        """Return the maxima (n, P' or P' * C) of the parts of a map, in each cell."""
        if self.pyramid is None:
            return region_maxima(regions, parts)
        cpu, boxes = torch.device("cpu"), cell_boxes(self.pyramid)
        detectors, may_have_canvas = (
            as_tensor(parts.detectors, cpu),
            self._may_have_canvas(),
        )
        pieces = []
        for images in slices_within(len(regions), 4 * regions[0].size, PIECE_BYTES):
            groups = image_groups(
                feature_map[images],
                self.grids_[number],
                boxes,
                may_have_canvas=may_have_canvas,
            )
            some = as_tensor(regions[images], cpu)
            pieces.append(pyramid_maxima(some, detectors, groups).numpy())
        maxima = np.concatenate(pieces)
        if parts.biases is None:
            return maxima
        return maxima - np.repeat(parts.biases, len(boxes))

    @in_usual_torch_state
    def _learn(self, X, y) -> np.ndarray:
        """Set all fitted attributes; return the training set before `_standardise`."""
        maps, labels = self._begin_fit(X, y)
        self._check_pyramid()
        self._check_learning(len(maps))
        self.whitenings_ = []
        learned = self._learn_maps(maps, labels, check_random_state(self.random_state))
        maxima = np.hstack([of_map for _, of_map in learned])
        self._set_parts([of_map for of_map, _ in learned])
        numbers = self._training_numbers(maps, maxima)
        self.shift_, self.scale_ = standardisation(numbers)
        return numbers

    def _training_numbers(
        self, maps: list[np.ndarray], maxima: np.ndarray
    ) -> np.ndarray:
        """Return what is standardised on the training set, from its maps and maxima."""
        return maxima

    def _check_pyramid(self) -> None:
        """Check that the maps can be cut into the cells of the pyramid, once each."""
        if self.pyramid is None:
            return
        levels = [tuple(level) for level in self.pyramid]
        if len(set(levels)) < len(levels):
            raise ValueError(f"pyramid={self.pyramid} has a level twice.")
        shapes = self.map_shapes_
        check_fit(levels, list(itertools.compress(shapes, have_parts(shapes))))

    def _set_parts(self, parts: Sequence[MapParts]) -> None:
        """Set the attributes of the parts of all maps, with a copy for each cell."""
        n_cells = 1
        if self.pyramid is not None:
            boxes = cell_boxes(self.pyramid)
            n_cells = len(boxes)
            n_parts = sum(len(of_map.detectors) for of_map in parts)
            self.part_cells_ = np.tile(boxes, (n_parts, 1))

        def of_all(arrays: Sequence[np.ndarray]) -> np.ndarray:
            return np.repeat(np.concatenate(arrays), n_cells, axis=0)

        maps = [np.full(len(of_map.detectors), i) for i, of_map in enumerate(parts)]
        self.part_maps_ = of_all(maps)
        self.part_classes_ = of_all([of_map.classes for of_map in parts])
        biases = [of_map.biases for of_map in parts if of_map.biases is not None]
        if biases:
            self.part_biases_ = of_all(biases)
        for name in parts[0].facts:
            setattr(self, name, of_all([of_map.facts[name] for of_map in parts]))
        self.parts_ = of_all([stack_parts([of_map.detectors for of_map in parts])])
