"""The base of part learners whose parts are linear detectors of whitened regions."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from sklearn.utils import check_random_state

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.images.framing import AUTO
from skdpnet.parts.layout import stack_parts
from skdpnet.parts.maxima import part_maxima
from skdpnet.parts.standardisation import standardisation
from skdpnet.persistence.checks import (
    check_array,
    check_parts_per_map,
    check_whitenings,
)
from skdpnet.regions.whitening import Whitening, fit_whitening
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor, device_of
from skdpnet.utils.torch_state import in_usual_torch_state
from skdpnet.utils.validation import Number

__all__ = ["LinearParts", "MapParts", "region_maxima"]

# Region descriptors of some images take at most this many bytes.
PIECE_BYTES = 128 * 2**20


class MapParts(NamedTuple):
    """The parts that were learned on a feature map.

    Parameters
    ----------
    detectors : float32 ndarray of shape (P', K)
        The response of a part to a whitened region is their inner product.
    classes : int ndarray of shape (P',)
        The class of each part, as an index into `classes_`; −1 for a part that classes
        share.
    biases : float32 ndarray of shape (P',), or None
        What is subtracted from the responses. None: nothing.
    """

    detectors: np.ndarray
    classes: np.ndarray
    biases: np.ndarray | None = None


class LinearParts(PartEstimator):
    """Base of part learners whose parts are linear detectors of whitened regions.

    The regions of each feature map are l2-normalised, whitened by PCA, and then
    l2-normalised again. The response of a part to a region is their inner product,
    minus the part's bias where parts have one. The descriptor of an image is the
    maximum of each part's response over the regions, standardised on the training set
    (mean 0, variance 1/P). A part that responds alike to all training images gives 0.

    A subclass implements `_learn_map`, which learns the parts of a map. It overrides
    `_learn_maps` if it learns the parts of all maps together, and `_check_learning` if
    its parameters have to agree with one another or with the data. If parts have
    biases, ``"part_biases_"`` is among its `_fitted_attributes`.

    Parameters
    ----------
    backbone, weights, strides, image_size, framing, memory, device, precision, \
            num_workers, verbose
        As in `FeatureMaps`; ``backbone="precomputed"`` takes maps n×H×W×D, regions
        n×R×D or features n×D in place of images.
    region_scales : sequence of float in (0, 1], default=(0.15, 0.3, 0.45)
        As in `PartEstimator`.
    n_components : int or None, default=256
        Number of principal components of the region descriptors that are kept. None:
        regions are not whitened.
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
    """

    _takes_tensors = True
    _parameter_constraints: ClassVar[dict[str, list]] = {
        **PartEstimator._parameter_constraints,
        "n_components": [Number(1, whole=True), None],
    }
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PartEstimator._fitted_attributes,
        *("parts_", "whitenings_", "shift_", "scale_"),
    )

    parts_: np.ndarray
    part_biases_: np.ndarray
    whitenings_: list[Whitening]
    shift_: np.ndarray
    scale_: np.ndarray

    def __init__(
        self,
        backbone: str | Callable = "efficientnet_lite0",
        *,
        weights: str | os.PathLike | None = None,
        strides: Sequence[int | str] | None = (16, 32, "average"),
        image_size: int | None = None,
        framing: str = AUTO,
        region_scales: Sequence[float] = (0.15, 0.3, 0.45),
        n_components: int | None = 256,
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
        self.n_components = n_components
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

    @in_usual_torch_state
    def part_responses(self, maps: list) -> list[torch.Tensor]:
        """Compute the responses of parts to regions; see `PartEstimator`."""
        return [
            _less(regions @ detectors.T, biases)
            for regions, detectors, biases in self._regions_with_parts(maps)
        ]

    @in_usual_torch_state
    def descriptor(self, responses: list[torch.Tensor]) -> np.ndarray:
        """Compute standardised maxima over the regions; see `PartEstimator`."""
        maxima = [of_map.amax(dim=1).cpu().numpy() for of_map in responses]
        return self._standardise(np.hstack(maxima))

    def _check_learning(self, n_maps: int) -> None:
        """Check what parameters have to do with one another, before parts are learned.

        Raises
        ------
        ValueError
            If they do not agree; the message names them.
        """

    @abstractmethod
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
            For each map its parts, and their maxima as `region_maxima` computes them.
        """
        learned = []
        for number, feature_map in enumerate(maps):
            regions = self._whiten(number, feature_map, random)
            parts = self._learn_map(number, regions, labels, random)
            learned.append((parts, region_maxima(regions, parts)))
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

    @in_usual_torch_state
    def _learn(self, X, y) -> np.ndarray:
        """Set all fitted attributes; return the maxima (n, P) on the training set."""
        maps, labels = self._begin_fit(X, y)
        self._check_learning(len(maps))
        self.whitenings_ = []
        learned = self._learn_maps(maps, labels, check_random_state(self.random_state))
        parts = [of_map for of_map, _ in learned]
        self.part_classes_ = np.concatenate([of_map.classes for of_map in parts])
        n_each = [len(of_map.detectors) for of_map in parts]
        self.part_maps_ = np.repeat(np.arange(len(maps)), n_each)
        if parts[0].biases is not None:
            self.part_biases_ = np.concatenate([of_map.biases for of_map in parts])
        maxima = np.hstack([of_map for _, of_map in learned])
        self.shift_, self.scale_ = standardisation(maxima)
        self.parts_ = stack_parts([of_map.detectors for of_map in parts])
        return maxima

    def _standardise(self, maxima: np.ndarray) -> np.ndarray:
        return (maxima - self.shift_) * self.scale_

    @in_usual_torch_state
    def _describe_maps(self, maps: list) -> torch.Tensor:
        maxima = [
            _less(part_maxima(regions, detectors, beta=None)[0], biases)
            for regions, detectors, biases in self._regions_with_parts(maps)
        ]
        device = maxima[0].device
        shift, scale = as_tensor(self.shift_, device), as_tensor(self.scale_, device)
        return (torch.hstack(maxima) - shift) * scale

    def _regions_with_parts(
        self, maps: list
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        """Yield the regions of each map of some images, and its parts.

        Yields
        ------
        regions : tensor of shape (n, R, K)
        detectors : tensor of shape (P', K)
        biases : tensor of shape (P',), or None
        """
        all_biases = getattr(self, "part_biases_", None)
        for i, (feature_map, whitening, grid) in enumerate(
            zip(maps, self.whitenings_, self.grids_, strict=True)
        ):
            on_map = self.part_maps_ == i
            depth = whitening.projection.shape[1]
            device = device_of(feature_map)
            regions = whitening.tensor(feature_map, grid, device)
            detectors = as_tensor(self.parts_[on_map, :depth], device)
            biases = (
                None if all_biases is None else as_tensor(all_biases[on_map], device)
            )
            yield regions, detectors, biases

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        of_parts = self._state_of_parts(state)
        check_parts_per_map(of_parts)
        depths = check_whitenings(state["whitenings_"], of_parts["map_shapes_"])
        n_parts = len(state["part_classes_"])
        check_array("parts_", state["parts_"], (n_parts, max(depths)))
        for name in ("shift_", "scale_", "part_biases_"):
            if name in self._fitted_attributes:
                check_array(name, state[name], (n_parts,))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parts_")


def region_maxima(regions: np.ndarray, parts: MapParts) -> np.ndarray:
    """Compute the maximum of each part's responses over the regions of each image.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        Whitened regions of a map, which may be memory-mapped.
    parts : MapParts

    Returns
    -------
    float32 ndarray of shape (n, P')
    """
    cpu = torch.device("cpu")
    detectors = as_tensor(parts.detectors, cpu)
    maxima = np.empty((len(regions), len(detectors)), np.float32)
    for images in slices_within(len(regions), 4 * regions[0].size, PIECE_BYTES):
        some = as_tensor(regions[images], cpu)
        maxima[images] = part_maxima(some, detectors, beta=None)[0].numpy()
    return maxima if parts.biases is None else maxima - parts.biases


def _less(responses: torch.Tensor, biases: torch.Tensor | None) -> torch.Tensor:
    return responses if biases is None else responses - biases
