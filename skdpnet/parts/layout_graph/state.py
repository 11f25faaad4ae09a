"""Checks that the fitted attributes of a graph network in a file belong together."""

from __future__ import annotations

from typing import Any

from skdpnet.parts.layout import share_parts
from skdpnet.parts.layout_graph.model import layer_shapes
from skdpnet.persistence.checks import (
    check_array,
    check_grids,
    check_sorted_classes,
    check_whitenings,
    of_maps_with_parts,
)
from skdpnet.utils.validation import Number

__all__ = ["check_graph_state"]


def check_graph_state(
    state: dict[str, Any], n_regions: int, hidden: int, n_layers: int
) -> None:
    """Check the fitted attributes of a `LayoutGraphClassifier`.

    Parameters
    ----------
    state : dict of str to value
        `check_map_shapes` has checked ``map_shapes_``.
    n_regions, hidden, n_layers : int
        The parameters.

    Raises
    ------
    ValueError
        If the attributes are not consistent; the message says which is wrong.
    """
    shapes = of_maps_with_parts(state)["map_shapes_"]
    check_grids(state["grids_"], shapes)
    check_sorted_classes(state["classes_"])
    depths = check_whitenings(state["whitenings_"], shapes)
    share_parts(n_regions, len(shapes), "n_regions")
    layers, expected = state["layers_"], {}
    # The names of layers are made only if there can be as many.
    if isinstance(layers, dict) and len(layers) > n_layers:
        expected = layer_shapes(depths, hidden, n_layers, len(state["classes_"]))
    if not expected or layers.keys() != expected.keys():
        raise ValueError(f"layers_ does not hold the weights of {n_layers} layers")
    for name, shape in expected.items():
        check_array(f"layers_[{name!r}]", layers[name], shape)
    if not Number(0, whole=True).accepts(state["n_iter_"]):
        raise ValueError("n_iter_ is not a number of epochs")
    if not isinstance(state["history_"], list):
        raise ValueError("history_ is not a list of epochs")
