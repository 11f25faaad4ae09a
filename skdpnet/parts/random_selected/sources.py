"""The table of the regions of training images that parts were drawn as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skdpnet.parts.random_selected.selection import Candidates

__all__ = ["check_sources", "source_table"]

_COLUMNS = ("image", "region", "class")


def source_table(
    pools: Sequence[Candidates], labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Make the table `part_sources_` of `RandomSelectedParts`.

    Parameters
    ----------
    pools : sequence of Candidates
        The regions that became the parts of each map.
    labels : int ndarray of shape (n,)
        Class of each training image.

    Returns
    -------
    dict of str to int64 ndarray of shape (P,)
    """
    images = np.concatenate([pool.images for pool in pools])
    regions = np.concatenate([pool.regions for pool in pools])
    columns = (images, regions, labels[images])
    return {
        name: column.astype(np.int64)
        for name, column in zip(_COLUMNS, columns, strict=True)
    }


def check_sources(state: dict[str, Any]) -> None:
    """Check the table `part_sources_` in a model file.

    Parameters
    ----------
    state : dict of str to value
        The attributes of the estimator. `check_part_layout` has checked those that it
        takes.

    Raises
    ------
    ValueError
        If it is not such a table, or if it names a region or class that there is not.
    """
    sources = state["part_sources_"]
    if not isinstance(sources, dict) or tuple(sources) != _COLUMNS:
        raise ValueError("part_sources_ is not a table of sources")
    part_maps = state["part_maps_"]
    n_regions = np.array([grid.n_regions for grid in state["grids_"]])[part_maps]
    below = (np.iinfo(np.int64).max, n_regions, len(state["classes_"]))
    for (name, column), end in zip(sources.items(), below, strict=True):
        if (
            not isinstance(column, np.ndarray)
            or column.dtype != np.int64
            or column.shape != part_maps.shape
            or not ((column >= 0) & (column < end)).all()
        ):
            raise ValueError(f"part_sources_ has no usable column {name!r}")
