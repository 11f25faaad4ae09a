"""Weights and validation sets, on labels that are small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.training.sample_weights import hold_out_images, sample_weights

Y = np.array([0, 0, 0, 1])
X = np.zeros((4, 2))


def test_without_any_weights_all_images_weigh_1():
    np.testing.assert_array_equal(sample_weights(X, Y, None, None), np.ones(4))


def test_the_mean_over_the_images_above_0_is_1():
    weights = sample_weights(X, Y, [0, 1, 1, 4], None)
    np.testing.assert_allclose(weights, [0, 0.5, 0.5, 2])


def test_class_weights_multiply_sample_weights():
    weights = sample_weights(X, Y, [0, 1, 1, 4], {0: 2.0, 1: 0.5})
    np.testing.assert_allclose(weights, [0, 1, 1, 1])
    balanced = sample_weights(X, Y, None, "balanced")
    np.testing.assert_allclose(balanced, [2 / 3, 2 / 3, 2 / 3, 2])


def test_unusable_weights_are_refused():
    with pytest.raises(ValueError, match="(?i)negative values"):
        sample_weights(X, Y, [1, 1, 1, -1], None)
    with pytest.raises(ValueError, match="sample_weight.shape"):
        sample_weights(X, Y, [1, 1, 1], None)
    with pytest.raises(ValueError, match="class_weight leaves every sample"):
        sample_weights(X, Y, [1, 1, 1, 0], {0: 0.0, 1: 1.0})


def test_both_sets_hold_every_class_in_its_proportion():
    labels = np.repeat([0, 1], [40, 20])
    images = np.flatnonzero(np.arange(60) % 3 > 0)
    random = np.random.RandomState(0)
    train, valid = hold_out_images(images, labels, 0.25, random)
    np.testing.assert_array_equal(np.union1d(train, valid), images)
    assert len(np.intersect1d(train, valid)) == 0
    assert (np.diff(train) > 0).all() and (np.diff(valid) > 0).all()
    counts = np.bincount(labels[images])
    np.testing.assert_allclose(np.bincount(labels[valid]), counts / 4, atol=1)


def test_too_few_images_to_split_are_refused():
    random = np.random.RandomState(0)
    with pytest.raises(ValueError, match="validation_fraction=0.5 cannot be held out"):
        hold_out_images(np.arange(4), Y, 0.5, random)
