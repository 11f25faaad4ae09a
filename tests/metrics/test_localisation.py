"""Hits, purity, consistency and stability by hand, and what chance gives."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet import metrics
from skdpnet.regions import RegionGrid

NAN = [np.nan, np.nan]


def test_a_true_part_is_hit_where_its_point_is_in_the_box():
    # Two images, two parts, three true parts, the last of which may be hidden.
    boxes = [[[0, 0, 4, 4], [2, 2, 8, 6]], [[0, 0, 4, 4], [5, 5, 5, 5]]]
    truths = [[[1, 1], [4, 4], [9, 3]], [[5, 5], [0, 4.1], NAN]]
    expected = [
        [[True, True, False], [False, True, False]],
        [[False, False, False], [True, False, False]],
    ]
    np.testing.assert_array_equal(metrics.part_hits(boxes, truths), expected)


def test_of_a_true_box_the_centre_counts():
    truths = [[[0, 0, 8, 2], [3, 3, 20, 20], NAN * 2]]
    assert metrics.part_hits([[[0, 0, 5, 5]]], truths).tolist() == [
        [[True, False, False]]
    ]


@pytest.mark.parametrize(
    "boxes, truths, message",
    [
        (np.zeros((2, 1, 4)), np.zeros((3, 1, 2)), "2 images but truths of 3"),
        (np.zeros((2, 1, 4)), np.zeros((2, 1, 3)), "points, or .*, boxes"),
        (np.zeros((2, 4)), np.zeros((2, 1, 2)), "boxes must have 3 axes"),
        (np.zeros((2, 1, 2)), np.zeros((2, 1, 2)), "last axis of length 4"),
        (np.full((1, 1, 4), np.nan), np.zeros((1, 1, 2)), "holds nan at .0, 0, 0"),
        ([[[0, 5, 9, 4]]], np.zeros((1, 1, 2)), r"at \(0, 0\) ends before it begins"),
        (np.zeros((1, 1, 4)), [[[1, np.nan]]], "true part 0 of image 0"),
        (np.zeros((1, 1, 4)), [[[1, np.inf]]], "true part 0 of image 0"),
    ],
)
def test_hits_tell_what_is_wrong(boxes, truths, message):
    with pytest.raises(ValueError, match=message):
        metrics.part_hits(boxes, truths)


def purity_one_by_one(hits, visible, responses, n_top):
    """The definition, a part and a true part at a time."""
    purities = []
    for p in range(hits.shape[1]):
        top = sorted(range(len(hits)), key=lambda i: -responses[i, p])[:n_top]
        shares = [0.0]
        for k in range(hits.shape[2]):
            seen = [i for i in top if visible[i, k]]
            if seen:
                shares.append(sum(bool(hits[i, p, k]) for i in seen) / len(seen))
        purities.append(max(shares))
    return purities


@pytest.mark.parametrize("n_top", [1, 4, 10, 99])
def test_purity_is_the_best_true_parts_share_of_the_top_images(n_top):
    random = np.random.default_rng(0)
    hits = random.random((30, 6, 5)) < 0.4
    visible = random.random((30, 5)) < 0.5
    # With ties, of which the first images count.
    responses = random.integers(0, 8, (30, 6)) / 8
    np.testing.assert_allclose(
        metrics.part_purity(hits, visible, responses, n_top),
        purity_one_by_one(hits, visible, responses, n_top),
    )


def test_purity_counts_only_images_that_show_the_true_part():
    hits = np.array([[[1, 0]], [[0, 0]], [[1, 0]], [[0, 1]]], bool)
    visible = np.array([[1, 1], [0, 1], [1, 1], [1, 1]], bool)
    responses = [[0.9], [0.8], [0.7], [0.1]]
    assert metrics.part_purity(hits, visible, responses, 3) == [1.0]
    assert metrics.part_purity(hits, visible, responses, 4) == pytest.approx(2 / 3)
    # A hit on what cannot be seen is none.
    assert metrics.part_purity(hits, np.zeros((4, 2), bool), responses) == [0.0]


def test_consistent_is_what_shows_one_true_part_often_enough():
    hits = np.zeros((5, 3, 2), bool)
    hits[:4, 0, 1] = True  # part 0: true part 1 in 4 of 5
    hits[:3, 1, 0] = True  # part 1: 3 of 5
    hits[:3, 1, 1], hits[3:, 1, 1] = False, True  # and otherwise the other
    visible = np.ones((5, 2), bool)
    assert metrics.consistency(hits, visible).tolist() == [True, False, False]
    assert metrics.consistency(hits, visible, threshold=0.6).tolist() == [1, 1, 0]
    # Where true part 0 is visible, part 1 always shows it.
    visible[3:, 0] = False
    assert metrics.consistency(hits, visible).tolist() == [True, True, False]


def test_only_active_images_count_for_consistency():
    hits = np.array([[[1], [1]], [[0], [1]], [[1], [1]]], bool)
    visible = np.ones((3, 1), bool)
    active = np.array([[1, 0], [0, 0], [1, 0]], bool)
    # Part 1 hits always but is active nowhere.
    assert metrics.consistency(hits, visible, active=active).tolist() == [True, False]
    assert metrics.consistency(hits, visible).tolist() == [False, True]
    # What it hits elsewhere is of no avail.
    active = np.array([[0, 0], [1, 1], [0, 0]], bool)
    assert metrics.consistency(hits, visible, active=active).tolist() == [False, True]


def test_stable_is_what_hits_the_same_again():
    hits = np.array([[[1, 0], [0, 0]], [[1, 1], [0, 1]]], bool)
    again = np.array([[[1, 0], [0, 0]], [[1, 0], [1, 1]]], bool)
    assert metrics.stability(hits, again) == 0.5
    active = np.array([[1, 0], [1, 1]], bool)
    assert metrics.stability(hits, again, active=active) == pytest.approx(1 / 3)
    assert metrics.stability(hits, hits, active=active) == 1


def test_masks_of_the_wrong_kind_are_an_error():
    hits, visible = np.zeros((3, 2, 4), bool), np.ones((3, 4), bool)
    with pytest.raises(ValueError, match=r"visible must have the shape \(3, 4\)"):
        metrics.consistency(hits, visible.T)
    with pytest.raises(ValueError, match="hits must hold True and False"):
        metrics.consistency(hits.astype(int), visible)
    with pytest.raises(ValueError, match=r"active must have the shape \(3, 2\)"):
        metrics.consistency(hits, visible, active=visible)
    with pytest.raises(ValueError, match="threshold must lie in"):
        metrics.consistency(hits, visible, threshold=80)
    with pytest.raises(ValueError, match="hits_again must have the shape"):
        metrics.stability(hits, hits[:2])
    with pytest.raises(ValueError, match="none is active"):
        metrics.stability(hits, hits, active=np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="none is active"):
        metrics.stability(hits[:0], hits[:0])
    with pytest.raises(ValueError, match=r"responses must have the shape \(3, 2\)"):
        metrics.part_purity(hits, visible, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="responses holds nan"):
        metrics.part_purity(hits, visible, np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="n_top must be a whole number of at least 1"):
        metrics.part_purity(hits, visible, np.zeros((3, 2)), n_top=0)


def test_noise_has_the_papers_size_in_normalised_space():
    images = np.full((3, 64, 64, 3), 128, np.uint8)
    noisy = metrics.add_noise(images, random_state=0)
    assert noisy.dtype == np.uint8
    noise = (noisy.astype(float) - 128) / 255 / [0.229, 0.224, 0.225]
    # Of a normal number of deviation 0.2 that is clipped at 1.25 deviations.
    drawn = np.random.default_rng(0).normal(0, 0.2, 1_000_000).clip(-0.25, 0.25)
    np.testing.assert_allclose(noise.std((0, 1, 2)), drawn.std(), rtol=0.02)
    np.testing.assert_allclose(noise.mean((0, 1, 2)), 0, atol=0.01)
    half_a_level = 0.5 / 255 / 0.224
    assert 0.25 - half_a_level <= np.abs(noise).max() <= 0.25 + half_a_level
    assert (noisy[0] != noisy[1]).any()
    np.testing.assert_array_equal(noisy, metrics.add_noise(images, random_state=0))
    # Black and white stay within what pixels can be.
    bright = metrics.add_noise(np.full((32, 32, 3), 255, np.uint8), random_state=1)
    assert bright.shape == (32, 32, 3) and bright.min() > 200 and bright.max() == 255
    none = metrics.add_noise(images, sigma=0, random_state=0)
    np.testing.assert_array_equal(none, images)


def test_noise_wants_pixels():
    with pytest.raises(ValueError, match=r"got float64 of shape \(2, 2, 3\)"):
        metrics.add_noise(np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match="must be uint8 RGB"):
        metrics.add_noise(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="sigma must be 0 or more"):
        metrics.add_noise(np.zeros((2, 2, 3), np.uint8), sigma=-1)


def test_fixed_size_keeps_the_centre():
    boxes = np.array([[[0, 10, 20, 20]], [[4, 4, 5, 5]]], float)
    resized = metrics.resize_boxes(boxes, [[6], [2]])
    np.testing.assert_allclose(resized, [[[7, 12, 13, 18]], [[3.5, 3.5, 5.5, 5.5]]])
    for side in (0, -1, np.nan):
        with pytest.raises(ValueError, match="side must be above 0"):
            metrics.resize_boxes(boxes, side)


GRIDS = [RegionGrid.from_scales(7, 7, (0.15, 0.45)), RegionGrid(4, 4, ((1, 1),))]


def rows(boxes):
    return {tuple(box) for box in np.round(boxes.reshape(-1, 4), 9).tolist()}


def test_random_regions_are_drawn_from_all_alike():
    drawn = metrics.random_regions(GRIDS, 300, 40, 0)
    assert drawn.shape == (300, 40, 4)
    every = np.concatenate([grid.boxes() for grid in GRIDS])
    assert len(every) == 49 + 25 + 16
    assert rows(drawn) == rows(every)
    times = np.unique(drawn.reshape(-1, 4), axis=0, return_counts=True)[1]
    expected = drawn[..., 0].size / len(every)
    assert (np.abs(times - expected) < 6 * np.sqrt(expected)).all()
    np.testing.assert_array_equal(drawn, metrics.random_regions(GRIDS, 300, 40, 0))


def test_random_regions_may_keep_to_a_parts_map_and_to_sizes():
    maps = np.array([0, 1, 0])
    drawn = metrics.random_regions(GRIDS, 500, 3, 0, part_maps=maps)
    assert rows(drawn[:, maps == 0]) == rows(GRIDS[0].boxes())
    assert rows(drawn[:, 1]) == rows(GRIDS[1].boxes())

    like = np.tile([3, 15, 60], (500, 1))  # a small window, a cell, a large window
    drawn = metrics.random_regions(GRIDS, 500, 3, 0, part_maps=maps, like=like)
    assert rows(drawn[:, 0]) == rows(GRIDS[0].boxes()[:49])
    assert rows(drawn[:, 1]) == rows(GRIDS[1].boxes())
    assert rows(drawn[:, 2]) == rows(GRIDS[0].boxes()[49:])
    one = metrics.random_regions(GRIDS[:1], 500, 1, 0, like=like[:, :1])
    assert rows(one) == rows(GRIDS[0].boxes()[:49])
    for edge, own in ((48, slice(0, 49)), (49, slice(49, 74)), (73, slice(49, 74))):
        drawn = metrics.random_regions(GRIDS[:1], 500, 1, 0, like=[[edge]] * 500)
        assert rows(drawn) == rows(GRIDS[0].boxes()[own])
    assert metrics.random_regions(GRIDS, 0, 3, 0).shape == (0, 3, 4)


def test_random_regions_tell_what_is_wrong():
    with pytest.raises(ValueError, match="like needs part_maps: there are 2 maps"):
        metrics.random_regions(GRIDS, 2, 1, like=[[0], [0]])
    with pytest.raises(ValueError, match="part_maps must hold 2 numbers of maps"):
        metrics.random_regions(GRIDS, 2, 2, part_maps=[0, 2])
    with pytest.raises(ValueError, match=r"like must have the shape \(2, 1\)"):
        metrics.random_regions(GRIDS, 2, 1, part_maps=[0], like=[[0]])
    with pytest.raises(ValueError, match="regions have numbers from 0 to 73"):
        metrics.random_regions(GRIDS, 1, 1, part_maps=[0], like=[[74]])
    with pytest.raises(ValueError, match="n_parts must be a whole number"):
        metrics.random_regions(GRIDS, 1, 1.5)


def test_chance_hits_as_often_as_boxes_are_large():
    # Cells of a 10×10 map hold a point within the map in 1 of 100 draws.
    grids = [RegionGrid(10, 10, ((1, 1),))]
    drawn = metrics.random_regions(grids, 20_000, 2, 0)
    truths = np.broadcast_to([0.25, 0.75], (20_000, 1, 2))
    assert metrics.part_hits(drawn, truths).mean() == pytest.approx(0.01, abs=0.002)
