"""One array for the maps of all images: structured, where images have several maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["array_type", "separate"]


def separate(maps: np.ndarray) -> list[np.ndarray]:
    """Split what `FeatureMaps.transform` returns into one array (n, …) for each map.

    Parameters
    ----------
    maps : ndarray of shape (n, H, W, D), or structured array of shape (n,)

    Returns
    -------
    list of ndarray of shape (n, H, W, D)
    """
    if maps.dtype.names is None:
        return [maps]
    return [maps[name] for name in maps.dtype.names]


def array_type(
    n_images: int, batch: Sequence[np.ndarray]
) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype of the array of all images, from the maps of a batch.

    Parameters
    ----------
    n_images : int
    batch : sequence of ndarray of shape (n', H, W, D)
        One for each map.

    Returns
    -------
    shape : tuple of int
    dtype : numpy dtype
        With a field for each map, if there are several.
    """
    if len(batch) == 1:
        return (n_images, *batch[0].shape[1:]), batch[0].dtype
    fields = [(f"map{i}", maps.dtype, maps.shape[1:]) for i, maps in enumerate(batch)]
    return (n_images,), np.dtype(fields)
