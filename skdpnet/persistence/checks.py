"""Checks that the fitted attributes in a model file belong together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from skdpnet.regions.extents import have_parts
from skdpnet.regions.grid import AVERAGE_POOLING, RegionGrid
from skdpnet.regions.whitening import Whitening

__all__ = [
    "check_array",
    "check_grids",
    "check_map_shapes",
    "check_part_layout",
    "check_parts_per_map",
    "check_sorted_classes",
    "check_whitenings",
    "of_maps_with_parts",
]

Shapes = tuple[tuple[int, ...], ...]

# A forged file costs nothing: what it says of sizes is bounded, because arrays of such
# sizes are made when the model is used. Networks, and maps that people pass, are far
# below. In this order: maps of an image, cells or regions of a map, channels, numbers
# of all maps of an image, and regions of a map.
_MOST_MAPS = 1000
_MOST_CELLS = 2**24
_MOST_CHANNELS = 2**22
_MOST_NUMBERS = 2**28
_MOST_REGIONS = 2**24
_LARGEST = 1e10
# Whitened are vectors of unit length.
_LARGEST_MEAN = 1e3


def check_map_shapes(shapes: Any) -> None:
    """Check the shapes of an image's feature maps.

    Parameters
    ----------
    shapes : tuple of tuples of int
        The shape of each map: (H, W, D), (R, D) or (D,).

    Raises
    ------
    ValueError
        If it is not a tuple of such shapes.
    """
    _expect(
        isinstance(shapes, tuple)
        and len(shapes) > 0
        and all(isinstance(shape, tuple) and 1 <= len(shape) <= 3 for shape in shapes)
        and all(type(side) is int and side > 0 for shape in shapes for side in shape),
        "map_shapes_ is not a tuple of shapes",
    )
    _expect(
        len(shapes) <= _MOST_MAPS
        and all(math.prod(shape[:-1]) <= _MOST_CELLS for shape in shapes)
        and all(shape[-1] <= _MOST_CHANNELS for shape in shapes)
        and sum(math.prod(shape) for shape in shapes) <= _MOST_NUMBERS,
        "map_shapes_ has shapes that no network gives: they are too large",
    )


def of_maps_with_parts(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state in which ``map_shapes_`` has only the maps that have parts.

    Parameters
    ----------
    state : dict of str to value
        The fitted attributes in a model file; ``map_shapes_`` was checked.

    Returns
    -------
    dict of str to value
    """
    shapes = state["map_shapes_"]
    with_parts = itertools.compress(shapes, have_parts(shapes))
    return {**state, "map_shapes_": tuple(with_parts)}


def check_grids(
    grids: Any, shapes: Shapes, poolings: Sequence[str] = (AVERAGE_POOLING,)
) -> None:
    """Check that there is a layout of regions for each feature map.

    Parameters
    ----------
    grids : list of RegionGrid
    shapes : tuple of tuples of int
        The shapes of the maps, which `check_map_shapes` has checked.
    poolings : sequence of str, optional
        How the estimator can describe regions.

    Raises
    ------
    ValueError
        If they do not fit the maps; the message says why.
    """
    _expect(
        isinstance(grids, list) and len(grids) == len(shapes),
        f"grids_ does not hold a grid for each of {len(shapes)} maps",
    )
    for grid, shape in zip(grids, shapes, strict=True):
        _expect(isinstance(grid, RegionGrid), "grids_ holds something else")
        height, width = (*shape[:-1], 1, 1)[:2]
        _expect(
            (grid.height, grid.width) == (height, width)
            and 0 < len(grid.windows) <= max(height, width)
            and all(1 <= h <= height and 1 <= w <= width for h, w in grid.windows),
            f"{str(grid)[:80]} does not fit a map of shape {shape}",
        )
        _expect(grid.pooling in poolings, f"grids_ has the pooling {grid.pooling!r}")
        _expect(
            len(set(grid.windows)) == len(grid.windows),
            "grids_ has a window twice",
        )
        _expect(
            grid.n_regions <= _MOST_REGIONS,
            f"grids_ has {grid.n_regions} regions, more than {_MOST_REGIONS}",
        )


def check_sorted_classes(classes: Any) -> None:
    """Check that there are two classes or more, sorted and distinct.

    Parameters
    ----------
    classes : ndarray of shape (C,)

    Raises
    ------
    ValueError
        If there are not.
    """
    _expect(
        isinstance(classes, np.ndarray) and classes.ndim == 1 and len(classes) > 1,
        "classes_ does not hold two classes or more",
    )
    ascending = classes[:-1] < classes[1:]
    _expect(bool(np.all(ascending)), "classes_ does not hold sorted, distinct labels")


def check_part_layout(
    state: dict[str, Any], poolings: Sequence[str] = (AVERAGE_POOLING,)
) -> None:
    """Check that the attributes of every `PartEstimator` are consistent.

    Parameters
    ----------
    state : dict of str to value
        ``classes_``, ``part_classes_``, ``part_maps_``, ``grids_`` and ``map_shapes_``.
        Of these, `check_map_shapes` has checked the last, which has the maps with parts
        alone, as from `of_maps_with_parts`.
    poolings : sequence of str, optional
        As for `check_grids`.

    Raises
    ------
    ValueError
        If they are not; the message says which attribute is wrong.
    """
    shapes, grids, classes = state["map_shapes_"], state["grids_"], state["classes_"]
    check_grids(grids, shapes, poolings)
    check_sorted_classes(classes)
    part_classes, part_maps = state["part_classes_"], state["part_maps_"]
    n_parts = len(part_classes) if isinstance(part_classes, np.ndarray) else 0
    _expect_integers("part_classes_", part_classes, n_parts, -1, len(classes))
    _expect_integers("part_maps_", part_maps, n_parts, 0, len(shapes))
    _expect(bool((np.diff(part_maps) >= 0).all()), "part_maps_ is not sorted by map")


def check_parts_per_map(state: dict[str, Any]) -> list[int]:
    """Count the parts of each feature map, and check that each map has some.

    Parameters
    ----------
    state : dict of str to value
        Attributes that `check_part_layout` has checked.

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        If a map has no parts.
    """
    counts = np.bincount(state["part_maps_"], minlength=len(state["map_shapes_"]))
    _expect(bool((counts > 0).all()), "part_maps_ leaves a map without parts")
    return counts.tolist()


def check_whitenings(
    whitenings: Any, shapes: Shapes, grids: Sequence[RegionGrid] | None = None
) -> list[int]:
    """Check the whitening of each feature map's region descriptors.

    Parameters
    ----------
    whitenings : list of Whitening
    shapes : tuple of tuples of int
        The shapes of the maps, which `check_map_shapes` has checked.
    grids : sequence of RegionGrid, default=None
        The regions of each map, which `check_part_layout` has checked. None: regions
        are averages.

    Returns
    -------
    list of int
        Dimensions K of each map's whitened descriptors.

    Raises
    ------
    ValueError
        If they do not fit the maps; the message says why.
    """
    _expect(
        isinstance(whitenings, list) and len(whitenings) == len(shapes),
        f"whitenings_ does not hold a whitening for each of {len(shapes)} maps",
    )
    inputs = [shape[-1] for shape in shapes]
    if grids is not None:
        each = zip(grids, inputs, strict=True)
        inputs = [grid.descriptor_depth(n_channels) for grid, n_channels in each]
    depths = []
    for whitening, depth in zip(whitenings, inputs, strict=True):
        _expect(isinstance(whitening, Whitening), "whitenings_ holds something else")
        projection = whitening.projection
        _expect(
            isinstance(projection, np.ndarray) and projection.ndim == 2,
            "a whitening's projection is not a matrix",
        )
        depths.append(projection.shape[-1])
        mean = whitening.mean
        check_array("a whitening's mean", mean, (depth,), most=_LARGEST_MEAN)
        check_array("a whitening's projection", projection, (depth, depths[-1]))
    return depths


def check_array(
    name: str,
    array: Any,
    shape: tuple[int, ...],
    dtype: type[np.floating] = np.float32,
    most: float = _LARGEST,
) -> None:
    """Check that a value is an array of finite numbers, of a certain shape.

    Parameters
    ----------
    name : str
        Its name in messages.
    array : ndarray
    shape : tuple of int
        The shape that it must have.
    dtype : type, default=numpy.float32
        The dtype that it must have.
    most : float, default=1e10
        The largest absolute value of float32, so that products of a few such arrays
        are finite.

    Raises
    ------
    ValueError
        If it is not an array of this dtype, if it is empty or has another shape, or if
        it holds NaN, infinity or numbers beyond `most`.
    """
    _expect(
        isinstance(array, np.ndarray) and array.dtype == dtype and array.size > 0,
        f"{name} is not an array of real numbers ({dtype.__name__})",
    )
    _expect(array.shape == shape, f"{name} has shape {array.shape}, not {shape}")
    _expect(bool(np.isfinite(array).all()), f"{name} holds NaN or infinity")
    _expect(
        dtype is not np.float32 or float(np.abs(array).max()) <= most,
        f"{name} holds numbers beyond {most:g}",
    )


def _expect_integers(
    name: str, array: Any, length: int, least: int, below: int
) -> None:
    """Check that a value is an array of integers within a range."""
    _expect(
        isinstance(array, np.ndarray)
        and array.dtype.kind == "i"
        and array.shape == (length,)
        and length > 0
        and bool((array >= least).all() and (array < below).all()),
        f"{name} does not hold {length} numbers from {least} to {below - 1}",
    )


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
