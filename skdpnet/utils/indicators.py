"""Indicator matrices: which of several classes each image has."""

from __future__ import annotations

import warnings
from collections.abc import Set, Sized
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_consistent_length

__all__ = ["check_indicators", "is_matrix", "memberships"]

_HINT = (
    "an indicator matrix has a row for each image, and in the column of each class 1 "
    "if the image has it and 0 if not; sklearn.preprocessing.MultiLabelBinarizer makes "
    "it of lists of labels"
)


def is_matrix(y: Any) -> bool:
    """Return whether y is meant to say several things of each image.

    Parameters
    ----------
    y : object
        As passed to `fit`.

    Returns
    -------
    bool
        True for sparse matrices, for arrays and tables of two dimensions, and for lists
        whose items are lists. A single column is labels, one of each image.
    """
    if issparse(y):
        return True
    shape = getattr(y, "shape", None)
    if shape is not None and not (isinstance(y, np.ndarray) and y.dtype == object):
        return len(shape) == 2 and shape[1] != 1
    if not isinstance(y, (list, tuple, np.ndarray)):
        return False
    return any(_is_list(row) and len(row) != 1 for row in y)


def check_indicators(
    estimator, X, y, n_classes: int | None = None, warn: bool = False
) -> np.ndarray:
    """Check that y says which of several classes each of the images has.

    Parameters
    ----------
    estimator : BaseEstimator
        Messages name its class.
    X : images or array
        Its length is compared with that of y, if it has a length.
    y : array-like, sparse matrix or DataFrame of shape (n, K)
        Of 0 and 1, or of False and True.
    n_classes : int, default=None
        The number K that the model knows. None: any from 2 on.
    warn : bool, default=False
        Whether to warn of classes that no image has.

    Returns
    -------
    int64 ndarray of shape (n, K)

    Raises
    ------
    ValueError
        If y is not such a matrix, or has another number of rows or columns; the message
        names the first wrong number.

    Warns
    -----
    UserWarning
        If no image has a class: its score then says nothing about images.
    """
    name = type(estimator).__name__
    try:
        array = y.toarray() if issparse(y) else np.asarray(y)
    except ValueError as error:
        raise ValueError(f"y has rows of several lengths: {_HINT}.") from error
    if array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(f"y has shape {array.shape}, which is no matrix: {_HINT}.")
    if array.dtype.kind in "biuf":
        wrong = (array != 0) & (array != 1)
    else:
        right = [[_is_zero_or_one(item) for item in row] for row in array.tolist()]
        wrong = ~np.array(right, bool).reshape(array.shape)
    if isinstance(y, np.ma.MaskedArray):
        wrong |= np.ma.getmaskarray(y)
    if wrong.any():
        row, column = np.argwhere(wrong)[0].tolist()
        item = array[row, column]
        shown = item.item() if isinstance(item, np.generic) else item
        raise ValueError(
            f"y holds {shown!r} for image {row} in column {column}, which is neither 0 "
            f"nor 1: {_HINT}."
        )
    if isinstance(X, Sized) and not isinstance(X, (str, bytes, dict)):
        check_consistent_length(X, array)
    if n_classes is not None and array.shape[1] != n_classes:
        raise ValueError(
            f"y has {array.shape[1]} columns, but {name} was fitted on {n_classes} "
            "classes."
        )
    indicators = array.astype(np.int64)
    lacking = np.flatnonzero(~indicators.any(axis=0))
    if warn and len(lacking):
        listed = ", ".join(map(str, lacking[:10].tolist()))
        warnings.warn(
            f"no image has the class of column {listed} of y: its score and its parts "
            "say nothing about images. Leave it out, or add images that have it.",
            UserWarning,
            stacklevel=4,
        )
    return indicators


def memberships(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return which images belong to each class.

    Parameters
    ----------
    labels : int ndarray of shape (n,) or (n, C)
        The class of each image; or an indicator matrix, by which an image may belong
        to several classes, or to none.
    n_classes : int

    Returns
    -------
    bool ndarray of shape (n, C)
    """
    if labels.ndim == 2:
        return labels != 0
    return labels[:, None] == np.arange(n_classes)


def _is_zero_or_one(item: Any) -> bool:
    try:
        return not isinstance(item, (str, bytes)) and bool(item in (0, 1))
    except (TypeError, ValueError):
        return False


def _is_list(item: Any) -> bool:
    is_array = isinstance(item, np.ndarray) and item.ndim > 0
    return is_array or isinstance(item, (list, tuple, Set))
