"""Conversion of a trained net to arrays and plain values for model files, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from skdpnet.parts.dpnet.context import CONTEXT_GRID
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.persistence.checks import (
    check_array,
    check_parts_per_map,
    check_whitenings,
)
from skdpnet.training.net import ObjectiveNet
from skdpnet.utils.validation import Number

__all__ = ["check_learned_state", "model_from_state", "net_state", "with_context"]

# Beyond it, exponents of the soft maximum are beyond the range of float32. A maximum of
# half of it is hard.
_LARGEST_BETA = 1e6
_LARGEST_SEED = 2**32 - 1


def net_state(net: ObjectiveNet) -> dict[str, Any]:
    """Return the parameters and the history of a trained net, as plain values.

    Parameters
    ----------
    net : ObjectiveNet
        Its module is a `PartModel`.

    Returns
    -------
    dict of str to value
        ``parts``, a list with an array (P', K) for each map;
        ``weight`` (C, P), ``bias`` (C,), ``shift`` and ``scale`` (P,); the numbers
        ``beta`` and ``dropout``; and ``history``, a list with a dict for each epoch.
    """
    model = net.module_
    return {
        "beta": model.beta,
        "dropout": model.dropout.p,
        "parts": [_array(on_map.parts) for on_map in model.map_parts],
        "weight": _array(model.classifier.weight),
        "bias": _array(model.classifier.bias),
        "shift": _array(model.shift),
        "scale": _array(model.scale),
        "history": [_plain_values(epoch) for epoch in net.history],
    }


def with_context(
    state: dict[str, Any],
    all_shapes: Sequence[tuple[int, ...]],
    context_classes: Sequence[int],
) -> dict[str, Any]:
    """Return a state in which ``map_shapes_`` has the map of the context too, if any.

    Parameters
    ----------
    state : dict of str to value
        The fitted attributes in a model file, of any types but for ``map_shapes_``,
        which has the shapes of the maps with parts.
    all_shapes : sequence of tuples of int
        The shapes of all maps of the backbone.
    context_classes : sequence of int
        The classes of the parts of the context, one for each score.

    Returns
    -------
    dict of str to value
        As `check_learned_state` and the checks of `PartEstimator` expect it.

    Raises
    ------
    ValueError
        If the parts of the context are not one for each score on a map of one cell.
    """
    shapes, grids = state["map_shapes_"], state["grids_"]
    if not isinstance(grids, list) or len(grids) != len(shapes) + 1:
        return state
    on_context = np.asarray(state["part_maps_"]) == len(shapes)
    classes = np.asarray(state["part_classes_"])
    if (
        grids[-1] != CONTEXT_GRID
        or classes.shape != on_context.shape
        or classes[on_context].tolist() != list(context_classes)
    ):
        raise ValueError("the context is not one part of each class on one region")
    depth = sum(shape[-1] for shape in all_shapes)
    return {**state, "map_shapes_": (*shapes, (depth,))}


def check_learned_state(
    state: dict[str, Any],
    n_outputs: int,
    dtype: type[np.floating] = np.float32,
) -> tuple[list[int], list[int]]:
    """Check that the fitted attributes in a model file are consistent.

    Parameters
    ----------
    state : dict of str to value
        The fitted attributes, as from `with_context`; ``net_`` is as from `net_state`.
        Those that all part estimators have were checked by `check_part_layout`.
    n_outputs : int
        Number of scores that the model computes.
    dtype : type, default=numpy.float32
        The dtype of ``coef_`` and ``intercept_``.

    Returns
    -------
    counts, depths : lists of int
        Number of parts and of dimensions on each map.

    Raises
    ------
    ValueError
        If they are not consistent; the message says which attribute is wrong.
    """
    n_parts = len(state["part_classes_"])
    counts = check_parts_per_map(state)
    depths = check_whitenings(state["whitenings_"], state["map_shapes_"])
    check_array("parts_", state["parts_"], (n_parts, max(depths)))
    check_array("coef_", state["coef_"], (n_outputs, n_parts), dtype)
    check_array("intercept_", state["intercept_"], (n_outputs,), dtype)
    net = state["net_"]
    _check_numbers(net, state["n_iter_"])
    if not isinstance(net["parts"], list) or len(net["parts"]) != len(counts):
        raise ValueError("the net does not have parts for each map")
    for parts, count, depth in zip(net["parts"], counts, depths, strict=True):
        check_array("the net's parts", parts, (count, depth))
    check_array("the net's weight", net["weight"], (n_outputs, n_parts))
    check_array("the net's bias", net["bias"], (n_outputs,))
    for key in ("shift", "scale"):
        check_array(f"the net's {key}", net[key], (n_parts,))
    return counts, depths


def _check_numbers(net: dict[str, Any], n_epochs: Any) -> None:
    """Check the single numbers of a saved net, and its history."""
    for name, number, constraint in (
        ("beta", net["beta"], Number(0, above=True, at_most=_LARGEST_BETA)),
        ("dropout", net["dropout"], Number(0, below=1)),
        ("seed", net["seed"], Number(0, at_most=_LARGEST_SEED, whole=True)),
        ("number of epochs", n_epochs, Number(0, whole=True)),
    ):
        if not (constraint.accepts(number) or (name == "beta" and number is None)):
            raise ValueError(
                f"the net's {name} must be {constraint}, got {str(number)[:80]}"
            )
    history = net["history"]
    if (
        not isinstance(history, list)
        or len(history) != n_epochs
        or not all(isinstance(epoch, dict) for epoch in history)
        or not all(isinstance(key, str) for epoch in history for key in epoch)
    ):
        raise ValueError("the net's history does not hold the values of each epoch")


def model_from_state(
    state: dict[str, Any],
    device: torch.device,
    has_context: bool = False,
) -> PartModel:
    """Make the part model of a saved net.

    Parameters
    ----------
    state : dict of str to value
        As from `net_state`, after the checks.
    device : torch.device
        Device that the model is moved to.
    has_context : bool, default=False
        Whether the last map is that of the context.

    Returns
    -------
    PartModel
    """
    model = PartModel.from_arrays(
        state["parts"],
        len(state["bias"]),
        state["beta"],
        state["dropout"],
        has_context,
    )
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(state["weight"]))
        model.classifier.bias.copy_(torch.from_numpy(state["bias"]))
        model.shift.copy_(torch.from_numpy(state["shift"]))
        model.scale.copy_(torch.from_numpy(state["scale"]))
    return model.to(device)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _plain_values(epoch: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers and strings of an epoch, without its batches."""
    values = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in epoch.items()
    }
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, (bool, int, float, str))
    }
