"""Checks of parameters, labels, classes and parts, with messages that help."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence, Set, Sized
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

__all__ = [
    "Number",
    "OneOf",
    "SequenceOf",
    "check_classes",
    "check_labels",
    "check_parameters",
    "check_whole",
    "class_number",
    "part_numbers",
]

# Containers that have a length but are no list of images; the code that reads the
# images says so with a better message than one about their number.
_NO_LISTS = (str, bytes, bytearray, Mapping, Set)
_CLASSES_NAMED = 10


@dataclass(frozen=True)
class Number:
    """The constraint of a parameter that is a finite number.

    Parameters
    ----------
    least : float
        The smallest value that is allowed.
    above : bool, default=False
        Whether the value must be greater than `least`.
    below : float, default=None
        The value must be less than this; None: there is no such bound.
    at_most : float, default=None
        The largest value that is allowed; None: there is no such bound.
    whole : bool, default=False
        Whether the number must be an integer.
    """

    least: float
    above: bool = False
    below: float | None = None
    at_most: float | None = None
    whole: bool = False

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        kind = Integral if self.whole else Real
        if not isinstance(value, kind) or isinstance(value, (bool, np.bool_)):
            return False
        number: Any = value
        large_enough = number > self.least if self.above else number >= self.least
        return bool(
            large_enough
            and number != float("inf")
            and (self.below is None or number < self.below)
            and (self.at_most is None or number <= self.at_most)
        )

    def __str__(self) -> str:
        noun = "a whole number" if self.whole else "a number"
        text = f"{noun} {'above' if self.above else 'of at least'} {self.least}"
        if self.below is not None:
            text += f" and below {self.below}"
        if self.at_most is not None:
            text += f" and at most {self.at_most}"
        return text


@dataclass(frozen=True)
class OneOf:
    """The constraint of a parameter that is one of several texts.

    Parameters
    ----------
    options : tuple of str
    """

    options: tuple[str, ...]

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        return isinstance(value, str) and value in self.options

    def __str__(self) -> str:
        return f"one of {self.options}"


@dataclass(frozen=True)
class SequenceOf:
    """The constraint of a parameter that is a sequence of at least one number.

    Parameters
    ----------
    each : Number
        What each number must be.
    noun : str
        How the message calls the numbers, for instance "whole numbers of at least 1".
    """

    each: Number
    noun: str

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        return (
            isinstance(value, (Sequence, np.ndarray))
            and not isinstance(value, str)
            and len(value) > 0
            and all(self.each.accepts(number) for number in value)
        )

    def __str__(self) -> str:
        return f"a sequence of {self.noun}"


def check_parameters(estimator) -> None:
    """Check an estimator's parameters against its class's table of constraints.

    Parameters
    ----------
    estimator : BaseEstimator
        Its class has `_parameter_constraints`: for each parameter that is checked, the
        constraints of which one must accept the value; None among them allows None.

    Raises
    ------
    ValueError
        Names the parameter, what is allowed, and the value.
    """
    for name, constraints in type(estimator)._parameter_constraints.items():
        value = getattr(estimator, name)
        if value is None and None in constraints:
            continue
        named = [constraint for constraint in constraints if constraint is not None]
        if not any(constraint.accepts(value) for constraint in named):
            allowed = " or ".join(map(str, named))
            none = ", or None" if None in constraints else ""
            raise ValueError(f"{name} must be {allowed}{none}, got {value!r}.")


def check_labels(estimator, X, y) -> np.ndarray:
    """Check that y holds a class for each of the images X.

    Parameters
    ----------
    estimator : BaseEstimator
        The message names its class.
    X : images or array
        Its length is compared with y's, where it has one.
    y : array-like of shape (n,)

    Returns
    -------
    ndarray of shape (n,)

    Raises
    ------
    ValueError
        If y is missing, of another length, holds NaN, or numbers of a regression.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    missing = [i for i, label in enumerate(y) if label is None]
    if missing:
        raise ValueError(f"y has no label for item {missing[0]}: it is None.")
    check_classification_targets(y)
    if hasattr(X, "shape") or (isinstance(X, Sized) and not isinstance(X, _NO_LISTS)):
        check_consistent_length(X, y)
    return y


def check_classes(estimator, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the classes in checked labels, and check that there are at least two.

    Parameters
    ----------
    estimator : BaseEstimator
        The message names its class.
    y : ndarray of shape (n,)

    Returns
    -------
    classes : ndarray of shape (C,)
        The labels, sorted.
    numbers : int ndarray of shape (n,)
        The position of each image's label in `classes`.

    Raises
    ------
    ValueError
        If there is one class only.
    """
    classes, numbers = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"{type(estimator).__name__} needs at least two classes to tell apart; y "
            f"has {len(classes)} class: {classes.tolist()}."
        )
    return classes, numbers


def check_whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """Check a whole number.

    Parameters
    ----------
    name : str
        How the message calls it.
    value : object
    least : int
    most : int, default=None
        The largest value that is allowed; None: there is no such bound.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the value is not a whole number within the bounds.
    """
    constraint = Number(least, at_most=most, whole=True)
    if not constraint.accepts(value):
        raise ValueError(f"{name} must be {constraint}, got {value!r}.")
    return int(value)  # type: ignore[call-overload]


def class_number(classes: np.ndarray, label) -> int:
    """Find a label among the classes.

    Parameters
    ----------
    classes : ndarray of shape (C,)
    label : number or str

    Returns
    -------
    int
        Its position in `classes`.

    Raises
    ------
    ValueError
        If it is none of them; the message names similar ones.
    """
    if np.ndim(label) != 0:
        raise ValueError(f"a class must be one label, got {label!r}.")
    labels = classes.tolist()
    if label in labels:
        return labels.index(label)
    spelled = {str(known): known for known in labels}
    close = [spelled[name] for name in get_close_matches(str(label), spelled)]
    if close:
        hint = "did you mean " + " or ".join(map(repr, close)) + "?"
    else:
        more = ", …" if len(labels) > _CLASSES_NAMED else ""
        hint = "they are " + ", ".join(map(repr, labels[:_CLASSES_NAMED])) + more
    raise ValueError(f"{label!r} is none of the {len(labels)} classes; {hint}")


def part_numbers(parts, n_parts: int) -> np.ndarray:
    """Check the numbers of some parts.

    Parameters
    ----------
    parts : int, array-like of int, bool array-like of shape (P,), or None
        None: all parts.
    n_parts : int
        P.

    Returns
    -------
    int ndarray
        In the given order.

    Raises
    ------
    IndexError
        If there is no part of such a number.
    TypeError
        If `parts` holds anything but whole numbers.
    """
    if parts is None:
        return np.arange(n_parts)
    array = np.atleast_1d(parts)
    if array.dtype == bool:
        if array.shape != (n_parts,):
            raise IndexError(
                f"a mask of shape {array.shape} does not fit {n_parts} parts."
            )
        return np.flatnonzero(array)
    try:
        numbers = np.array([operator.index(p) for p in array.ravel()], dtype=np.intp)
    except TypeError as error:
        raise TypeError(
            f"parts are named by whole numbers, got {parts!r} ({array.dtype.name}): "
            "the place of a part's name in get_feature_names_out()."
        ) from error
    for number in numbers:
        if not 0 <= number < n_parts:
            raise IndexError(
                f"there is no part {number}: the {n_parts} parts have the numbers 0 "
                f"to {n_parts - 1}."
            )
    return numbers
