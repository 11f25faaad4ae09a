"""How far images extend on canvases of zeros."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.regions.extents import extents, shorter_side
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
