"""How far images extend on canvases of zeros, and the maps that have parts."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.regions.extents import extents, have_parts, shorter_side
from skdpnet.storage.large_arrays import MapRows


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_image_ends_at_its_last_cells_that_are_not_zero(dtype):
    random = np.random.default_rng(0)
    true = random.integers(1, [6, 8], (150, 2))
    maps = np.zeros((150, 5, 7, 3), dtype)
    for feature_map, (rows, columns) in zip(maps, true, strict=True):
        feature_map[:rows, :columns] = random.normal(size=(rows, columns, 3))
    # One channel is enough, and zeros inside do not count.
    maps[:, 0, 0] = 0
    maps[3] = 0
    maps[3, 2, 1, 1] = -1
    true[3] = 3, 2
    # Cells of which all were zero begin where the image does.
    alone = (true == 1).all(axis=1)
    true[alone] = 5, 7
    np.testing.assert_array_equal(extents(maps), true)
    rows = np.flatnonzero(~alone)
    assert shorter_side(MapRows(maps, rows)) == true[rows].min(axis=1).max()


def test_maps_of_zeros_count_as_a_whole():
    np.testing.assert_array_equal(extents(np.zeros((2, 3, 4, 1))), [[3, 4], [3, 4]])


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        # The average of an image has no parts beside maps of several cells.
        ([(8, 8, 5), (4, 4, 6), (1, 1, 7)], [True, True, False]),
        ([(1, 1, 7), (1, 2, 5)], [False, True]),
        ([(3, 1, 4), (7,)], [True, False]),
        ([(9, 4), (1, 4)], [True, False]),
        # Where there are no others, it has.
        ([(1, 1, 7)], [True]),
        ([(7,)], [True]),
        ([(1, 7)], [True]),
        ([(1, 1, 7), (4,)], [True, True]),
        ([(2, 2, 3)], [True]),
    ],
)
def test_maps_of_one_cell_have_parts_only_among_themselves(shapes, expected):
    assert have_parts(shapes) == expected
