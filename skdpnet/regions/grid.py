"""The region grid: windows of several sizes on a feature map, and their pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from skdpnet.regions.box_sums import window_sums

__all__ = ["AVERAGE_POOLING", "CONCAT_POOLING", "RegionGrid"]

AVERAGE_POOLING, CONCAT_POOLING = "average", "concat"


@dataclass(frozen=True)
class RegionGrid:
    """All windows of several sizes, one cell apart, on a feature map of H×W cells.

    Regions are numbered scale by scale, and within a scale row by row.

    Parameters
    ----------
    height, width : int
        Size H×W of the feature map in cells.
    windows : tuple of (int, int)
        Height and width in cells of the windows of each scale.
    pooling : {"average", "concat"}, default="average"
        How a region is described by its cells: by their average, or by all of them side
        by side, as the rigid templates of HOG are. DP-Net and the prototype networks
        have averages alone, because they sum the responses of cells over windows.

    Raises
    ------
    ValueError
        If the pooling is not known, or if it is "concat" and there are windows of
        several sizes, whose descriptors would have several lengths.

    See Also
    --------
    RegionGrid.from_scales : Grid of windows whose sides are shares of the map's side.

    Examples
    --------
    >>> from skdpnet.regions import RegionGrid
    >>> grid = RegionGrid(height=2, width=3, windows=((1, 1), (2, 2)))
    >>> grid.n_regions
    8
    >>> grid.cells[-1]  # top, left, bottom, right
    array([0, 1, 2, 3])
    """

    height: int
    width: int
    windows: tuple[tuple[int, int], ...]
    pooling: str = AVERAGE_POOLING

    def __post_init__(self):
        if self.pooling not in (AVERAGE_POOLING, CONCAT_POOLING):
            raise ValueError(
                f"pooling must be {AVERAGE_POOLING!r} or {CONCAT_POOLING!r}, got "
                f"{self.pooling!r}."
            )
        if self.pooling == CONCAT_POOLING and len(self.windows) > 1:
            sizes = ", ".join(f"{height}×{width}" for height, width in self.windows)
            raise ValueError(
                f"pooling={CONCAT_POOLING!r} puts the cells of a window side by side, "
                "so that all windows on a map need the same size, but the windows on "
                f"the map of {self.height}×{self.width} cells have {sizes} cells: use "
                "a single region scale."
            )

    @classmethod
    def from_scales(
        cls,
        height: int,
        width: int,
        scales: Sequence[float],
        side: int | None = None,
        pooling: str = AVERAGE_POOLING,
    ) -> RegionGrid:
        """Make a grid of square windows from their sides, as shares of the map's side.

        Shares mean the same for every backbone and input size; numbers of cells would
        not.

        Parameters
        ----------
        height, width : int
            Size of the map in cells.
        scales : sequence of float in (0, 1]
            Sides of the windows as shares of `side`, rounded to whole cells (at least
            one). Scales that round to the same window count once.
        side : int, default=None
            In cells. None: the shorter side of the map.
        pooling : {"average", "concat"}, default="average"
            As in `RegionGrid`.

        Returns
        -------
        RegionGrid

        Raises
        ------
        ValueError
            If there is no scale, or a scale is outside (0, 1]; and as `RegionGrid`.

        Examples
        --------
        >>> from skdpnet.regions import RegionGrid
        >>> RegionGrid.from_scales(7, 7, (0.15, 0.5)).windows
        ((1, 1), (4, 4))
        """
        if len(scales) == 0 or not all(0 < scale <= 1 for scale in scales):
            raise ValueError(
                "region_scales must hold at least one share of the map's side in "
                f"(0, 1], got {scales!r}."
            )
        whole = min(height, width) if side is None else side
        sides = sorted({max(1, round(s * whole)) for s in scales})
        return cls(height, width, tuple((side, side) for side in sides), pooling)

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
        """Return the regions as shares of the map's sides.

        Returns
        -------
        float ndarray of shape (R, 4)
            Left, top, right and bottom of each region, in [0, 1].
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

    def descriptor_depth(self, depth: int) -> int:
        """Return how many numbers describe a region.

        Parameters
        ----------
        depth : int
            Channels of the map.

        Returns
        -------
        int
            `depth`, times the cells of a window for ``pooling="concat"``.
        """
        if self.pooling == AVERAGE_POOLING:
            return depth
        ((height, width),) = self.windows
        return height * width * depth

    def sums(self, maps: torch.Tensor) -> Iterator[torch.Tensor]:
        """Sum over the cells of each region, one scale after the other.

        Parameters
        ----------
        maps : tensor of shape (N, H·W, K)
            Cells with any number K of channels.

        Yields
        ------
        tensor of shape (N, R_s, K)
            The sums of the R_s regions of scale s, in the order of their numbers.
        """
        cells = maps.unflatten(1, (self.height, self.width))
        for sums in window_sums(cells, self.windows):
            yield sums.flatten(1, 2)

    def pool(self, maps: torch.Tensor) -> Iterator[torch.Tensor]:
        """Describe each region by its cells, one scale after the other.

        Averaging is the pooling W.

        Parameters
        ----------
        maps : tensor of shape (N, H·W, K)
            Cells with any number K of channels.

        Yields
        ------
        tensor of shape (N, R_s, K)
            The averages of the R_s regions of scale s, in the order of their numbers;
            for ``pooling="concat"`` (N, R_s, h·w·K), the cells of the h×w windows row
            by row.
        """
        if self.pooling == CONCAT_POOLING:
            yield self._side_by_side(maps)
            return
        for window, sums in zip(self.windows, self.sums(maps), strict=True):
            yield sums / (window[0] * window[1])

    def _side_by_side(self, maps: torch.Tensor) -> torch.Tensor:
        ((height, width),) = self.windows
        cells = maps.unflatten(1, (self.height, self.width))
        windows = cells.unfold(1, height, 1).unfold(2, width, 1)
        return windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(1, 2)
