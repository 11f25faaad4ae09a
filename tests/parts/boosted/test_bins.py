"""Bins against thresholds and sums that are computed number by number."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skdpnet.parts.boosted.bins import Bins


@pytest.fixture
def maxima():
    return np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


def test_each_distinct_number_has_a_bin_where_there_are_enough(maxima):
    bins = Bins.of(maxima, 50)
    for column, thresholds, codes in zip(
        maxima.T, bins.thresholds, bins.codes, strict=True
    ):
        ordered = np.sort(column)
        assert_allclose(thresholds, (ordered[1:] + ordered[:-1]) / 2, atol=1e-6)
        assert_array_equal(codes, column.argsort().argsort())


def test_bins_have_equal_numbers_of_images_otherwise(maxima):
    bins = Bins.of(maxima, 10)
    assert bins.thresholds.shape == (3, 9)
    for codes in bins.codes:
        assert_array_equal(np.bincount(codes), np.full(10, 5))


@pytest.mark.parametrize("n_low", [1, 70, 73, 100])
def test_a_number_that_most_images_have_does_not_hide_the_others(n_low):
    numbers = np.repeat(np.float32([0, 1]), [n_low, 101 - n_low])[:, None]
    codes = Bins.of(numbers, 101).codes[0]
    assert len(set(codes[:n_low])) == len(set(codes[n_low:])) == 1
    assert codes[0] < codes[-1]


def test_ties_at_a_quantile_leave_the_two_numbers_apart():
    numbers = np.repeat(np.float32([0, 1]), [74, 76])[:, None]
    bins = Bins.of(numbers, 64)
    assert bins.codes[0, 0] < bins.codes[0, -1]
    assert set(bins.thresholds[0]) == {-np.inf, 0.5}


def test_a_threshold_is_below_the_number_above_it():
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2))
    bins = Bins.of(np.array([[low], [high]]), 2)
    assert low <= bins.thresholds[0, 0] < high


def test_histograms_add_up_the_weights_of_each_bin(maxima):
    bins, weights = Bins.of(maxima, 8), np.random.default_rng(1).random(50)
    histograms = bins.histograms(weights)
    expected = [np.bincount(codes, weights, 8) for codes in bins.codes]
    assert_allclose(histograms, expected)


def test_one_image_and_constant_parts_have_no_usable_threshold():
    assert Bins.of(np.ones((1, 2), np.float32), 64).thresholds.size == 0
    assert np.isneginf(Bins.of(np.ones((5, 2), np.float32), 64).thresholds).all()
