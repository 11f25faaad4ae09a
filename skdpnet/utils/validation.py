"""Checks of parameters and labels, with messages that say what would be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set, Sized
from numbers import Integral, Real

import numpy as np
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

__all__ = ["check_labels", "check_parameters", "whole"]

# name -> (type, least, strictly greater?, most, None allowed?)
_NUMBERS: dict[str, tuple[type, float, bool, float | None, bool]] = {
    "n_parts_per_class": (Integral, 1, False, None, False),
    "n_components": (Integral, 1, False, None, True),
    "beta": (Real, 0, True, None, True),
    "orthogonality_weight": (Real, 0, False, None, False),
    "assignment_weight": (Real, 0, False, None, False),
    "assignment_temperature": (Real, 0, True, None, False),
    "specificity_weight": (Real, 0, False, None, False),
    "C": (Real, 0, True, None, False),
    "ridge": (Real, 0, True, None, False),
    "label_smoothing": (Real, 0, False, 1, False),
    "dropout": (Real, 0, False, 1, False),
    "max_epochs": (Integral, 0, False, None, False),
    "lr": (Real, 0, True, None, False),
    "classifier_lr": (Real, 0, True, None, False),
    "batch_size": (Integral, 1, False, None, False),
    "validation_fraction": (Real, 0, True, 1, True),
    "n_iter_no_change": (Integral, 1, False, None, False),
    "n_candidates": (Integral, 1, False, None, True),
    "beta_start": (Real, 0, True, None, False),
    "beta_end": (Real, 0, True, None, False),
    "n_rounds": (Integral, 1, False, None, False),
}
_CHOICES = {"specificity_form": ("absolute", "square", "signed")}
# What has a length, but no images to count; whoever reads them says so.
_NO_LISTS = (str, bytes, bytearray, Mapping, Set)


def check_parameters(estimator) -> None:
    """Check those of an estimator's parameters that are numbers, choices or scales.

    Raises
    ------
    ValueError
        Names the parameter, its value and what is allowed.
    """
    for name, value in estimator.get_params(deep=False).items():
        if name in _NUMBERS:
            _check_number(name, value, *_NUMBERS[name])
        elif name in _CHOICES and value not in _CHOICES[name]:
            raise ValueError(f"{name} must be one of {_CHOICES[name]}, got {value!r}.")
        elif name == "region_scales" and not (
            isinstance(value, (Sequence, np.ndarray))
            and all(isinstance(scale, Real) for scale in value)
        ):
            raise ValueError(
                f"region_scales must be a sequence of shares in (0, 1], got {value!r}."
            )


def _check_number(name, value, kind, least, strict, most, none_allowed) -> None:
    if value is None and none_allowed:
        return
    right = isinstance(value, kind) and not isinstance(value, bool)
    if right:
        right = value > least if strict else value >= least
        right = right and value != float("inf") and (most is None or value < most)
    if not right:
        noun = "a whole number" if kind is Integral else "a number"
        bounds = f"{'above' if strict else 'of at least'} {least}"
        if most is not None:
            bounds += f" and below {most}"
        other = ", or None" if none_allowed else ""
        raise ValueError(f"{name} must be {noun} {bounds}{other}, got {value!r}.")


def check_labels(estimator, X, y) -> np.ndarray:
    """Check that y holds a class for each of the images X.

    Raises
    ------
    ValueError
        If it is missing, of another length, holds NaN, or numbers of a regression.
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


def whole(name: str, value: object, least: int) -> int:
    """Check a whole number.

    Parameters
    ----------
    name : str
        What the error calls it.
    value : object
    least : int

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is no whole number, or less than `least`.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ValueError(
            f"{name} must be a whole number of at least {least}, got {value!r}."
        )
    return int(value)
