"""Soft assignment against its constraints, its optimum and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq, linear_sum_assignment, linprog

from skdpnet.parts.soft_assign.sinkhorn import anneal, soft_assign

SHAPES = [(3, 8), (5, 5), (7, 4), (4, 1), (1, 6), (1, 1)]


def scores_of(n_parts, n_regions, n_images=6, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (n_images, n_parts, n_regions))


@pytest.mark.parametrize("n_parts, n_regions", SHAPES)
@pytest.mark.parametrize("beta", [0.01, 1.0, 30.0])
def test_assignments_obey_the_constraints(n_parts, n_regions, beta):
    assigned = soft_assign(scores_of(n_parts, n_regions), beta, n_iter=2_000, tol=1e-9)
    sums_of_parts, sums_of_regions = assigned.sum(axis=2), assigned.sum(axis=1)
    smaller, larger = sums_of_parts, sums_of_regions
    if n_regions < n_parts:
        smaller, larger = larger, smaller
    assert assigned.min() >= 0
    assert_allclose(smaller, 1, atol=1e-12)
    assert larger.max() <= 1 + 1e-3


@pytest.mark.parametrize("n_parts, n_regions", SHAPES)
def test_the_limit_of_large_beta_is_the_best_one_to_one_assignment(n_parts, n_regions):
    scores = scores_of(n_parts, n_regions)
    assigned = soft_assign(scores, 1_000.0, n_iter=20_000)
    for score, assignment in zip(scores, assigned, strict=True):
        best = score[linear_sum_assignment(score, maximize=True)].sum()
        assert (assignment * score).sum() == pytest.approx(best, abs=0.01)


@pytest.mark.parametrize("n_parts, n_regions", [(2, 3), (3, 2), (3, 3)])
def test_the_assignment_maximises_gain_and_entropy(n_parts, n_regions):
    # β Σ M C + entropy is concave, so M is its maximum under the constraints if M is
    # also a maximum of the linear programme whose objective is the gradient at M.
    beta, score = 3.0, scores_of(n_parts, n_regions, n_images=1)
    assigned = soft_assign(score, beta, n_iter=5_000, tol=1e-12)[0]
    n_rows, n_columns = sorted((n_parts, n_regions))
    table, gain = assigned, beta * score[0]
    if n_regions < n_parts:
        table, gain = table.T, gain.T
    remainder = np.clip(1 - table.sum(axis=0), 1e-15, None)
    slack = [remainder] if n_columns > n_rows else []
    gradient = np.vstack([gain - np.log(table), *(-np.log(row) for row in slack)])
    masses = np.r_[np.ones(n_rows), [n_columns - n_rows] * len(slack)]
    rows = np.kron(np.eye(len(gradient)), np.ones(n_columns))
    columns = np.kron(np.ones(len(gradient)), np.eye(n_columns))
    best = linprog(
        -gradient.ravel(),
        A_eq=np.vstack([rows, columns]),
        b_eq=np.r_[masses, np.ones(n_columns)],
    )
    reached = (np.vstack([table, *slack]) * gradient).sum()
    assert reached == pytest.approx(-best.fun, abs=1e-6)


def test_order_of_parts_regions_and_images_does_not_matter():
    scores, random = scores_of(4, 9), np.random.default_rng(1)
    images, parts, regions = (random.permutation(n) for n in scores.shape)
    assigned = soft_assign(scores, 20.0)
    permuted = soft_assign(scores[images][:, parts][:, :, regions], 20.0)
    assert_allclose(permuted, assigned[images][:, parts][:, :, regions], atol=1e-12)


def test_a_constant_added_to_the_scores_of_a_part_changes_nothing():
    scores = scores_of(3, 7)
    shifted = scores + np.array([5.0, -2.0, 0.0])[:, None]
    tight = {"n_iter": 1_000, "tol": 1e-10}
    assert_allclose(
        soft_assign(shifted, 10.0, **tight),
        soft_assign(scores, 10.0, **tight),
        atol=1e-8,
    )


@pytest.mark.parametrize("n_parts, n_regions", SHAPES)
@pytest.mark.parametrize("beta", [1e-12, 1e4, 1e12])
def test_extreme_beta_and_ties_stay_finite(n_parts, n_regions, beta):
    scores = scores_of(n_parts, n_regions)
    scores[0] = 0
    scores[1] = np.linspace(-1, 1, n_regions)
    assigned = soft_assign(scores, beta)
    assert np.isfinite(assigned).all()
    axis = 2 if n_parts <= n_regions else 1
    assert_allclose(assigned.sum(axis=axis), 1, atol=1e-9)
    assert_allclose(assigned[0], 1 / max(n_parts, n_regions))


def test_one_region_is_shared_among_the_parts():
    # With a factor s of the slack, each part has x / (x + s), and these sum to 1.
    x = np.array([1.0, 2.0, 5.0])
    s = brentq(lambda s: (x / (x + s)).sum() - 1, 1e-6, 1e6)
    assigned = soft_assign(np.log(x)[None, :, None], 1.0, n_iter=1_000, tol=1e-12)
    assert_allclose(assigned.ravel(), x / (x + s))


def test_scores_are_not_changed():
    scores = scores_of(3, 5)
    before = scores.copy()
    soft_assign(scores, 5.0)
    assert_array_equal(scores, before)


def test_anneal_moves_detectors_to_the_regions_that_images_share():
    random = np.random.default_rng(0)
    regions = random.normal(size=(20, 9, 6)).astype(np.float32)
    directions = np.eye(6, dtype=np.float32)[:2]
    regions[:, 0] = directions[0] + 0.1 * regions[:, 0]
    regions[:, 1] = directions[1] + 0.1 * regions[:, 1]
    regions /= np.linalg.norm(regions, axis=2, keepdims=True)
    start = directions + 0.5 * random.normal(size=(2, 6)).astype(np.float32)
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    detectors, n_rounds = anneal(regions, start, np.geomspace(40, 100, 10))
    assert 1 <= n_rounds <= 10
    assert_allclose(np.linalg.norm(detectors, axis=1), 1, rtol=1e-5)
    assert ((detectors * directions).sum(axis=1) > 0.99).all()


def test_detectors_of_regions_that_cancel_stay():
    axis = np.eye(3, dtype=np.float32)[0]
    regions = np.stack([np.stack([axis, -axis])])
    detectors = np.eye(3, dtype=np.float32)[1:]
    refined, _ = anneal(regions, detectors, np.array([40.0]))
    assert_array_equal(refined, detectors)
