"""The classes that own each prototype, where classes share them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["check_owners", "only_owner"]


def only_owner(own: np.ndarray) -> np.ndarray:
    """Return the class of each prototype that a single class owns.

    Parameters
    ----------
    own : bool ndarray of shape (C, P)
        The classes that own each prototype.

    Returns
    -------
    int ndarray of shape (P,)
        −1 for a prototype of several classes or of none.
    """
    return np.where(own.sum(axis=0) == 1, own.argmax(axis=0), -1)


def check_owners(own: Any, part_classes: np.ndarray, n_classes: int) -> None:
    """Check the fitted attribute `prototype_classes_` in a model file.

    Parameters
    ----------
    own : bool ndarray of shape (C, P)
    part_classes : int ndarray of shape (P,)
        The attribute `part_classes_`, which was checked by itself.
    n_classes : int

    Raises
    ------
    ValueError
        If it is not such an array, or if the two do not belong together.
    """
    shape = (n_classes, len(part_classes))
    if not isinstance(own, np.ndarray) or own.dtype != bool or own.shape != shape:
        raise ValueError(f"prototype_classes_ is not an array of bool of shape {shape}")
    if (only_owner(own) != part_classes).any():
        raise ValueError("prototype_classes_ and part_classes_ name different classes")
