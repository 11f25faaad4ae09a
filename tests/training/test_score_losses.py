"""The losses of scores against formulas in NumPy loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet.training.score_losses import CrossEntropy, LabelEntropy, SquaredError

SCORES = np.random.default_rng(0).normal(size=(5, 3))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_that_of_the_softmax(smoothing):
    labels = np.array([0, 2, 1, 1, 0])
    p = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)
    targets = (1 - smoothing) * np.eye(3)[labels] + smoothing / 3
    expected = -(targets * np.log(p)).sum(axis=1)
    losses = CrossEntropy(smoothing)(torch.tensor(SCORES), torch.tensor(labels))
    np.testing.assert_allclose(losses, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_label_entropy_is_the_sum_of_those_of_the_classes(smoothing):
    labels = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]])
    expected = np.zeros(5)
    for i in range(5):
        for c in range(3):
            p = 1 / (1 + np.exp(-SCORES[i, c]))
            t = (1 - smoothing) * labels[i, c] + smoothing * 0.5
            expected[i] -= t * np.log(p) + (1 - t) * np.log(1 - p)
    losses = LabelEntropy(smoothing)(torch.tensor(SCORES), torch.tensor(labels))
    np.testing.assert_allclose(losses, expected)


def test_squared_error_is_summed_over_the_targets():
    targets = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    expected = [((SCORES[i] - targets[i]) ** 2).sum() for i in range(5)]
    losses = SquaredError()(torch.tensor(SCORES), torch.tensor(targets))
    np.testing.assert_allclose(losses, expected)
