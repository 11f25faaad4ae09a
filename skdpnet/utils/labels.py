"""Checks of labels and classes: no label is missing, and none is two at once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, KeysView, Mapping, Set, Sized, ValuesView
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skdpnet.utils.containers import is_data_set

__all__ = [
    "as_labels",
    "check_classes",
    "check_labels",
    "check_running_classes",
    "label_objects",
    "warn_of_unknown_labels",
]

# Types that have a length but are not lists of images. Their length is not compared
# with that of y, because the code that reads the images raises a more helpful error.
_NOT_LISTS = (str, bytes, bytearray, Mapping, Set)
# What a missing label is where labels became text, which no class is called.
_MISSING_TEXTS = ("nan", "NaN", "NaT", "<NA>")
_LABELS_OF = " X is a data set: y = skdpnet.datasets.labels_of(X) returns its labels."
_TEXT_HINT = "a missing label turned to text; a class needs another name"
# Number of items or labels that a message lists.
_MOST_LISTED = 10


def as_labels(y, name: str = "y") -> np.ndarray:
    """Return labels as an array, after checking that none is missing.

    Parameters
    ----------
    y : array-like of shape (n,)
        Text or numbers.
    name : str, default="y"
        What messages call them.

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If labels are missing: None, NaN, pandas' NA and NaT, a masked entry, or the
        text that NumPy and pandas make of these; if numbers are infinite; if text and
        numbers are mixed, which NumPy would turn to text, so that 1 and "1" became a
        single class; or if y has no order, or more than one dimension.

    Warns
    -----
    UserWarning
        If some labels are empty text, as a missing label in a file is, and others not.
    """
    if isinstance(y, np.ndarray) and y.dtype.kind == "T":
        y = y.astype(object)  # scikit-learn does not know NumPy's StringDType
    is_array = isinstance(y, np.ndarray) and y.dtype != object
    items = np.asarray(y) if is_array else label_objects(y, name)
    if items.ndim == 0 or items.size != len(items):
        return column_or_1d(y, warn=True)  # raises: these are not n labels
    is_masked = np.zeros(len(items), bool)
    if isinstance(y, np.ma.MaskedArray):
        is_masked = np.ma.getmaskarray(y).ravel()
    _refuse_missing(items.ravel(), is_masked, name)
    if not is_array:
        _refuse_mixed(items.ravel(), name)
    _warn_of_blank(items.ravel(), name)
    labels = column_or_1d(y, warn=True)
    return labels if is_array else _plain(items.ravel(), labels)


def _plain(items: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return labels that are objects as plain text or numbers."""
    kinds = set(map(type, items)) - {str, np.str_}
    if any(issubclass(kind, str) for kind in kinds):
        # NumPy would take the names of members of a StrEnum, cut to its longest value.
        return np.array([str.__str__(item) for item in items])
    if labels.dtype == object:
        numbers = np.array(items.tolist())
        return numbers if numbers.dtype.kind in "biuf" else labels
    return labels


def label_objects(y, name: str = "y") -> np.ndarray:
    """Return labels as an array of objects, in which text and numbers stay apart.

    Parameters
    ----------
    y : array-like
    name : str, default="y"
        What messages call them.

    Returns
    -------
    ndarray of objects
        Of the shape of y; None where y is masked.

    Raises
    ------
    ValueError
        If y has no order of its own.
    """
    _check_order(y, name)
    if isinstance(y, np.ma.MaskedArray):
        items = np.array(y.data, dtype=object)
        items[np.ma.getmaskarray(y)] = None
        return items
    return np.asarray(y, dtype=object)


def _check_order(y, name: str) -> None:
    """Refuse collections without an order of their own, or with labels of another."""
    kind = type(y).__name__
    if isinstance(y, Mapping):
        raise ValueError(
            f"{name} is of type {kind}: pass a list with the label of each image, such "
            f"as [{name}[image] for image in X]."
        )
    if isinstance(y, (Iterator, KeysView, ValuesView)):
        raise ValueError(f"{name} is of type {kind}: use list({name}).")
    if isinstance(y, Set):
        raise ValueError(
            f"{name} is of type {kind}, which has no order: pass a list instead."
        )


def _refuse_missing(items: np.ndarray, is_masked: np.ndarray, name: str) -> None:
    """Refuse labels that are missing or infinite, and name the first of them."""
    kind = items.dtype.kind
    is_missing = is_masked
    if kind in "fcmM":
        is_missing = is_masked | ~np.isfinite(items)
    elif kind in "USO" and not _are_common(items.tolist()):
        is_missing = is_masked | np.fromiter(map(_is_missing, items), bool, len(items))
    numbers = np.flatnonzero(is_missing)
    if len(numbers) == 0:
        return
    shown = ["masked" if is_masked[i] else _shown(items[i]) for i in numbers]
    listed = [
        f"item {i} ({label})"
        for i, label in zip(numbers[:_MOST_LISTED], shown, strict=False)
    ]
    more = len(numbers) - len(listed)
    is_text = any(label in map(repr, _MISSING_TEXTS) for label in shown)
    raise ValueError(
        f"{name} has no label for {', '.join(listed)}"
        + (f" and {more} more" if more else "")
        + ": label them, or leave their images out"
        + (f" ({_TEXT_HINT})." if is_text else ".")
    )


def _are_common(items: list) -> bool:
    """Return at once whether no item can be missing, as in most lists of labels."""
    types = set(map(type, items))
    return types <= {str, int, bool} and set(_MISSING_TEXTS).isdisjoint(items)


def _is_missing(label: Any) -> bool:
    """Return whether an object stands for no label, or is infinite."""
    if isinstance(label, (str, bytes)):
        text = label.decode(errors="replace") if isinstance(label, bytes) else label
        return text in _MISSING_TEXTS
    if label is None or label is np.ma.masked:
        return True
    try:
        # NaN and NaT are not equal to themselves; whether pandas' NA is, is not known.
        return bool(label != label) or label in (float("inf"), float("-inf"))
    except (TypeError, ValueError, ArithmeticError):
        return True


def _shown(label: Any) -> str:
    """Return a label as messages show it: NumPy's numbers as numbers."""
    return repr(label.item() if isinstance(label, (np.floating, np.str_)) else label)


def _refuse_mixed(items: np.ndarray, name: str) -> None:
    """Refuse text among other labels, which NumPy would turn to text as well."""
    if len(set(map(type, items))) < 2:
        return
    first: dict[str, int] = {}
    for i, item in enumerate(items):
        kinds = {str: "text", bytes: "bytes"}
        kind = next((kinds[k] for k in kinds if isinstance(item, k)), "numbers")
        first.setdefault(kind, i)
    if len(first) > 1:
        examples = " and ".join(
            f"item {i} is {_shown(items[i])}" for i in first.values()
        )
        raise ValueError(
            f"{name} mixes {' and '.join(first)}: {examples}; as text, labels such as "
            "1 and '1' would be a single class. Write all labels in the same way."
        )


def _warn_of_blank(items: np.ndarray, name: str) -> None:
    """Warn of empty labels beside others: a class of that name is allowed, but rare."""
    if items.dtype.kind not in "UO":
        return
    distinct = {x for x in items.tolist() if isinstance(x, str)}
    blanks = {x for x in distinct if not x.strip()}
    if blanks and blanks != distinct:
        blank = [i for i, x in enumerate(items) if isinstance(x, str) and x in blanks]
        some = ", ".join(map(str, blank[:_MOST_LISTED]))
        more = ", …" if len(blank) > _MOST_LISTED else ""
        warnings.warn(
            f"{name} holds empty labels (items {some}{more}), which make a class of "
            "their own: if these labels are missing, leave their images out.",
            UserWarning,
            stacklevel=4,
        )


def check_labels(estimator, X, y) -> np.ndarray:
    """Check that y holds a label for each of the images X.

    Parameters
    ----------
    estimator : BaseEstimator
        Messages name its class.
    X : images or array
        Its length is compared with that of y, if it has a length.
    y : array-like of shape (n,)

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If y is None or has another length than X; as `as_labels`; or if labels are
        continuous numbers, as in regression.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            f"None.{_LABELS_OF if is_data_set(X) else ''}"
        )
    y = as_labels(y)
    check_classification_targets(y)
    if hasattr(X, "shape") or (isinstance(X, Sized) and not isinstance(X, _NOT_LISTS)):
        check_consistent_length(X, y)
    return y


def check_classes(estimator, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the classes in checked labels, and check that there are at least two.

    Parameters
    ----------
    estimator : BaseEstimator
        Messages name its class.
    y : ndarray of shape (n,)
        Labels, as from `check_labels`.

    Returns
    -------
    classes : ndarray of shape (C,)
        The distinct labels, sorted.
    numbers : int ndarray of shape (n,)
        The class of each image, as an index into `classes`.

    Raises
    ------
    ValueError
        If there are fewer than two classes.
    """
    classes, numbers = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs labels of at least two classes; y has "
            f"{len(classes)} class: {classes.tolist()}."
        )
    return classes, numbers


def check_running_classes(
    y: np.ndarray, classes, known: np.ndarray | None
) -> np.ndarray:
    """Check the labels and classes of a call of `partial_fit`.

    Parameters
    ----------
    y : ndarray of shape (n,)
        The labels, which may be of fewer classes.
    classes : array-like of shape (C,) or None
        All labels, as passed to the call.
    known : ndarray of shape (C,) or None
        The sorted classes of the first call. None: this is the first call.

    Returns
    -------
    ndarray of shape (C,)
        The sorted classes.

    Raises
    ------
    ValueError
        If there are fewer than two classes, if they differ from those of the first
        call, or if y holds a label that is not among them.
    """
    if classes is not None:
        classes = np.unique(as_labels(classes, "classes"))
    if known is None:
        known = np.unique(y) if classes is None else classes
        if len(known) < 2:
            raise ValueError(
                "the first call of partial_fit needs at least two classes, in classes= "
                "or in y."
            )
    elif classes is not None and classes.tolist() != known.tolist():
        raise ValueError(
            f"classes={classes.tolist()!r} differ from those of the first call, "
            f"{known.tolist()!r}."
        )
    unknown = _unknown_items(y, known)
    if unknown:
        raise ValueError(
            f"y holds labels that are not among the classes: {list(unknown)!r}."
        )
    return known


def warn_of_unknown_labels(y: np.ndarray, classes: np.ndarray) -> None:
    """Warn of labels that a model does not know, and so can only predict wrongly.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels, as from `as_labels`.
    classes : ndarray of shape (C,)
        The labels that the model knows.

    Raises
    ------
    ValueError
        If y holds text and the classes are numbers, or the reverse: then the two were
        not labelled in the same way.
    """
    unknown = _unknown_items(y, classes)
    if not unknown:
        return
    label, i = next(iter(unknown.items()))
    known = classes.tolist()
    if isinstance(label, str) != isinstance(known[0], str):
        raise ValueError(
            f"y holds {label!r} (item {i}), but the classes of the model are "
            f"{_listed(known)}: label the images as those that it was fitted on."
        )
    warnings.warn(
        f"y holds labels that the model does not know: {_listed(list(unknown))}, the "
        f"first at item {i}. Images with these labels count as wrong; the model knows "
        f"{_listed(known)}.",
        UserWarning,
        stacklevel=3,
    )


def _unknown_items(y: np.ndarray, classes: np.ndarray) -> dict[Any, int]:
    """Return the labels that are not among the classes, with the first item of each."""
    found, items = np.unique(y, return_index=True)
    # Compared as Python's objects: NumPy would compare numbers and text as text.
    known = set(classes.tolist())
    pairs = zip(found.tolist(), items.tolist(), strict=True)
    return {label: i for label, i in pairs if label not in known}


def _listed(labels: list) -> str:
    more = ", …" if len(labels) > _MOST_LISTED else ""
    return ", ".join(map(repr, labels[:_MOST_LISTED])) + more
