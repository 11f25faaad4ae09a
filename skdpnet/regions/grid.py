"""Regions: square windows of several sizes on a feature map, and their pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from skdpnet.regions.box_sums import spread, window_sums

__all__ = ["RegionGrid"]


@dataclass(frozen=True)
class RegionGrid:
    """All windows of some sizes on a map of H×W cells, one cell apart.

    Regions are numbered scale by scale, and within a scale row by row.

    Parameters
    ----------
    height, width : int
        Size H×W of the feature map in cells.
    windows : tuple of (int, int)
        Height and width in cells of the windows of each scale.
    """

    height: int
    width: int
    windows: tuple[tuple[int, int], ...]

    @classmethod
    def from_scales(
        cls, height: int, width: int, scales: Sequence[float]
    ) -> RegionGrid:
        """Lay out windows whose sides are shares of the map's shorter side.

        Shares rather than cells, so that a layout means the same for every backbone
        and input size.

        Parameters
        ----------
        height, width : int
            Size of the map in cells.
        scales : sequence of float in (0, 1]
            Side of the square windows as a share of the shorter side of the map,
            rounded to whole cells (at least one). Scales that round to the same
            window count once.

        Raises
        ------
        ValueError
            If there is no scale, or one is outside (0, 1].
        """
        if len(scales) == 0 or not all(0 < scale <= 1 for scale in scales):
            raise ValueError(
                "region_scales must hold at least one share of the map's side in "
                f"(0, 1], got {scales!r}."
            )
        sides = sorted({max(1, round(s * min(height, width))) for s in scales})
        return cls(height, width, tuple((side, side) for side in sides))

    def _steps(self, window: tuple[int, int]) -> tuple[int, int]:
        return self.height - window[0] + 1, self.width - window[1] + 1

    @cached_property
    def n_regions(self) -> int:
        """Number of regions R."""
        return sum(int(np.prod(self._steps(window))) for window in self.windows)

    @cached_property
    def cells(self) -> np.ndarray:
        """Regions as (top, left, bottom, right) in cells, int array (R, 4)."""
        boxes = []
        for window in self.windows:
            rows, columns = self._steps(window)
            top, left = np.mgrid[:rows, :columns].reshape(2, -1)
            boxes.append(np.stack([top, left, top + window[0], left + window[1]], 1))
        return np.concatenate(boxes)

    def boxes(self) -> np.ndarray:
        """Regions as (left, top, right, bottom), shares of the map's sides.

        Returns
        -------
        float ndarray of shape (R, 4)
        """
        top, left, bottom, right = self.cells.T
        return np.stack(
            [
                left / self.width,
                top / self.height,
                right / self.width,
                bottom / self.height,
            ],
            axis=1,
        )

    @cached_property
    def areas(self) -> np.ndarray:
        """Number of cells of each region, float array (R,)."""
        counts = [int(np.prod(self._steps(window))) for window in self.windows]
        return np.repeat([float(np.prod(window)) for window in self.windows], counts)

    def sums(self, maps: torch.Tensor) -> Iterator[torch.Tensor]:
        """Sum over the cells of each region, a scale at a time.

        Parameters
        ----------
        maps : tensor of shape (N, H·W, K)
            Any K channels a cell.

        Yields
        ------
        tensor of shape (N, R_s, K)
            For each scale s, in the order of the regions' numbers.
        """
        grid = maps.unflatten(1, (self.height, self.width))
        for summed in window_sums(grid, self.windows):
            yield summed.flatten(1, 2)

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Add each region's value to all of its cells: the transpose of `sums`.

        Parameters
        ----------
        values : tensor of shape (N, R, K)

        Returns
        -------
        tensor of shape (N, H·W, K)
        """
        steps = [self._steps(window) for window in self.windows]
        scales = values.split([rows * columns for rows, columns in steps], dim=1)
        grids = [
            own.unflatten(1, step) for own, step in zip(scales, steps, strict=True)
        ]
        return spread(grids, self.windows).flatten(1, 2)

    def pool(self, maps: torch.Tensor) -> Iterator[torch.Tensor]:
        """Average-pool each window, a scale at a time.

        Pooling is linear: it may come before or after a projection of the channels.

        Parameters
        ----------
        maps : tensor of shape (N, H·W, K)
            Any K channels a cell.

        Yields
        ------
        tensor of shape (N, R_s, K)
            For each scale s, in the order of the regions' numbers.
        """
        for window, summed in zip(self.windows, self.sums(maps), strict=True):
            yield summed / (window[0] * window[1])

    def norms(self, maps: torch.Tensor) -> torch.Tensor:
        """Euclidean norm of each region's pooled descriptor.

        Parameters
        ----------
        maps : tensor of shape (N, H·W, D)

        Returns
        -------
        tensor of shape (N, R)
        """
        lengths = torch.cat([x.norm(dim=2) for x in self.sums(maps)], dim=1)
        return lengths / torch.from_numpy(self.areas).to(lengths)
