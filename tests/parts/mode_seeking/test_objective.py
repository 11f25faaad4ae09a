"""The objective of mode seeking against finite differences, SLSQP and toys."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import brentq, minimize

from skdpnet.parts.mode_seeking.objective import ascend, bias_of, evaluate

SETTINGS = {"beta": 1.0, "penalty": 1.0}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def two_modes(seed=0):
    """Regions of two modes, 20 each; as many negatives share the second mode."""
    random = np.random.default_rng(seed)
    axes = np.eye(10)

    def around(axis, n):
        return unit(axes[axis] + 0.1 * random.standard_normal((n, 10)))

    positives = np.vstack([around(0, 20), around(1, 20)])
    negatives = np.vstack([around(1, 40), unit(random.standard_normal((200, 10)))])
    return torch.from_numpy(positives), torch.from_numpy(negatives)


def random_problem(seed=0, n_elements=4, depth=6):
    random = np.random.default_rng(seed)
    elements, positives, negatives = (
        torch.from_numpy(unit(random.standard_normal(shape)))
        for shape in (
            (n_elements, depth),
            (n_elements, 30, depth),
            (n_elements, 50, depth),
        )
    )
    return 2 * elements, positives, negatives


def value_by_root(w, positives, negatives, beta, penalty):
    """The objective as it is defined; the bias by root finding."""
    scores = negatives @ w
    low, high = scores.min() - beta, scores.max()
    b = brentq(lambda b: np.maximum(scores - b, 0).sum() - beta, low, high, xtol=1e-13)
    return np.maximum(positives @ w - b, 0).sum() - penalty * w @ w


@pytest.mark.parametrize("n, beta", [(1, 1.0), (7, 0.01), (300, 1.0), (300, 1_000.0)])
def test_negative_scores_have_beta_above_the_bias(n, beta):
    scores = torch.from_numpy(np.random.default_rng(n).normal(size=(5, n)))
    above = (scores - bias_of(scores, beta)[:, None]).clamp(min=0)
    assert_allclose(above.sum(dim=1), beta, rtol=1e-10)


def test_equal_scores_share_beta():
    assert bias_of(torch.full((4,), 3.0), beta=2.0) == pytest.approx(2.5)


def test_values_are_those_of_the_definition():
    elements, positives, negatives = random_problem()
    values = evaluate(elements, positives, negatives, **SETTINGS).values
    expected = [
        value_by_root(w, x, z, **SETTINGS)
        for w, x, z in zip(
            elements.numpy(), positives.numpy(), negatives.numpy(), strict=True
        )
    ]
    assert_allclose(values, expected, rtol=1e-9)


def test_the_gradient_is_that_of_finite_differences():
    elements, positives, negatives = random_problem()
    gradients = evaluate(elements, positives, negatives, **SETTINGS).gradients
    eps = 1e-6
    for k in range(elements.shape[1]):
        step = torch.zeros_like(elements)
        step[:, k] = eps
        up, down = (
            evaluate(elements + s, positives, negatives, **SETTINGS).values
            for s in (step, -step)
        )
        assert_allclose(gradients[:, k], (up - down) / (2 * eps), atol=1e-7)


def test_regions_for_all_elements_are_as_if_each_had_its_own():
    elements, positives, negatives = random_problem()
    shared = evaluate(elements, positives[0], negatives[0], **SETTINGS)
    own = evaluate(
        elements,
        positives[:1].expand(4, -1, -1),
        negatives[:1].expand(4, -1, -1),
        **SETTINGS,
    )
    for ours, theirs in zip(shared, own, strict=True):
        assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("penalty", [1.0, 4.0])
def test_slsqp_finds_nothing_better_than_the_ascent(seed, penalty):
    positives, negatives = two_modes(seed)
    start, settings = 2 * positives[:1], {"beta": 1.0, "penalty": penalty}
    found = ascend(start, positives, negatives, **settings, n_steps=200)
    value = float(found.history[0, -1])
    from_start, from_end = (
        slsqp(w[0].numpy(), positives.numpy(), negatives.numpy(), **settings)
        for w in (start, found.elements)
    )
    assert value == pytest.approx(-from_end.fun, rel=5e-3)
    assert value > -0.99 * from_start.fun
    assert unit(from_end.x[:-1]) @ unit(found.elements[0].numpy()) > 0.999


def slsqp(start, positives, negatives, beta, penalty):
    """Element and bias as unknowns, under the constraint that replaces the bias."""

    def loss(v):
        above = np.maximum(positives @ v[:-1] - v[-1], 0)
        return penalty * v[:-1] @ v[:-1] - above.sum()

    def excess(v):
        return np.maximum(negatives @ v[:-1] - v[-1], 0).sum() - beta

    bias = bias_of(torch.from_numpy(negatives @ start), beta)
    return minimize(
        loss,
        np.append(start, bias),
        method="SLSQP",
        constraints={"type": "eq", "fun": excess},
        options={"maxiter": 1_000},
    )


def test_the_objective_never_falls_and_is_that_of_the_elements():
    elements, positives, negatives = random_problem()
    found = ascend(elements, positives, negatives, **SETTINGS, n_steps=50)
    assert (found.history.diff(dim=1) >= 0).all()
    assert (found.history[:, -1] > found.history[:, 0]).all()
    reached = evaluate(found.elements, positives, negatives, **SETTINGS)
    assert_allclose(found.history[:, -1], reached.values, rtol=1e-9)
    assert_allclose(found.biases, reached.biases, rtol=1e-9)


def test_the_telling_mode_is_found_and_the_shared_one_is_poor():
    positives, negatives = two_modes()
    telling, shared = positives[:20], positives[20:]
    starts = 2 * torch.stack([telling[0], shared[0]])
    found = ascend(starts, positives, negatives, **SETTINGS, n_steps=100)
    directions = unit(found.elements.numpy())
    centres = [unit(mode.mean(dim=0).numpy()) for mode in (telling, shared)]
    assert directions[0] @ centres[0] > 0.97
    assert abs(directions[0] @ centres[1]) < 0.3
    assert (telling @ found.elements[0] > found.biases[0]).all()
    # From the shared mode there is a way to little.
    values = found.history[:, -1]
    assert values[0] > 10 * values[1]


def test_a_larger_penalty_gives_shorter_and_wider_elements():
    positives, negatives = two_modes()
    lengths, n_negative = [], []
    for penalty in (0.3, 1.0, 4.0):
        found = ascend(
            2 * positives[:1],
            positives,
            negatives,
            beta=1.0,
            penalty=penalty,
            n_steps=100,
        )
        lengths.append(float(found.elements.norm()))
        n_negative.append(int((negatives @ found.elements[0] > found.biases).sum()))
    assert lengths == sorted(lengths, reverse=True)
    assert n_negative == sorted(n_negative)
    assert n_negative[0] < n_negative[-1]


def test_no_steps_give_the_start_and_its_bias():
    elements, positives, negatives = random_problem()
    found = ascend(elements, positives, negatives, **SETTINGS, n_steps=0)
    assert torch.equal(found.elements, elements)
    assert_allclose(
        found.biases, evaluate(elements, positives, negatives, **SETTINGS).biases
    )


@pytest.mark.parametrize("function", [evaluate, ascend])
@pytest.mark.parametrize("name", ["positive", "negative"])
def test_descriptors_of_other_lengths_are_refused(function, name):
    elements, positives, negatives = random_problem()
    regions = {"positive": positives, "negative": negatives}
    regions[name][2, 7] *= 1.5
    steps = {"n_steps": 1} if function is ascend else {}
    with pytest.raises(ValueError, match=f"{name} region 7 has length 1.5, not 1"):
        function(elements, *regions.values(), **SETTINGS, **steps)


def test_empty_regions_are_no_error():
    elements, positives, negatives = random_problem()
    positives[:, 3] = negatives[:, 3] = 0
    found = ascend(elements, positives, negatives, **SETTINGS, n_steps=20)
    assert found.elements.isfinite().all()


def test_no_negative_regions_are_refused():
    elements, positives, negatives = random_problem()
    with pytest.raises(ValueError, match="no negative regions"):
        evaluate(elements, positives, negatives[:, :0], **SETTINGS)
