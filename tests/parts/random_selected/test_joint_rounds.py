"""Joint rounds: the objective, its descent, and the classifier in them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from skdpnet.parts.random_selected.joint_rounds import fit_classifier, optimise_jointly


def toy(n=60, n_classes=3, seed=0):
    """Regions of unit length on two maps; one in each image points to its class."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    regions = []
    for n_regions, depth in ((6, 8), (4, 5)):
        x = random.standard_normal((n, n_regions, depth))
        x[np.arange(n), random.integers(n_regions, size=n), labels] += 4
        x /= np.linalg.norm(x, axis=2, keepdims=True)
        regions.append(torch.from_numpy(x.astype(np.float32)))
    parts = [
        torch.from_numpy(random.standard_normal((3, 8)).astype(np.float32)),
        torch.from_numpy(random.standard_normal((2, 5)).astype(np.float32)),
    ]
    return parts, regions, labels


def maxima(parts, regions):
    return np.hstack(
        [(x @ w.T).amax(dim=1).numpy() for w, x in zip(parts, regions, strict=True)]
    ).astype(float)


def objective(weights, intercepts, values, labels, C):
    """Half the squared weights and the hinges, image by image."""
    total = ((weights**2).sum() + (intercepts**2).sum()) / 2
    for x, y in zip(values, labels, strict=True):
        scores = weights @ x + intercepts
        others = [1 + s - scores[y] for c, s in enumerate(scores) if c != y]
        total += C * max(0.0, *others)
    return total


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_classifier_is_at_the_minimum_of_the_multiclass_hinge(n_classes):
    parts, regions, labels = toy(30, n_classes)
    values = maxima(parts, regions)
    weights, intercepts = fit_classifier(values, labels, 2.0, 0)
    ours = objective(weights, intercepts, values, labels, 2.0)

    n_weights = 6 * n_classes
    rows = [(i, y, c) for i, y in enumerate(labels) for c in range(n_classes) if c != y]

    def margins(z):
        table, slack = z[:n_weights].reshape(n_classes, 6), z[n_weights:]
        scores = values @ table[:, :5].T + table[:, 5]
        return np.array(
            [slack[i] - 1 + scores[i, y] - scores[i, c] for i, y, c in rows]
        )

    # The smooth form of the same problem, by another solver.
    found = minimize(
        lambda z: (z[:n_weights] ** 2).sum() / 2 + 2.0 * z[n_weights:].sum(),
        np.concatenate([np.zeros(n_weights), np.ones(30)]),
        method="SLSQP",
        bounds=[(None, None)] * n_weights + [(0, None)] * 30,
        constraints=[{"type": "ineq", "fun": margins}],
        options={"maxiter": 500, "ftol": 1e-10},
    )
    assert found.success
    assert_allclose(ours, found.fun, rtol=1e-3)


def test_the_objective_never_rises_and_falls_from_random_parts():
    parts, regions, labels = toy()
    shift = torch.from_numpy(maxima(parts, regions).mean(0).astype(np.float32))
    _, objectives = optimise_jointly(parts, regions, shift, labels, 1.0, 6, 0)
    assert len(objectives) == 7
    assert (np.diff(objectives) <= 0).all()
    assert objectives[-1] < 0.7 * objectives[0]


def test_the_objectives_are_those_of_the_model():
    parts, regions, labels = toy()
    shift = torch.from_numpy(maxima(parts, regions).mean(0).astype(np.float32))
    start, before = optimise_jointly(parts, regions, shift, labels, 1.5, 0, 0)
    model, after = optimise_jointly(parts, regions, shift, labels, 1.5, 2, 0)

    def penalty(model):
        return sum(float((w.double() ** 2).sum()) for w in model.parts) / 2

    def of_classifier(model):
        values = maxima(model.parts, regions) - shift.numpy()
        weights, intercepts = model.weights.numpy(), model.intercepts.numpy()
        size = ((weights**2).sum() + (intercepts**2).sum()) / 2
        return size, objective(weights, intercepts, values, labels, 1.5)

    size, value = of_classifier(start)
    # The penalty on the parts is as large as that on the classifier, at first.
    assert_allclose(before, [value + size], rtol=1e-4)
    assert after[0] == before[0]
    value = of_classifier(model)[1] + size / penalty(start) * penalty(model)
    assert_allclose(after[-1], value, rtol=1e-4)


def test_joint_rounds_find_what_random_parts_missed():
    parts, regions, labels = toy(120)
    train, test = slice(60), slice(60, None)
    some = [x[train] for x in regions]
    shift = torch.from_numpy(maxima(parts, some).mean(0).astype(np.float32))
    accuracies = []
    for n_rounds in (0, 8):
        model, _ = optimise_jointly(parts, some, shift, labels[train], 3.0, n_rounds, 0)
        values = maxima(model.parts, [x[test] for x in regions]) - shift.numpy()
        scores = values @ model.weights.numpy().T + model.intercepts.numpy()
        accuracies.append((scores.argmax(axis=1) == labels[test]).mean())
    assert accuracies[1] > accuracies[0] + 0.15
