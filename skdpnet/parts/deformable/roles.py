"""Which feature map roots and parts are on, and in which order parts are numbered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skdpnet.regions.grid import RegionGrid

__all__ = ["PartLayout", "Roles", "grid_of_cells", "part_layout", "roles_of"]


class Roles(NamedTuple):
    """The numbers of the maps that roots and parts are on.

    Attributes
    ----------
    coarse : int
        The map of the roots.
    fine : int or None
        The map of the parts; None: there is only one map, and stars have no parts.
    """

    coarse: int
    fine: int | None


class PartLayout(NamedTuple):
    """What each of P filters is, in the order of the descriptor.

    Attributes
    ----------
    stars : int64 ndarray of shape (P,)
        Numbers of the stars, where those of one class follow those of another.
    parts : int64 ndarray of shape (P,)
        The number of a part in its star; −1 for a root.
    maps : int64 ndarray of shape (P,)
        Numbers of the maps.
    """

    stars: np.ndarray
    parts: np.ndarray
    maps: np.ndarray


def grid_of_cells(maps: np.ndarray) -> RegionGrid:
    """Return the grid of the single cells of maps (n, H, W, D)."""
    height, width = maps.shape[1:3]
    return RegionGrid(height, width, ((1, 1),))


def roles_of(grids: Sequence[RegionGrid]) -> Roles:
    """Find the map of the roots and the map of the parts.

    Parameters
    ----------
    grids : sequence of RegionGrid
        The layout of each map.

    Returns
    -------
    Roles
        Roots are on the map of fewer cells; of equal ones, on the last.

    Raises
    ------
    ValueError
        If there are more than two maps, or if the map with more cells has fewer rows
        or columns than the other.
    """
    if len(grids) > 2:
        raise ValueError(
            "DeformableParts takes one or two feature maps of several cells, a coarse "
            f"one for roots and a fine one for parts, but there are {len(grids)}: name "
            "two strides, such as strides=(16, 32)."
        )
    if len(grids) == 1:
        return Roles(0, None)
    sizes = [grid.height * grid.width for grid in grids]
    coarse = 0 if sizes[0] < sizes[1] else 1
    roots, parts = grids[coarse], grids[1 - coarse]
    if parts.height < roots.height or parts.width < roots.width:
        raise ValueError(
            "DeformableParts needs a map for parts that is at least as fine as that of "
            f"the roots along both sides, but the maps have {parts.height}×"
            f"{parts.width} and {roots.height}×{roots.width} cells."
        )
    return Roles(coarse, 1 - coarse)


def part_layout(roles: Roles, n_classes: int, n_stars: int, n_parts: int) -> PartLayout:
    """Return the order of roots and parts: map by map, and on each star by star.

    Parameters
    ----------
    roles : Roles
    n_classes, n_stars, n_parts : int
        Numbers of classes, of stars of each class, and of parts of each star.

    Returns
    -------
    PartLayout
    """
    stars = np.arange(n_classes * n_stars)
    kinds = {roles.coarse: (stars, np.full(len(stars), -1))}
    if roles.fine is not None:
        kinds[roles.fine] = (
            np.repeat(stars, n_parts),
            np.tile(np.arange(n_parts), len(stars)),
        )
    columns = [(*kinds[number], number) for number in sorted(kinds)]
    return PartLayout(
        np.concatenate([of_map for of_map, _, _ in columns]),
        np.concatenate([numbers for _, numbers, _ in columns]),
        np.concatenate([np.full(len(a), number) for a, _, number in columns]),
    )
