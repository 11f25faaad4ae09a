"""Bounds of the parameters, names and notes in a model file.

A file may come from a stranger. What it says of an estimator is checked before anything
is made of it, and before a file is written, so that what was saved can be loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from numbers import Integral, Real
from typing import Any

import numpy as np

from skdpnet.utils.validation import Number, check_parameters

__all__ = ["check_added_attributes", "check_saved_parameters"]

# The largest whole numbers that parameters may be or hold. An image of the largest size
# takes 50 MB before it passes through a network.
_LARGEST = {
    "image_size": 4096,
    "num_workers": 256,
    "n_samples": 10**9,
    "random_state": 2**32 - 1,
    **dict.fromkeys(("n_parts_per_class", "n_candidates", "n_words"), 10**5),
    **dict.fromkeys(("n_parts_per_bin", "n_bins"), 10**5),
    **dict.fromkeys(("n_components", "n_rounds", "strides", "pyramid"), 10**5),
    **dict.fromkeys(("max_epochs", "batch_size", "n_iter_no_change"), 10**6),
    "net_params": 10**6,
}
_LARGEST_OF_OTHERS = 2**63 - 1
_MOST_ITEMS = {
    **dict.fromkeys(("strides", "region_scales", "pyramid", "net_params"), 1000)
}
_MOST_ITEMS_OF_OTHERS = 10**6
_LONGEST_TEXT = 1000
_DEEPEST = 4
# Parameters of the skorch net that are numbers, and name neither code nor devices.
_NET_PARAMETERS = (
    *("max_epochs", "batch_size", "lr", "verbose", "warm_start"),
    *("iterator_train__batch_size", "iterator_train__shuffle"),
    *("iterator_train__drop_last", "iterator_train__num_workers"),
    *("iterator_valid__batch_size", "iterator_valid__num_workers"),
    *("optimizer__lr", "optimizer__betas", "optimizer__eps", "optimizer__amsgrad"),
    "optimizer__weight_decay",
)
_MOST_WORKERS = 64
_CONTAINERS = ("default", "pandas", "polars")


def check_saved_parameters(estimator: Any, parameters: Mapping[str, Any]) -> None:
    """Check the parameters that a model file holds.

    Parameters
    ----------
    estimator : MapEstimator
        It has the parameters, but for a backbone that was passed in the place of one.
    parameters : mapping of str to value
        The parameters that are in the file.

    Raises
    ------
    ValueError
        If one is not what `fit` takes, or if it is beyond the bounds of files; the
        message names it.
    """
    check_parameters(estimator)
    for name, value in parameters.items():
        _check_value(name, value, 0)
        check = _CHECKS.get(name)
        if check is not None and not check[0](value):
            raise ValueError(
                f"{name} must be {check[1]} in a file, got {_short(value)}"
            )
    _check_net_parameters(parameters.get("net_params") or {})


def _check_net_parameters(parameters: Mapping[str, Any]) -> None:
    """Check that parameters of the skorch net are numbers."""
    for name, value in parameters.items():
        if name not in _NET_PARAMETERS:
            raise ValueError(
                f"net_params has {_short(name)}, which a file may not set. Leave it "
                "out, and set it again after loading"
            )
        items = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(item, (bool, Real, np.bool_)) for item in items):
            raise ValueError(f"net_params[{name!r}] must be a number in a file")
        if name.endswith("num_workers") and not 0 <= items[0] <= _MOST_WORKERS:
            raise ValueError(f"net_params[{name!r}] must be from 0 to {_MOST_WORKERS}")


def check_added_attributes(state: Mapping[str, Any]) -> None:
    """Check the attributes in a file that an estimator may have or not.

    Parameters
    ----------
    state : dict of str to value

    Raises
    ------
    ValueError
        If one is not what `fit`, `set_output` or a user sets; the message names it.
    """
    number = state.get("n_features_in_", 1)
    if not Number(1, at_most=2**31, whole=True).accepts(number):
        raise ValueError(f"n_features_in_ is {_short(number)}")
    names = state.get("feature_names_in_")
    if names is not None:
        is_list = isinstance(names, np.ndarray) and names.ndim == 1
        if not (is_list and names.dtype == object and len(names) == number):
            raise ValueError("feature_names_in_ does not name the features")
    output = state.get("_sklearn_output_config", {})
    if not isinstance(output, dict) or not all(
        key == "transform" and isinstance(value, str) and value in _CONTAINERS
        for key, value in output.items()
    ):
        raise ValueError(f"the output is set to {_short(output)}")
    if "part_names_" in state:
        _check_part_names(state["part_names_"], state.get("part_classes_", ()))


def _check_part_names(names: Any, part_classes: Sized) -> None:
    """Check that there is a text of its own for each part."""
    is_list = isinstance(names, np.ndarray) and names.shape == (len(part_classes),)
    if not (is_list and names.dtype == object):
        raise ValueError("part_names_ does not hold a name for each part")
    _check_value("part_names_", names, 0)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("part_names_ holds a blank, or something that is not text")
    if len(set(names.tolist())) != len(names):
        raise ValueError("part_names_ has a name twice")


def _check_value(name: str, value: Any, depth: int) -> None:
    """Check the numbers, texts and lengths in a parameter."""
    if depth > _DEEPEST:
        raise ValueError(f"{name} is nested more than {_DEEPEST} deep")
    if isinstance(value, str):
        if len(value) > _LONGEST_TEXT:
            raise ValueError(f"{name} holds a text of {len(value)} characters")
    elif isinstance(value, Integral):
        largest = _LARGEST.get(name, _LARGEST_OF_OTHERS)
        if abs(int(value)) > largest:
            raise ValueError(
                f"{name} is beyond {largest}, the largest number that files may have "
                "there"
            )
    elif isinstance(value, np.ndarray):
        _check_length(name, value.size)
        for item in value.ravel().tolist():
            _check_value(name, item, depth + 1)
    elif isinstance(value, (list, tuple)):
        _check_length(name, len(value))
        for item in value:
            _check_value(name, item, depth + 1)
    elif isinstance(value, dict):
        _check_length(name, len(value))
        for key, item in value.items():
            _check_value(name, key, depth + 1)
            _check_value(name, item, depth + 1)
    elif value is not None and not isinstance(value, Real):
        raise ValueError(f"{name} is a {type(value).__name__}")


def _check_length(name: str, length: int) -> None:
    if length > _MOST_ITEMS.get(name, _MOST_ITEMS_OF_OTHERS):
        raise ValueError(f"{name} has {length} items")


def _is_weights(value: Any) -> bool:
    if isinstance(value, dict):
        numbers = value.values()
        return all(map(Number(0).accepts, numbers))
    return value is None or (isinstance(value, str) and value == "balanced")


def _short(value: Any) -> str:
    return repr(value)[:80]


_CHECKS: dict[str, tuple[Any, str]] = {
    "backbone": (lambda value: isinstance(value, str), "a name"),
    "callbacks": (lambda value: not value, "None"),
    "class_weight": (_is_weights, 'a dict of numbers, "balanced" or None'),
    "intra_normalisation": (
        lambda value: isinstance(value, (bool, np.bool_)),
        "True or False",
    ),
    "random_state": (
        lambda value: value is None or Number(0, whole=True).accepts(value),
        "a whole number from 0 to 2**32 - 1, or None,",
    ),
    "verbose": (
        lambda value: isinstance(value, bool) or Number(0, whole=True).accepts(value),
        "a whole number of at least 0",
    ),
    # Windows asks another computer for such a path, and tells it who asks.
    "weights": (
        lambda value: value is None or not value.startswith(("\\\\", "//")),
        "a path that does not begin with two slashes, or None,",
    ),
}
