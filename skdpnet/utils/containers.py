"""Telling data sets from the other things that may be passed as X."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["is_data_set"]

# Containers with a length and items that are read in other ways than item by item.
_OTHERS = (list, tuple, np.ndarray, str, bytes, bytearray, memoryview, Mapping)


def is_data_set(X: object) -> bool:
    """Return whether X is read item by item, by ``X[i]``, as data sets are.

    Parameters
    ----------
    X : object
        Anything.

    Returns
    -------
    bool
        True for the data sets of torch, torchvision and Hugging Face, and for all
        others that have a length and items by number; False for lists, tuples, dicts,
        arrays, tensors, sparse matrices, columns and data frames.
    """
    kind = type(X)
    if not (hasattr(kind, "__len__") and hasattr(kind, "__getitem__")):
        return False
    # Of data frames, sparse matrices and tensors.
    is_array = any(hasattr(X, name) for name in ("to_numpy", "tocsr", "numel"))
    return not (is_array or isinstance(X, _OTHERS))
