"""Annotated parts in place of learned ones."""

import numpy as np

from benchmarks.explanations.oracle import box_averages, nearest_regions
from skdpnet.regions.grid import RegionGrid


def test_the_nearest_region_is_centred_on_the_point():
    """Windows of 3×3 cells on a map of 8×12: the point's own cell is the centre."""
    grid = RegionGrid(8, 12, ((3, 3),))
    rows, columns = 1 + np.arange(2), np.array([4, 10])
    points = np.stack([(columns + 0.5) / 12, (rows + 0.5) / 8], axis=1)[None]
    ((first, second),) = nearest_regions(grid, points)
    assert grid.cells[first].tolist() == [0, 3, 3, 6]
    assert grid.cells[second].tolist() == [1, 9, 4, 12]


def test_a_part_that_is_not_visible_has_no_region():
    grid = RegionGrid(4, 4, ((2, 2),))
    points = np.array([[[0.2, 0.2], [np.nan, np.nan]]])
    assert nearest_regions(grid, points).tolist() == [[0, -1]]


def test_the_average_inside_a_box():
    """The cells' values are their positions; the box holds rows 1, 2 and column 3."""
    rows, columns = np.meshgrid(np.arange(4), np.arange(8), indexing="ij")
    feature_map = np.stack([rows, columns], axis=-1)[None].astype(np.float32)
    box = np.array([[0.36, 0.3, 0.5, 0.7]])
    np.testing.assert_allclose(box_averages(feature_map, box), [[1.5, 3]])
    empty = np.array([[0.51, 0.51, 0.52, 0.52]])
    assert not box_averages(feature_map, empty).any()
