"""The group lasso: its conditions, another solver's solution, and its path."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skdpnet.parts.random_selected.group_lasso import (
    GroupLasso,
    group_lasso_path,
    kkt_residual,
    largest_penalty,
    solve_group_lasso,
)


def toy(n=60, n_parts=12, n_classes=3, seed=0):
    """Noise, in which part 4 tells class 0 from the others."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    values = random.standard_normal((n, n_parts))
    values[:, 4] += 2 * (labels == 0)
    return values, np.where(labels[:, None] == np.arange(n_classes), 1.0, -1.0)


def objective(values, signs, penalty, weights, intercepts):
    """The definition, image by image and class by class."""
    loss = 0.0
    for x, s in zip(values, signs, strict=True):
        for c in range(signs.shape[1]):
            score = sum(x * weights[:, c]) + intercepts[c]
            loss += max(0.0, 1 - s[c] * score) ** 2
    return loss / (2 * len(values)) + penalty * sum(
        np.sqrt((row**2).sum()) for row in weights
    )


def test_the_objective_is_the_one_that_is_defined():
    values, signs = toy()
    random = np.random.default_rng(1)
    model = GroupLasso(random.standard_normal((12, 3)), random.standard_normal(3))
    expected = objective(values, signs, 0.3, model.weights, model.intercepts)
    assert_allclose(model.objective(values, signs, 0.3), expected, rtol=1e-12)


def test_no_part_at_the_largest_penalty_and_one_just_below():
    values, signs = toy()
    largest = largest_penalty(values, signs)
    for share, n_parts in ((2.0, 0), (1.0, 0), (0.999, 1)):
        model = solve_group_lasso(values, signs, share * largest, tolerance=1e-9)
        assert (model.norms > 0).sum() == n_parts
    assert np.flatnonzero(model.norms).tolist() == [4]


def test_the_largest_penalty_is_the_longest_gradient_by_differences():
    values, signs = toy()
    intercepts, step = signs.mean(axis=0), 1e-6
    at_zero = objective(values, signs, 0, np.zeros((12, 3)), intercepts)
    # The intercepts are the best ones: moving each of them raises the loss.
    for c in range(3):
        for move in (-0.01, 0.01):
            moved = intercepts + move * np.eye(3)[c]
            assert objective(values, signs, 0, np.zeros((12, 3)), moved) > at_zero
    lengths = []
    for p in range(12):
        slopes = []
        for c in range(3):
            weights = np.zeros((12, 3))
            weights[p, c] = step
            slopes.append(objective(values, signs, 0, weights, intercepts) - at_zero)
        lengths.append(np.linalg.norm(slopes) / step)
    assert_allclose(largest_penalty(values, signs), max(lengths), rtol=1e-4)


@pytest.mark.parametrize("share", [0.7, 0.3, 0.05])
def test_the_solution_fulfils_its_conditions(share):
    values, signs = toy()
    penalty = share * largest_penalty(values, signs)
    model = solve_group_lasso(values, signs, penalty, tolerance=1e-10)
    assert kkt_residual(values, signs, penalty, model) <= 1e-10 * penalty
    away = GroupLasso(model.weights + 0.01, model.intercepts)
    assert kkt_residual(values, signs, penalty, away) > 1e-3 * penalty
    shifted = GroupLasso(model.weights, model.intercepts + 0.1)
    assert kkt_residual(values, signs, penalty, shifted) > 1e-3


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_another_solver_finds_the_same_minimum(share):
    """SLSQP on the smooth form: Σ t_p with ``t_p² ≥ ‖u_p‖²`` and ``t_p ≥ 0``."""
    values, signs = toy(n=45, n_parts=5)
    penalty = share * largest_penalty(values, signs)
    n_weights = 15

    def unpack(z):
        return z[:n_weights].reshape(5, 3), z[n_weights:18], z[18:]

    def smooth(z):
        weights, intercepts, lengths = unpack(z)
        margins = 1 - signs * (values @ weights + intercepts)
        loss = (np.maximum(0, margins) ** 2).sum() / 90
        return loss + penalty * lengths.sum()

    cones = {
        "type": "ineq",
        "fun": lambda z: unpack(z)[2] ** 2 - (unpack(z)[0] ** 2).sum(axis=1),
    }
    start = np.concatenate([np.full(15, 0.01), np.zeros(3), np.ones(5)])
    found = minimize(
        smooth,
        start,
        method="SLSQP",
        bounds=[(None, None)] * 18 + [(0, None)] * 5,
        constraints=[cones],
        options={"maxiter": 1000, "ftol": 1e-13},
    )
    model = solve_group_lasso(values, signs, penalty, tolerance=1e-9)
    ours = objective(values, signs, penalty, model.weights, model.intercepts)
    weights, intercepts, _ = unpack(found.x)
    assert_allclose(ours, found.fun, rtol=1e-6)
    assert ours <= objective(values, signs, penalty, weights, intercepts) + 1e-9
    assert_allclose(model.weights, weights, atol=2e-3)
    assert_allclose(model.intercepts, intercepts, atol=2e-3)


def test_the_path_has_the_solutions_of_its_penalties():
    values, signs = toy()
    n_in_use, penalties = [], []
    for penalty, model in group_lasso_path(values, signs, least_share=0.01):
        alone = solve_group_lasso(values, signs, penalty, tolerance=1e-9)
        assert_allclose(
            model.objective(values, signs, penalty),
            alone.objective(values, signs, penalty),
            rtol=1e-5,
        )
        penalties.append(penalty)
        n_in_use.append((model.norms > 0).sum())
    assert_allclose(penalties[0], 0.85 * largest_penalty(values, signs))
    assert_allclose(np.diff(np.log(penalties)), np.log(0.85))
    assert n_in_use[0] == 1 and n_in_use[-1] == 12


def test_parts_that_are_constant_are_not_used():
    values, signs = toy()
    values[:, 7] = 0.0
    *_, (_, model) = group_lasso_path(values, signs)
    assert model.norms[7] == 0 and (np.delete(model.norms, 7) > 0).all()


def test_the_path_of_constant_values_is_empty():
    _, signs = toy()
    assert list(group_lasso_path(np.zeros((60, 12)), signs)) == []


def test_groups_of_several_columns_are_used_together():
    values, signs = toy(n_parts=12)
    penalty = 0.3 * largest_penalty(values, signs, 3)
    model = solve_group_lasso(values, signs, penalty, 3, tolerance=1e-9)
    in_use = model.weights.reshape(4, 3, 3).any(axis=2)
    assert in_use[1].all() and (in_use.all(axis=1) == in_use.any(axis=1)).all()
    # Among weights on the same columns, turning them within a group costs nothing.
    turned, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    blocks = np.kron(np.eye(4), turned)
    again = solve_group_lasso(values @ blocks, signs, penalty, 3, tolerance=1e-9)
    assert_allclose(blocks @ again.weights, model.weights, atol=1e-6)
    assert_allclose(again.norms, np.linalg.norm(model.weights.reshape(4, 9), axis=1))
