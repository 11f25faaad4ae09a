"""Checks that the measures share: shapes, finite numbers, boolean masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["check_finite", "check_mask"]


def check_finite(name: str, values: ArrayLike, ndim: int) -> np.ndarray:
    """Return the values as a float64 array; it must be finite and have `ndim` axes."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got the shape {array.shape}.")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} holds {array[where]} at {where}: it must be finite.")
    return array


def check_mask(name: str, values: ArrayLike, shape: Sequence[int | None]) -> np.ndarray:
    """Return the values as a bool array of a shape, in which None allows any length."""
    array = np.asarray(values)
    fits = array.ndim == len(shape) and all(
        expected in (None, length)
        for expected, length in zip(shape, array.shape, strict=True)
    )
    if not fits:
        expected = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(f"{name} must have the shape ({expected}), got {array.shape}.")
    if array.dtype != bool:
        raise ValueError(f"{name} must hold True and False, got dtype {array.dtype}.")
    return array
