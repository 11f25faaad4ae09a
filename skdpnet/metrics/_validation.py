"""Checks that the measures share: shapes, finite numbers, masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def finite(name: str, values: ArrayLike, ndim: int) -> np.ndarray:
    """Return a float64 array of so many axes, none of whose values is NaN or inf."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got the shape {array.shape}.")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} holds {array[where]} at {where}: it must be finite.")
    return array


def mask(name: str, values: ArrayLike, shape: Sequence[int | None]) -> np.ndarray:
    """Return a bool array of a shape, of which None leaves an axis free."""
    array = np.asarray(values)
    fits = array.ndim == len(shape) and all(
        wanted in (None, got) for wanted, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(f"{name} must have the shape ({wanted}), got {array.shape}.")
    if array.dtype != bool:
        raise ValueError(f"{name} must hold True and False, got dtype {array.dtype}.")
    return array
