"""Whether the fitted attributes that a file tells of belong together."""

from __future__ import annotations

from typing import Any

import numpy as np

from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import Whitening

__all__ = ["check_maps", "check_net", "check_parts"]

Shapes = tuple[tuple[int, ...], ...]


def check_maps(shapes: Any) -> None:
    """Check what the maps' shapes may be.

    Parameters
    ----------
    shapes : tuple of tuples
        Of each map (H, W, D), (R, D) or (D,).

    Raises
    ------
    ValueError
    """
    _expect(
        isinstance(shapes, tuple)
        and len(shapes) > 0
        and all(isinstance(shape, tuple) and 1 <= len(shape) <= 3 for shape in shapes)
        and all(type(side) is int and side > 0 for shape in shapes for side in shape),
        "map_shapes_ is no tuple of shapes",
    )


def check_parts(fitted: dict[str, Any]) -> None:
    """Check the attributes of an estimator that has parts, against one another.

    Parameters
    ----------
    fitted : dict of str to value
        All that `PartEstimator` documents; of coef_ and intercept_ (C, P), (C,) and of
        shift_ and scale_ (P,), those that the estimator has.

    Raises
    ------
    ValueError
        Names what does not fit.
    """
    shapes, depths = fitted["map_shapes_"], _check_layout(fitted)
    classes, owners, places = (
        fitted[key] for key in ("classes_", "part_classes_", "part_maps_")
    )
    n_classes, n_parts = len(classes), len(owners)
    _expect(
        isinstance(classes, np.ndarray) and classes.ndim == 1 and n_classes > 1,
        "classes_ does not hold two classes or more",
    )
    _expect_numbers("part_classes_", owners, n_parts, n_classes)
    _expect_numbers("part_maps_", places, n_parts, len(shapes))
    _expect(
        bool((np.diff(places) >= 0).all()) and len(np.unique(places)) == len(shapes),
        "part_maps_ does not go map by map",
    )
    expected = {
        "parts_": (n_parts, max(depths)),
        "coef_": (n_classes, n_parts),
        "intercept_": (n_classes,),
        "shift_": (n_parts,),
        "scale_": (n_parts,),
    }
    for key in expected.keys() & fitted.keys():
        _expect_shape(key, fitted[key], expected[key])


def check_net(state: dict[str, Any], fitted: dict[str, Any]) -> None:
    """Check what the net computes with, against checked attributes.

    Parameters
    ----------
    state : dict of str to value
        parts and offsets, of each map (P', K) and (K,), weight (C, P), bias (C,),
        shift and scale (P,).
    fitted : dict of str to value

    Raises
    ------
    ValueError
        Names what does not fit.
    """
    counts = np.bincount(fitted["part_maps_"])
    depths = [own.projection.shape[1] for own in fitted["whitenings_"]]
    for own, offset, count, depth in zip(
        state["parts"], state["offsets"], counts, depths, strict=True
    ):
        _expect_shape("the net's parts", own, (int(count), depth))
        _expect_shape("the net's offset", offset, (depth,))
    _expect_shape("the net's weight", state["weight"], fitted["coef_"].shape)
    _expect_shape("the net's bias", state["bias"], fitted["intercept_"].shape)
    for key in ("shift", "scale"):
        _expect_shape(f"the net's {key}", state[key], fitted["part_classes_"].shape)


def _check_layout(fitted: dict[str, Any]) -> list[int]:
    """Check whitenings and grids against the maps; return each map's depth K."""
    shapes, depths = fitted["map_shapes_"], []
    whitenings, grids = fitted["whitenings_"], fitted["grids_"]
    _expect(
        len(whitenings) == len(grids) == len(shapes),
        f"there are {len(shapes)} maps, but {len(whitenings)} whitenings and "
        f"{len(grids)} grids",
    )
    for whitening, grid, shape in zip(whitenings, grids, shapes, strict=True):
        _expect(isinstance(whitening, Whitening), "whitenings_ holds something else")
        _expect(isinstance(grid, RegionGrid), "grids_ holds something else")
        depths.append(whitening.projection.shape[-1])
        _expect_shape("a whitening's mean", whitening.mean, shape[-1:])
        _expect_shape(
            "a whitening's projection", whitening.projection, (shape[-1], depths[-1])
        )
        height, width = (*shape[:-1], 1, 1)[:2]
        _expect(
            (grid.height, grid.width) == (height, width)
            and len(grid.windows) > 0
            and all(1 <= h <= height and 1 <= w <= width for h, w in grid.windows),
            f"{str(grid)[:80]} does not fit a map of shape {shape}",
        )
    return depths


def _expect_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    _expect(
        isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size > 0,
        f"{name} is no array of real numbers",
    )
    _expect(array.shape == shape, f"{name} has shape {array.shape}, not {shape}")


def _expect_numbers(name: str, array: Any, length: int, below: int) -> None:
    _expect(
        isinstance(array, np.ndarray)
        and array.dtype.kind == "i"
        and array.shape == (length,)
        and length > 0
        and bool((array >= 0).all() and (array < below).all()),
        f"{name} does not hold {length} numbers from 0 to {below - 1}",
    )


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
