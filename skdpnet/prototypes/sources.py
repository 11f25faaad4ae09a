"""The table of the regions of training images that prototypes come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skdpnet.prototypes.projection import Projection

__all__ = ["check_sources", "source_table"]

_COLUMNS = ("image", "region", "left", "top", "right", "bottom", "distance")
_NUMBERS = ("image", "region")


def source_table(
    regions: Sequence[np.ndarray],
    learned: Projection,
    images: np.ndarray,
    boxes: np.ndarray,
) -> dict[str, np.ndarray]:
    """Make the table `prototype_sources_`, which `with_shared_parameters` documents.

    Parameters
    ----------
    regions : sequence of float32 ndarrays of shape (n, R, K)
        The region descriptors of each map of the training images.
    learned : Projection
        The prototypes, and the image (a row of `regions`) and region of each.
    images : int64 ndarray of shape (P,)
        The numbers of these images in X; −1 for prototypes without a source.
    boxes : float64 ndarray of shape (P, 4)
        The boxes of the regions.

    Returns
    -------
    dict of str to ndarray of shape (P,)
    """
    places = np.where(images >= 0, learned.regions, -1)
    columns = (images, places, *boxes.T, _distances(regions, learned))
    named = zip(_COLUMNS, columns, strict=True)
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


def _distances(regions: Sequence[np.ndarray], learned: Projection) -> np.ndarray:
    """Return the squared distance of each prototype to its source, or −1, (P,)."""
    distances, first = np.full(len(learned.images), -1.0), 0
    for of_map, on_map in zip(regions, learned.prototypes, strict=True):
        for i, prototype in enumerate(on_map, first):
            if learned.images[i] >= 0:
                source = of_map[learned.images[i], learned.regions[i]]
                distances[i] = np.square(source - prototype).sum()
        first += len(on_map)
    return distances
