"""Attributes of a consistent model pass, and each that does not fit is named.

`test_model_file.py` passes many more through a file.
"""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.persistence.checks import (
    check_array,
    check_map_shapes,
    check_part_layout,
    check_parts_per_map,
    check_whitenings,
)
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening

SHAPES = ((4, 5, 7), (3, 6))


def state(**changes):
    """Five parts on a map and on regions; the classes share the last part."""
    grids = [RegionGrid.from_scales(4, 5, (0.5,)), RegionGrid(3, 1, ((1, 1),))]
    consistent = {
        "map_shapes_": SHAPES,
        "grids_": grids,
        "classes_": np.array(["owl", "wren"]),
        "part_classes_": np.array([0, 1, 0, 1, -1]),
        "part_maps_": np.array([0, 0, 1, 1, 1]),
    }
    return {**consistent, **changes}


def test_consistent_attributes_pass():
    check_map_shapes(SHAPES)
    check_part_layout(state())
    assert check_parts_per_map(state()) == [2, 3]
    whitenings = [
        Whitening(np.zeros(d, np.float32), np.zeros((d, 3), np.float32)) for d in (7, 6)
    ]
    assert check_whitenings(whitenings, SHAPES) == [3, 3]
    check_array("weights", np.ones((2, 3), np.float32), (2, 3))


def test_cells_side_by_side_have_whitenings_of_their_depth():
    grids = [
        RegionGrid(4, 5, ((2, 3),), pooling="concat"),
        RegionGrid(3, 1, ((1, 1),), pooling="concat"),
    ]
    check_part_layout(state(grids_=grids), ("average", "concat"))
    with pytest.raises(ValueError, match="grids_ has the pooling 'concat'"):
        check_part_layout(state(grids_=grids))
    whitenings = [
        Whitening(np.zeros(d, np.float32), np.zeros((d, 3), np.float32))
        for d in (2 * 3 * 7, 6)
    ]
    assert check_whitenings(whitenings, SHAPES, grids) == [3, 3]
    with pytest.raises(ValueError, match=r"mean has shape \(42,\)"):
        check_whitenings(whitenings, SHAPES)


@pytest.mark.parametrize("shapes", [[], (), ((1, 2, 3, 4),), ((0, 3),), ((2.0,),), 7])
def test_other_shapes_of_maps_are_refused(shapes):
    with pytest.raises(ValueError, match="map_shapes_ is not a tuple of shapes"):
        check_map_shapes(shapes)


@pytest.mark.parametrize(
    "shapes",
    [
        ((10**5, 10**5, 1),),
        ((2**60,),),
        ((2**23,),),
        ((4000, 4000, 64),),
        ((1, 1, 1),) * 1001,
    ],
)
def test_shapes_that_no_network_gives_are_refused(shapes):
    with pytest.raises(ValueError, match="map_shapes_ has shapes .* too large"):
        check_map_shapes(shapes)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"classes_": np.array(["wren", "owl"])}, "sorted, distinct labels"),
        ({"classes_": np.array(["owl", "owl"])}, "sorted, distinct labels"),
        ({"classes_": np.array([0.0, np.nan])}, "sorted, distinct labels"),
        ({"part_classes_": np.array([0, 1, 0, 1, -2])}, "part_classes_ does not hold"),
        ({"part_classes_": np.array([0, 1, 0, 1, 2])}, "5 numbers from -1 to 1"),
        ({"part_maps_": np.array([0, 0, 1, 1, 2])}, "part_maps_ does not hold 5"),
        ({"part_maps_": np.array([0, 1, 0, 1, 1])}, "part_maps_ is not sorted by map"),
        ({"classes_": np.array(["owl"])}, "classes_ does not hold two classes"),
        ({"grids_": []}, "grids_ does not hold a grid for each of 2 maps"),
    ],
)
def test_attributes_that_do_not_fit_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        check_part_layout(state(**changes))


def test_a_map_without_parts_is_refused():
    with pytest.raises(ValueError, match="part_maps_ leaves a map without parts"):
        check_parts_per_map(state(part_maps_=np.zeros(5, int)))


@pytest.mark.parametrize(
    "array, message",
    [
        (np.ones(3, int), "weights is not an array of real numbers"),
        (np.ones((0, 3), np.float32), "weights is not an array of real numbers"),
        (np.ones((2, 3)), r"weights is not an array of real numbers \(float32\)"),
        (np.full((2, 3), np.nan, np.float32), "weights holds NaN or infinity"),
        (np.full((2, 3), -np.inf, np.float32), "weights holds NaN or infinity"),
        (np.full((2, 3), -1e30, np.float32), "weights holds numbers beyond 1e[+]10"),
        ([1.0], "weights is not an array of real numbers"),
        (np.ones((3, 2), np.float32), r"weights has shape \(3, 2\), not \(2, 3\)"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(ValueError, match=message):
        check_array("weights", array, (2, 3))
