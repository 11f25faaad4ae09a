"""Regions drawn blindly: what measures of places give by chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skdpnet.regions import RegionGrid
from skdpnet.utils.validation import check_whole

__all__ = ["random_regions", "same_size"]


def random_regions(
    grids: Sequence[RegionGrid],
    n_images: int,
    n_parts: int,
    random_state: int | np.random.RandomState | None = None,
    *,
    part_maps: ArrayLike | None = None,
    like: ArrayLike | None = None,
) -> np.ndarray:
    """Draw regions blindly: what the measures of places give by chance.

    Parameters
    ----------
    grids : sequence of RegionGrid
        Regions of each map: an estimator's ``grids_``.
    n_images, n_parts : int
        n and P.
    random_state : int, RandomState or None, default=None
    part_maps : int array-like of shape (P,), default=None
        Map of each part: each part's regions are drawn from its own map. None: from
        the regions of all maps, all alike.
    like : int array-like of shape (n, P), default=None
        Numbers of regions in the parts' own maps, `BestRegions.regions`: the regions
        drawn have the same sizes, so that only their places are by chance. Needs
        `part_maps` where there are several maps.

    Returns
    -------
    float64 ndarray of shape (n, P, 4)
        (left, top, right, bottom) in shares of the maps' sides;
        `skdpnet.images.geometry.Geometry` brings them to an image's pixels.

    Raises
    ------
    ValueError
        If the shapes do not fit, or there is no such map or region.
    """
    random = check_random_state(random_state)
    n = check_whole("n_images", n_images, 0)
    p = check_whole("n_parts", n_parts, 0)
    if like is not None and part_maps is None:
        if len(grids) != 1:
            raise ValueError(f"like needs part_maps: there are {len(grids)} maps.")
        part_maps = np.zeros(p, int)
    if part_maps is None:
        boxes = np.concatenate([grid.boxes() for grid in grids])
        return boxes[random.randint(len(boxes), size=(n, p))]
    maps = np.asarray(part_maps)
    if maps.shape != (p,) or not np.isin(maps, np.arange(len(grids))).all():
        raise ValueError(
            f"part_maps must hold {p} numbers of maps, from 0 to {len(grids) - 1}."
        )
    wanted = None if like is None else np.asarray(like)
    if wanted is not None and wanted.shape != (n, p):
        raise ValueError(f"like must have the shape ({n}, {p}), got {wanted.shape}.")
    out = np.empty((n, p, 4))
    for i, grid in enumerate(grids):
        own = maps == i
        if wanted is None:
            drawn = random.randint(grid.n_regions, size=(n, int(own.sum())))
        else:
            drawn = same_size(grid, wanted[:, own], random)
        out[:, own] = grid.boxes()[drawn]
    return out


def same_size(
    grid: RegionGrid, regions: np.ndarray, random: np.random.RandomState
) -> np.ndarray:
    """Draw for each region one of its window's size, each place alike.

    Parameters
    ----------
    grid : RegionGrid
    regions : int ndarray of any shape
    random : RandomState

    Returns
    -------
    int ndarray of the same shape
        May by chance be the same regions.

    Raises
    ------
    ValueError
        If there is no such region.
    """
    if not np.isin(regions, np.arange(grid.n_regions)).all():
        raise ValueError(f"regions have numbers from 0 to {grid.n_regions - 1}.")
    counts = np.array(
        [
            (grid.height - height + 1) * (grid.width - width + 1)
            for height, width in grid.windows
        ]
    )
    ends = np.cumsum(counts)
    scale = np.searchsorted(ends, regions, side="right")
    return (ends - counts)[scale] + random.randint(counts[scale])
