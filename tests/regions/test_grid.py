"""Regions against explicit loops over the cells."""

import numpy as np
import pytest
import torch

from skdpnet.regions import RegionGrid


def _windows_by_loop(height, width, sides):
    windows = []
    for side in sides:
        for top in range(height - side + 1):
            for left in range(width - side + 1):
                windows.append((top, left, top + side, left + side))
    return windows


@pytest.mark.parametrize("shape", [(7, 7), (5, 8), (1, 1), (6, 2)])
def test_layout_is_every_window_of_every_scale(shape):
    grid = RegionGrid.from_scales(*shape, (0.15, 0.5, 1.0))
    sides = sorted({max(1, round(s * min(shape))) for s in (0.15, 0.5, 1.0)})
    assert [tuple(c) for c in grid.cells.tolist()] == _windows_by_loop(*shape, sides)
    assert grid.n_regions == len(grid.cells)


def test_scales_may_be_shares_of_another_side():
    square = RegionGrid.from_scales(14, 14, (0.15, 0.3, 0.45))
    canvas = RegionGrid.from_scales(20, 20, (0.15, 0.3, 0.45), side=14)
    assert square.windows == canvas.windows == ((2, 2), (4, 4), (6, 6))


def test_boxes_are_the_cells_as_shares_of_the_sides():
    grid = RegionGrid.from_scales(4, 8, (0.5,))
    for (top, left, bottom, right), box in zip(grid.cells, grid.boxes(), strict=True):
        assert box.tolist() == [left / 8, top / 4, right / 8, bottom / 4]


def test_pooling_is_the_mean_of_the_cells_in_each_window():
    maps = np.random.default_rng(0).normal(size=(2, 5, 6, 3))
    grid = RegionGrid.from_scales(5, 6, (0.2, 0.6, 1.0))
    pooled = torch.cat(list(grid.pool(torch.tensor(maps).flatten(1, 2))), 1).numpy()
    for r, (top, left, bottom, right) in enumerate(grid.cells):
        expected = maps[:, top:bottom, left:right].mean(axis=(1, 2))
        np.testing.assert_allclose(pooled[:, r], expected, atol=1e-12)


def test_scales_that_round_to_the_same_window_count_once():
    assert RegionGrid.from_scales(2, 2, (0.1, 0.2, 0.3)).windows == ((1, 1),)


@pytest.mark.parametrize("scales", [(), (0,), (-0.5,), (1.5,), (0.5, float("nan"))])
def test_scales_outside_the_map_are_refused(scales):
    with pytest.raises(ValueError, match="region_scales"):
        RegionGrid.from_scales(7, 7, scales)


@pytest.mark.parametrize("window", [(1, 1), (2, 2), (5, 6), (2, 3)])
def test_concatenation_puts_the_cells_of_each_window_side_by_side(window):
    maps = np.random.default_rng(0).normal(size=(2, 5, 6, 3))
    grid = RegionGrid(5, 6, (window,), pooling="concat")
    (pooled,) = grid.pool(torch.tensor(maps).flatten(1, 2))
    assert pooled.shape[2] == grid.descriptor_depth(3) == window[0] * window[1] * 3
    assert pooled.shape[1] == grid.n_regions
    for r, (top, left, bottom, right) in enumerate(grid.cells):
        expected = maps[:, top:bottom, left:right].reshape(2, -1)
        np.testing.assert_array_equal(pooled[:, r].numpy(), expected)


def test_poolings_that_windows_do_not_have_are_refused():
    message = r"map of 7×7 cells have 1×1, 3×3 cells: use a single region scale"
    with pytest.raises(ValueError, match=message):
        RegionGrid.from_scales(7, 7, (0.15, 0.45), pooling="concat")
    with pytest.raises(ValueError, match="'average' or 'concat', got 'sum'"):
        RegionGrid(7, 7, ((1, 1),), pooling="sum")
