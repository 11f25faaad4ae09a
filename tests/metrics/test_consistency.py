"""Consistency and stability compared with results by hand; the noise's size."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet import metrics


def test_a_part_is_consistent_if_it_shows_a_true_part_often_enough():
    hits = np.zeros((5, 3, 2), bool)
    hits[:4, 0, 1] = True  # part 0: true part 1 in 4 of 5
    hits[:3, 1, 0] = True  # part 1: 3 of 5
    hits[:3, 1, 1], hits[3:, 1, 1] = False, True  # and the other one in the rest
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
    # Part 1 hits in all images but is active in none.
    assert metrics.consistency(hits, visible, active=active).tolist() == [True, False]
    assert metrics.consistency(hits, visible).tolist() == [False, True]
    # Hits in images that do not count change nothing.
    active = np.array([[0, 0], [1, 1], [0, 0]], bool)
    assert metrics.consistency(hits, visible, active=active).tolist() == [False, True]


def test_stability_is_the_share_of_images_with_the_same_hits():
    hits = np.array([[[1, 0], [0, 0]], [[1, 1], [0, 1]]], bool)
    again = np.array([[[1, 0], [0, 0]], [[1, 0], [1, 1]]], bool)
    assert metrics.stability(hits, again) == 0.5
    # Part 0 is stable in one of two images, part 1 in none of one.
    active = np.array([[1, 0], [1, 1]], bool)
    assert metrics.stability(hits, again, active=active) == (1 / 2 + 0) / 2
    assert metrics.stability(hits, hits, active=active) == 1


def test_stability_gives_all_parts_the_same_weight():
    # Four images of one class, one of another, and none of the class of part 2.
    y, part_classes = np.array([0, 0, 0, 0, 1]), np.array([0, 1, 2])
    active = y[:, None] == part_classes
    hits = np.ones((5, 3, 1), bool)
    again = hits.copy()
    again[3, 0] = again[4, 1] = again[:, 2] = False
    # Three of four and none of one; over the five pairs it would be 3 / 5.
    stability = metrics.stability(hits, again, active=active)
    assert stability == (3 / 4 + 0) / 2
    # The order of the classes does not matter.
    swapped = metrics.stability(hits[:, ::-1], again[:, ::-1], active=active[:, ::-1])
    assert swapped == stability


def test_invalid_masks_are_rejected():
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


def test_noise_has_the_paper_s_size_in_normalised_images():
    images = np.full((3, 64, 64, 3), 128, np.uint8)
    noisy = metrics.add_noise(images, random_state=0)
    assert noisy.dtype == np.uint8
    noise = (noisy.astype(float) - 128) / 255 / [0.229, 0.224, 0.225]
    # A normal variable of standard deviation 0.2, clipped at 1.25 deviations.
    drawn = np.random.default_rng(0).normal(0, 0.2, 1_000_000).clip(-0.25, 0.25)
    np.testing.assert_allclose(noise.std((0, 1, 2)), drawn.std(), rtol=0.02)
    np.testing.assert_allclose(noise.mean((0, 1, 2)), 0, atol=0.01)
    half_a_level = 0.5 / 255 / 0.224
    assert 0.25 - half_a_level <= np.abs(noise).max() <= 0.25 + half_a_level
    assert (noisy[0] != noisy[1]).any()
    np.testing.assert_array_equal(noisy, metrics.add_noise(images, random_state=0))
    # Values stay within 0 to 255.
    bright = metrics.add_noise(np.full((32, 32, 3), 255, np.uint8), random_state=1)
    assert bright.shape == (32, 32, 3) and bright.min() > 200 and bright.max() == 255
    unchanged = metrics.add_noise(images, sigma=0, random_state=0)
    np.testing.assert_array_equal(unchanged, images)


def test_noise_rejects_invalid_arguments():
    with pytest.raises(ValueError, match=r"got float64 of shape \(2, 2, 3\)"):
        metrics.add_noise(np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match="must be uint8 RGB"):
        metrics.add_noise(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="sigma must be 0 or more"):
        metrics.add_noise(np.zeros((2, 2, 3), np.uint8), sigma=-1)
