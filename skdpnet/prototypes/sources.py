"""The table of the regions of training images that prototypes come from."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["check_sources", "source_table"]

_COLUMNS = ("image", "region", "left", "top", "right", "bottom")
_NUMBERS = ("image", "region")


def source_table(
    images: np.ndarray, regions: np.ndarray, boxes: np.ndarray
) -> dict[str, np.ndarray]:
    """Make the table `prototype_sources_`, which `with_shared_parameters` documents.

    Parameters
    ----------
    images, regions : int64 ndarrays of shape (P,)
        The number of the image in X that each prototype comes from, and that of the
        region in the grid of its map; −1 for prototypes without a source.
    boxes : float64 ndarray of shape (P, 4)
        The boxes of the regions.

    Returns
    -------
    dict of str to ndarray of shape (P,)
    """
    named = zip(_COLUMNS, (images, regions, *boxes.T), strict=True)
    return {name: np.ascontiguousarray(column) for name, column in named}


def check_sources(sources: Any, n_prototypes: int) -> None:
    """Check a table of sources in a model file.

    Parameters
    ----------
    sources : dict of str to ndarray
    n_prototypes : int

    Raises
    ------
    ValueError
        If it is not such a table; the message says which column is wrong.
    """
    if not isinstance(sources, dict) or tuple(sources) != _COLUMNS:
        raise ValueError("prototype_sources_ is not a table of sources")
    for name, column in sources.items():
        dtype = np.int64 if name in _NUMBERS else np.float64
        if (
            not isinstance(column, np.ndarray)
            or column.shape != (n_prototypes,)
            or column.dtype != dtype
            or not np.isfinite(column).all()
        ):
            raise ValueError(f"prototype_sources_ has no usable column {name!r}")
