"""Random regions: their distribution, and what they give by chance."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet import metrics
from skdpnet.regions import RegionGrid

GRIDS = [RegionGrid.from_scales(7, 7, (0.15, 0.45)), RegionGrid(4, 4, ((1, 1),))]


def distinct(boxes):
    """The set of different boxes."""
    return {tuple(box) for box in np.round(boxes.reshape(-1, 4), 9).tolist()}


def test_random_regions_are_drawn_from_all_with_equal_probability():
    drawn = metrics.random_regions(GRIDS, 300, 40, 0)
    assert drawn.shape == (300, 40, 4)
    boxes = np.concatenate([grid.boxes() for grid in GRIDS])
    assert len(boxes) == 49 + 25 + 16
    assert distinct(drawn) == distinct(boxes)
    times = np.unique(drawn.reshape(-1, 4), axis=0, return_counts=True)[1]
    expected = drawn[..., 0].size / len(boxes)
    assert (np.abs(times - expected) < 6 * np.sqrt(expected)).all()
    np.testing.assert_array_equal(drawn, metrics.random_regions(GRIDS, 300, 40, 0))


def test_random_regions_may_keep_the_map_and_the_size():
    maps = np.array([0, 1, 0])
    drawn = metrics.random_regions(GRIDS, 500, 3, 0, part_maps=maps)
    assert distinct(drawn[:, maps == 0]) == distinct(GRIDS[0].boxes())
    assert distinct(drawn[:, 1]) == distinct(GRIDS[1].boxes())

    like = np.tile([3, 15, 60], (500, 1))  # a small window, a cell, a large window
    drawn = metrics.random_regions(GRIDS, 500, 3, 0, part_maps=maps, like=like)
    assert distinct(drawn[:, 0]) == distinct(GRIDS[0].boxes()[:49])
    assert distinct(drawn[:, 1]) == distinct(GRIDS[1].boxes())
    assert distinct(drawn[:, 2]) == distinct(GRIDS[0].boxes()[49:])
    single_map = metrics.random_regions(GRIDS[:1], 500, 1, 0, like=like[:, :1])
    assert distinct(single_map) == distinct(GRIDS[0].boxes()[:49])
    for region, same_size in (
        (48, slice(0, 49)),
        (49, slice(49, 74)),
        (73, slice(49, 74)),
    ):
        drawn = metrics.random_regions(GRIDS[:1], 500, 1, 0, like=[[region]] * 500)
        assert distinct(drawn) == distinct(GRIDS[0].boxes()[same_size])
    assert metrics.random_regions(GRIDS, 0, 3, 0).shape == (0, 3, 4)


def test_random_regions_may_lie_within_what_images_cover():
    # 4 of 7 and 2 of 4 rows, and all columns; then the reverse; then all.
    shares = np.array([[1, 4 / 7], [4 / 7, 1], [1, 1]]).repeat(400, axis=0)
    for maps, like in (
        (None, None),
        ([0, 1, 0], None),
        ([0, 1, 0], np.tile([3, 15, 60], (1200, 1))),
    ):
        drawn = metrics.random_regions(
            GRIDS, 1200, 3, 0, part_maps=maps, like=like, shares=shares
        )
        for i, (across, down) in enumerate(shares[::400]):
            right, bottom = drawn[400 * i : 400 * (i + 1), :, 2:].reshape(-1, 2).T
            # All places are drawn, up to the last row and column.
            assert right.max() == pytest.approx(across, abs=0.08 * (across < 1))
            assert bottom.max() == pytest.approx(down, abs=0.08 * (down < 1))
            assert right.max() <= across + 1e-9 and bottom.max() <= down + 1e-9
        if like is not None:
            of_part = [drawn[:400, p] for p in range(3)]
            for boxes, expected in zip(
                of_part,
                (
                    [b for b in GRIDS[0].boxes()[:49] if b[3] < 0.6],
                    [b for b in GRIDS[1].boxes() if b[3] <= 0.5],
                    [b for b in GRIDS[0].boxes()[49:] if b[3] < 0.6],
                ),
                strict=True,
            ):
                assert distinct(boxes) == distinct(np.array(expected))


def test_random_regions_reject_invalid_arguments():
    with pytest.raises(ValueError, match="like needs part_maps: there are 2 maps"):
        metrics.random_regions(GRIDS, 2, 1, like=[[0], [0]])
    with pytest.raises(ValueError, match="part_maps must hold 2 numbers of maps"):
        metrics.random_regions(GRIDS, 2, 2, part_maps=[0, 2])
    with pytest.raises(ValueError, match=r"like must have the shape \(2, 1\)"):
        metrics.random_regions(GRIDS, 2, 1, part_maps=[0], like=[[0]])
    with pytest.raises(ValueError, match="regions have numbers from 0 to 73"):
        metrics.random_regions(GRIDS, 1, 1, part_maps=[0], like=[[74]])
    with pytest.raises(ValueError, match=r"shares must have the shape \(2, 2\)"):
        metrics.random_regions(GRIDS, 2, 1, shares=[0.5, 1])
    with pytest.raises(ValueError, match="n_parts must be a whole number"):
        metrics.random_regions(GRIDS, 1, 1.5)


def test_the_chance_of_a_hit_is_the_area_of_the_box():
    # A random cell of a 10×10 map contains a given point in 1 of 100 draws.
    grids = [RegionGrid(10, 10, ((1, 1),))]
    drawn = metrics.random_regions(grids, 20_000, 2, 0)
    truths = np.broadcast_to([0.25, 0.75], (20_000, 1, 2))
    assert metrics.part_hits(drawn, truths).mean() == pytest.approx(0.01, abs=0.002)
