"""Checks of the targets of regressors: a finite number of each image, or several."""

from __future__ import annotations

from collections.abc import Sized

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_consistent_length

__all__ = ["check_target_values"]

# Predictions are sums of products with them, which must be finite.
_LARGEST = 1e100


def check_target_values(
    estimator, X, y, n_targets: int | None = None
) -> tuple[np.ndarray, bool]:
    """Check that y holds one or several finite numbers for each of the images X.

    Parameters
    ----------
    estimator : BaseEstimator
        Messages name its class.
    X : images or array
        Its length is compared with that of y, if it has a length.
    y : array-like of shape (n,) or (n, T)
    n_targets : int, default=None
        The number T that the model predicts. None: any from 1 on.

    Returns
    -------
    values : float64 ndarray of shape (n, T)
    is_vector : bool
        Whether y has the shape (n,).

    Raises
    ------
    ValueError
        If y is None, holds anything but finite numbers (the message names the first
        item that is none), or has another length than X.
    """
    name = type(estimator).__name__
    if y is None:
        raise ValueError(
            f"{name} requires y to be passed, but the target y is None: pass the "
            "number that is to be predicted for each image."
        )
    items = y.toarray() if issparse(y) else np.asarray(y)
    if items.ndim not in (1, 2) or items.size == 0:
        raise ValueError(
            f"y must have a number for each image, or a row of numbers, but has shape "
            f"{items.shape}."
        )
    if items.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: y holds complex numbers, but {name} predicts "
            "real ones."
        )
    if items.dtype.kind not in "biuf":
        items = _from_objects(items, name)
    is_missing = np.ma.getmaskarray(y) if isinstance(y, np.ma.MaskedArray) else False
    values = np.ascontiguousarray(items, np.float64)
    is_bad = ~(np.abs(values) <= _LARGEST) | is_missing
    if is_bad.any():
        place = np.argwhere(is_bad)[0].tolist()
        kind = "NaN" if np.isnan(values[tuple(place)]) else f"{values[tuple(place)]}"
        where = f"item {place[0]}" + (f", target {place[1]}" if len(place) > 1 else "")
        raise ValueError(
            f"Input y contains {kind} ({where}): {name} takes finite numbers, up to "
            f"{_LARGEST:g}. Leave images without a target out."
        )
    if isinstance(X, Sized) and not isinstance(X, (str, bytes, dict)):
        check_consistent_length(X, values)
    is_vector = values.ndim == 1
    values = values.reshape(len(values), -1)
    if n_targets is not None and values.shape[1] != n_targets:
        raise ValueError(
            f"y has {values.shape[1]} targets, but {name} was fitted on {n_targets}."
        )
    return values, is_vector


def _from_objects(items: np.ndarray, name: str) -> np.ndarray:
    """Convert numbers that are Python objects; name the first item that is none."""
    for place, item in np.ndenumerate(items):
        is_text = isinstance(item, (str, bytes))
        try:
            if is_text:
                raise TypeError
            float(item)
        except (TypeError, ValueError):
            if item is None or type(item).__name__ in ("NAType", "NaTType"):
                continue
            hint = ": DPNetClassifier takes labels" if is_text else ""
            raise ValueError(
                f"y holds {item!r} (item {place[0]}), but {name} predicts numbers"
                f"{hint}."
            ) from None
    is_missing = np.frompyfunc(
        lambda item: type(item).__name__ in ("NoneType", "NAType", "NaTType"), 1, 1
    )(items).astype(bool)
    return np.where(is_missing, np.nan, items).astype(np.float64)
