"""Checks of parameters, numbers, names of classes and numbers of parts."""

from __future__ import annotations

import operator
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np

__all__ = [
    "Number",
    "OneOf",
    "PathName",
    "SequenceOf",
    "TrueOrFalse",
    "check_parameters",
    "check_whole",
    "class_number",
    "composed_text",
    "part_numbers",
]

# Number of classes that a message lists.
_MOST_LISTED = 10


@dataclass(frozen=True)
class Number:
    """The constraint that a parameter is a finite number within bounds.

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
        kind = "a whole number" if self.whole else "a number"
        text = f"{kind} {'above' if self.above else 'of at least'} {self.least}"
        if self.below is not None:
            text += f" and below {self.below}"
        if self.at_most is not None:
            text += f" and at most {self.at_most}"
        return text


@dataclass(frozen=True)
class OneOf:
    """The constraint that a parameter is one of several strings.

    Parameters
    ----------
    options : tuple of str
    """

    options: tuple[str, ...]

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        return isinstance(value, str) and value in self.options

    def __str__(self) -> str:
        one, *others = self.options
        return f"one of {self.options}" if others else repr(one)


class TrueOrFalse:
    """The constraint that a parameter is True or False."""

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        return isinstance(value, (bool, np.bool_))

    def __str__(self) -> str:
        return "True or False"


class PathName:
    """The constraint that a parameter is the path of a file."""

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        return isinstance(value, (str, os.PathLike)) and bool(os.fspath(value))

    def __str__(self) -> str:
        return "the path of a file"


@dataclass(frozen=True)
class SequenceOf:
    """The constraint that a parameter is a sequence of at least one number or name.

    Parameters
    ----------
    each : Number
        The constraint on each number.
    noun : str
        Description of the items in messages: "whole numbers of at least 1".
    names : tuple of str, default=()
        Strings that may be in the place of numbers.
    """

    each: Number
    noun: str
    names: tuple[str, ...] = ()

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        return (
            isinstance(value, (Sequence, np.ndarray))
            and not isinstance(value, str)
            and len(value) > 0
            and all(self._accepts_item(item) for item in value)
        )

    def _accepts_item(self, item: object) -> bool:
        is_name = isinstance(item, str) and item in self.names
        return is_name or self.each.accepts(item)

    def __str__(self) -> str:
        return f"a sequence of {self.noun}"


def check_parameters(estimator) -> None:
    """Check an estimator's parameters against the constraints of its class.

    Parameters
    ----------
    estimator : BaseEstimator
        Its class has a dict `_parameter_constraints` with a list for each parameter
        that is checked. At least one constraint in the list must accept the value; None
        in the list allows None.

    Raises
    ------
    ValueError
        If a value is not allowed; the message names the parameter and its constraints.
    """
    for name, constraints in type(estimator)._parameter_constraints.items():
        value = getattr(estimator, name)
        if value is None and None in constraints:
            continue
        others = [constraint for constraint in constraints if constraint is not None]
        if not any(constraint.accepts(value) for constraint in others):
            allowed = " or ".join(map(str, others))
            or_none = ", or None" if None in constraints else ""
            raise ValueError(f"{name} must be {allowed}{or_none}, got {value!r}.")


def check_whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """Check a whole number.

    Parameters
    ----------
    name : str
        Its name in the message.
    value : object
    least : int
        The smallest value that is allowed.
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


def class_number(classes: np.ndarray, label, noun: str = "class") -> int:
    """Return the number of a class.

    Parameters
    ----------
    classes : ndarray of shape (C,)
    label : number or str
    noun : str, default="class"
        What messages call it: "class" or "target".

    Returns
    -------
    int
        Index of the label in `classes`. Text may be in another Unicode form.

    Raises
    ------
    ValueError
        If it is not in `classes`; the message names similar labels.
    """
    if np.ndim(label) != 0:
        raise ValueError(f"a {noun} must be one label, got {label!r}.")
    labels = classes.tolist()
    if label in labels:
        return labels.index(label)
    if isinstance(label, str):
        # A Mac writes é as two characters, and other systems as one.
        texts = [isinstance(other, str) and composed_text(other) for other in labels]
        if texts.count(composed_text(label)) == 1:
            return texts.index(composed_text(label))
    by_spelling = {str(other): other for other in labels}
    similar = [by_spelling[text] for text in get_close_matches(str(label), by_spelling)]
    if similar:
        hint = "did you mean " + " or ".join(map(repr, similar)) + "?"
    else:
        more = ", …" if len(labels) > _MOST_LISTED else ""
        hint = "they are " + ", ".join(map(repr, labels[:_MOST_LISTED])) + more
    several = "classes" if noun == "class" else f"{noun}s"
    raise ValueError(f"{label!r} is none of the {len(labels)} {several}; {hint}")


def composed_text(label: str) -> str:
    """Return text in the one of its Unicode forms that most systems write.

    Parameters
    ----------
    label : str

    Returns
    -------
    str
        In Unicode's normal form C.
    """
    return unicodedata.normalize("NFC", label)


def part_numbers(parts, n_parts: int) -> np.ndarray:
    """Return the numbers of some parts, after checking them.

    Parameters
    ----------
    parts : int, array-like of int, bool array-like of shape (P,), or None
        The numbers, or a mask; None: all parts.
    n_parts : int
        P.

    Returns
    -------
    int ndarray
        The numbers in the order in which they were passed.

    Raises
    ------
    IndexError
        If there is no part with such a number, or if a mask has another length.
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
        numbers = np.array([operator.index(n) for n in array.ravel()], dtype=np.intp)
    except TypeError as error:
        raise TypeError(
            f"parts are named by whole numbers, got {parts!r} ({array.dtype.name}): "
            "the number of a part is the index of its name in get_part_names()."
        ) from error
    for number in numbers:
        if not 0 <= number < n_parts:
            raise IndexError(
                f"there is no part {number}: the {n_parts} parts have the numbers 0 "
                f"to {n_parts - 1}."
            )
    return numbers
