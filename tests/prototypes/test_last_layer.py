"""The fit of the last layer against proximal gradient steps, which know no L-BFGS."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax

from skdpnet.prototypes.last_layer import fit_last_layer, initial_last_layer

RIDGE = 1e-2


@pytest.fixture
def case():
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    own = np.repeat(np.eye(3, dtype=bool), 2, axis=1)
    similarities = random.uniform(0, 2, (60, 6)) + own[labels]
    return similarities, labels, random.uniform(0.5, 1.5, 60), own


def objective(W, case, l1):
    s, labels, weights, own = case
    entropies = -log_softmax(s @ W.T, axis=1)[np.arange(len(s)), labels]
    penalty = l1 * np.abs(W[~own]).sum() + RIDGE * np.square(W).sum()
    return (weights * entropies).mean() + penalty


def by_proximal_steps(case, l1, n_steps=20_000, step=0.2):
    s, labels, weights, own = case
    W = np.where(own, 1.0, -0.5)
    targets = np.eye(3)[labels]
    for _ in range(n_steps):
        errors = (softmax(s @ W.T, axis=1) - targets) * weights[:, None] / len(s)
        W = W - step * (errors.T @ s + 2 * RIDGE * W)
        shrunk = np.sign(W) * np.maximum(np.abs(W) - step * l1, 0)
        W = np.where(own, W, shrunk)
    return W


@pytest.mark.parametrize("l1", [0.0, 0.003, 0.03])
def test_it_reaches_the_minimum_that_proximal_steps_reach(case, l1):
    W = fit_last_layer(*case, -0.5, l1, RIDGE).astype(np.float64)
    expected = by_proximal_steps(case, l1)
    assert objective(W, case, l1) <= objective(expected, case, l1) + 1e-6
    assert_allclose(W, expected, atol=5e-3)


def test_the_penalty_makes_weights_of_other_classes_zero_and_no_others(case):
    own = case[-1]
    W = fit_last_layer(*case, -0.5, 1.0, RIDGE)
    assert (W[~own] == 0).all()
    assert (W[own] > 0.1).all()


def test_the_initial_layer_knows_own_classes_and_others(case):
    W = initial_last_layer(case[-1], -0.5)
    assert_allclose(W[:, :2], [[1, 1], [-0.5, -0.5], [-0.5, -0.5]])
