"""How parts respond that are linear detectors of whitened regions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.base.part_names import usual_names
from skdpnet.parts.maxima import part_maxima
from skdpnet.parts.pyramid_maxima import (
    Groups,
    cell_names,
    distinct_cells,
    image_groups,
    pyramid_maxima,
    pyramid_responses,
)
from skdpnet.persistence.checks import (
    check_array,
    check_parts_per_map,
    check_whitenings,
)
from skdpnet.regions.grid import AVERAGE_POOLING, CONCAT_POOLING
from skdpnet.regions.whitening import Whitening
from skdpnet.utils.host_copies import as_tensor, device_of
from skdpnet.utils.torch_state import in_usual_torch_state

__all__ = ["LinearResponses"]


class LinearResponses(PartEstimator):
    """Base of `LinearParts`: what fitted parts do with images, and their files.

    The attributes are those of `LinearParts`, which sets them.
    """

    _takes_tensors = True
    _poolings = (AVERAGE_POOLING, CONCAT_POOLING)
    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *PartEstimator._fitted_attributes,
        *("parts_", "whitenings_", "shift_", "scale_"),
    )

    parts_: np.ndarray
    part_biases_: np.ndarray
    part_cells_: np.ndarray
    whitenings_: list[Whitening]
    shift_: np.ndarray
    scale_: np.ndarray

    @property
    def empty_responses_(self) -> np.ndarray:
        """The response of each part to an empty region, float32 ndarray (P,)."""
        return -getattr(self, "part_biases_", super().empty_responses_)

    @in_usual_torch_state
    def part_responses(self, maps: list) -> list[torch.Tensor]:
        """Compute the responses of parts to regions; see `PartEstimator`."""
        return [responses for _, responses in self._regions_and_responses(maps)]

    def _regions_and_responses(
        self, maps: list
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the regions (n, R, K) of each map of some images, and the responses."""
        for regions, detectors, biases, groups in self._regions_with_parts(maps):
            if groups is None:
                responses = regions @ detectors.T
            else:
                responses = pyramid_responses(regions, detectors, groups)
            yield regions, responses if biases is None else responses - biases

    @in_usual_torch_state
    def descriptor(self, responses: list[torch.Tensor]) -> np.ndarray:
        """Compute standardised maxima over the regions; see `PartEstimator`."""
        maxima = [of_map.amax(dim=1).cpu().numpy() for of_map in responses]
        return self._standardise(np.hstack(maxima))

    def _standardise(self, maxima: np.ndarray) -> np.ndarray:
        return (maxima - self.shift_) * self.scale_

    @in_usual_torch_state
    def _describe_maps(self, maps: list) -> torch.Tensor:
        maxima = []
        for regions, detectors, biases, groups in self._regions_with_parts(maps):
            if groups is None:
                of_map = part_maxima(regions, detectors, beta=None)[0]
            else:
                of_map = pyramid_maxima(regions, detectors, groups)
            maxima.append(of_map if biases is None else of_map - biases)
        return self._standardise_tensor(torch.hstack(maxima))

    def _standardise_tensor(self, numbers: torch.Tensor) -> torch.Tensor:
        device = numbers.device
        shift, scale = as_tensor(self.shift_, device), as_tensor(self.scale_, device)
        return (numbers - shift) * scale

    def _regions_with_parts(
        self, maps: list
    ) -> Iterator[
        tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, Groups | None]
    ]:
        """Yield the regions of each map of some images, and its parts.

        Yields
        ------
        regions : tensor of shape (n, R, K)
        detectors : tensor of shape (P', K)
            One of the copies of each part.
        biases : tensor of shape (P' * C,), or None
            Of all copies.
        groups : as from `image_groups`, or None
            The regions of each cell; None: there is no pyramid.
        """
        boxes, biases = self._cells(), getattr(self, "part_biases_", None)
        may_have_canvas = boxes is not None and self._may_have_canvas()
        n_cells = 1 if boxes is None else len(boxes)
        for i, (feature_map, whitening, grid) in enumerate(
            zip(maps, self.whitenings_, self.grids_, strict=True)
        ):
            on_map = self.part_maps_ == i
            depth = whitening.projection.shape[1]
            device = device_of(feature_map)
            yield (
                whitening.tensor(feature_map, grid, device),
                as_tensor(self.parts_[on_map, :depth][::n_cells], device),
                None if biases is None else as_tensor(biases[on_map], device),
                None
                if boxes is None
                else image_groups(
                    feature_map, grid, boxes, may_have_canvas=may_have_canvas
                ),
            )

    def _cells(self) -> np.ndarray | None:
        """Return the pyramid's cells (C, 4) of the last fit; None: it had none."""
        if not hasattr(self, "part_cells_"):
            return None
        return distinct_cells(self.part_cells_)

    def _may_have_canvas(self) -> bool:
        """Whether maps may be larger than the images on them."""
        return self.is_precomputed or self.input_framing().name == "aspect"

    def _usual_part_names(self) -> np.ndarray:
        cells = self._cells()
        if cells is None:
            return super()._usual_part_names()
        names = usual_names(self.part_classes_[:: len(cells)], self.classes_)
        return np.array(
            [f"{name} {cell}".strip() for name in names for cell in cell_names(cells)],
            dtype=object,
        )

    def _get_fitted_state(self) -> dict[str, Any]:
        state = super()._get_fitted_state()
        if hasattr(self, "part_cells_"):
            state["part_cells_"] = self.part_cells_
        return state

    def _set_fitted_state(self, state: dict[str, Any]) -> None:
        super()._set_fitted_state(state)
        if "part_cells_" in state:
            self.part_cells_ = state["part_cells_"]

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        of_parts = self._state_of_parts(state)
        check_parts_per_map(of_parts)
        depths = check_whitenings(
            state["whitenings_"], of_parts["map_shapes_"], state["grids_"]
        )
        n_parts = len(state["part_classes_"])
        check_array("parts_", state["parts_"], (n_parts, max(depths)))
        if "part_biases_" in self._fitted_attributes:
            check_array("part_biases_", state["part_biases_"], (n_parts,))
        n_numbers = self._count_numbers(state, depths)
        for name in ("shift_", "scale_"):
            check_array(name, state[name], (n_numbers,))
        if "part_cells_" in state:
            _check_copies(state)

    def _count_numbers(self, state: dict[str, Any], depths: list[int]) -> int:
        """Return F of a state whose parts were checked.

        Raises
        ------
        ValueError
            If the state does not say it.
        """
        return len(state["part_classes_"])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parts_")


def _check_copies(state: dict[str, Any]) -> None:
    """Check that parts have equal copies, one for each cell of a pyramid."""
    part_cells, n_parts = state["part_cells_"], len(state["part_classes_"])
    check_array("part_cells_", part_cells, (n_parts, 4), np.float64)
    left, top, right, bottom = part_cells.T
    is_within = (part_cells >= 0).all() and (part_cells <= 1).all()
    if not (is_within and (left < right).all() and (top < bottom).all()):
        raise ValueError("part_cells_ holds something else than cells of images")
    cells = distinct_cells(part_cells)
    copies, rest = divmod(n_parts, len(cells))
    if rest or not np.array_equal(part_cells, np.tile(cells, (copies, 1))):
        raise ValueError("part_cells_ does not hold the same cells for each part")
    for name in ("parts_", "part_classes_", "part_maps_"):
        of_copies = state[name].reshape(copies, len(cells), -1)
        if not (of_copies == of_copies[:, :1]).all():
            raise ValueError(f"{name} differs between the copies of a part")
