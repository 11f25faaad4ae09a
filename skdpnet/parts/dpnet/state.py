"""A trained net as arrays and plain values, and back, for model files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from skorch.history import History

from skdpnet.parts.dpnet.model import PartModel
from skdpnet.persistence.checks import check_array
from skdpnet.regions.grid import RegionGrid
from skdpnet.training.net import ObjectiveNet

__all__ = ["check_net_state", "history_from_state", "model_from_state", "net_state"]


def net_state(net: ObjectiveNet) -> dict[str, Any]:
    """Return what a trained net computes with, as numbers and arrays.

    Parameters
    ----------
    net : ObjectiveNet
        Its module is a `PartModel`.

    Returns
    -------
    dict of str to value
        ``parts`` and ``offsets``, for each map (P', K) and (K,); ``weight`` (C, P),
        ``bias`` (C,), ``shift`` and ``scale`` (P,); ``beta`` and ``dropout``; and
        ``history``, a dict for each epoch.
    """
    model = net.module_
    return {
        "beta": model.beta,
        "dropout": model.dropout.p,
        "parts": [_array(on_map.parts) for on_map in model.map_parts],
        "offsets": [_array(on_map.offset) for on_map in model.map_parts],
        "weight": _array(model.classifier.weight),
        "bias": _array(model.classifier.bias),
        "shift": _array(model.shift),
        "scale": _array(model.scale),
        "history": [_plain_values(epoch) for epoch in net.history],
    }


def check_net_state(
    state: dict[str, Any], fitted: dict[str, Any], depths: Sequence[int]
) -> None:
    """Check what a net computes with against the estimator's checked attributes.

    Parameters
    ----------
    state : dict of str to value
        As from `net_state`.
    fitted : dict of str to value
        ``part_classes_``, ``part_maps_``, ``coef_`` and ``intercept_``.
    depths : sequence of int
        Dimensions K of each map's whitened descriptors.

    Raises
    ------
    ValueError
        Says what does not fit.
    """
    counts = np.bincount(fitted["part_maps_"]).tolist()
    for parts, offset, count, depth in zip(
        state["parts"], state["offsets"], counts, depths, strict=True
    ):
        check_array("the net's parts", parts, (count, depth))
        check_array("the net's offset", offset, (depth,))
    check_array("the net's weight", state["weight"], fitted["coef_"].shape)
    check_array("the net's bias", state["bias"], fitted["intercept_"].shape)
    for key in ("shift", "scale"):
        check_array(f"the net's {key}", state[key], fitted["part_classes_"].shape)


def model_from_state(
    state: dict[str, Any], grids: Sequence[RegionGrid], device: torch.device
) -> PartModel:
    """Make the part model that a saved net computed with.

    Parameters
    ----------
    state : dict of str to value
        As from `net_state`, checked.
    grids : sequence of RegionGrid
        Of each map.
    device : torch.device

    Returns
    -------
    PartModel
    """
    model = PartModel.from_arrays(
        state["parts"],
        state["offsets"],
        grids,
        len(state["bias"]),
        state["beta"],
        state["dropout"],
    )
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(state["weight"]))
        model.classifier.bias.copy_(torch.from_numpy(state["bias"]))
        model.shift.copy_(torch.from_numpy(state["shift"]))
        model.scale.copy_(torch.from_numpy(state["scale"]))
    return model.to(device)


def history_from_state(state: dict[str, Any]) -> History:
    """Return the history of the epochs, without their batches."""
    return History(state["history"])


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _plain_values(epoch: dict[str, Any]) -> dict[str, Any]:
    """Keep the plain numbers and texts of an epoch."""
    values = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in epoch.items()
    }
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, (bool, int, float, str))
    }
