"""The latent SVM, against scikit-learn's SVM and against searches over all places."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from sklearn.datasets import make_blobs
from sklearn.svm import LinearSVC

from skdpnet.parts.deformable.convex_fit import (
    Penalty,
    Rows,
    fit_weights,
    smooth_hinge,
)
from skdpnet.parts.deformable.latent_svm import Placements, fit_latent_svm


class Choices:
    """Images n with the features of each place, (n, places, d), for each component."""

    def __init__(self, features):
        self.all = features

    def place(self, weights):
        scores = np.einsum("npd,md->nmp", self.all, weights)
        flat = scores.reshape(len(scores), -1)
        components, places = np.divmod(flat.argmax(axis=1), scores.shape[2])
        return Placements(flat.max(axis=1), components, places)

    def features(self, images, placements):
        return self.all[images, placements.places[images]]


def penalty(n_features, C=1.0, smoothing=0.1):
    """A penalty of all weights but the last, which is the bias."""
    factors = np.append(np.ones(n_features - 1), 0.0)
    return Penalty(C, factors, np.full(n_features, -np.inf), smoothing)


def objective(model, weights, is_positive, terms):
    scores = model.place(weights).scores
    margins = np.where(is_positive, scores, -scores)
    return terms.of(weights) + terms.losses(margins)


def test_smooth_hinge_is_the_hinge_away_from_its_corner():
    margins = np.linspace(-2, 3, 501)
    losses, derivatives = smooth_hinge(margins, 0.2)
    hinge = np.maximum(0, 1 - margins)
    assert (losses <= hinge).all() and (hinge - losses <= 0.1 + 1e-12).all()
    assert_allclose(losses[margins > 1], 0)
    assert_allclose(losses[margins < 0.8], hinge[margins < 0.8] - 0.1)
    numeric = np.gradient(losses, margins)
    assert_allclose(derivatives[1:-1], numeric[1:-1], atol=0.03)


@pytest.mark.parametrize("C", [0.01, 1.0])
def test_one_component_and_place_is_the_linear_svm_with_hinge_loss(C):
    X, y = make_blobs(80, 5, centers=2, cluster_std=6.0, random_state=0)
    X = X / X.std()
    rows = np.hstack([X, np.ones((80, 1))])[:, None]
    fitted = fit_latent_svm(
        Choices(rows), y == 1, np.zeros((1, 6)), penalty(6, C, 1e-3), max_iter=2000
    )
    svm = LinearSVC(
        loss="hinge", C=C, intercept_scaling=30, tol=1e-6, max_iter=1_000_000
    ).fit(X, y)

    def hinge_objective(w, b):
        losses = np.maximum(0, 1 - np.where(y == 1, 1, -1) * (X @ w + b))
        return w @ w / 2 + C * losses.sum()

    (weights,) = fitted.weights
    ours = hinge_objective(weights[:-1], weights[-1])
    theirs = hinge_objective(svm.coef_[0], svm.intercept_[0])
    assert_allclose(ours, theirs, rtol=2e-3)
    cosine = weights[:-1] @ svm.coef_[0]
    cosine /= np.linalg.norm(weights[:-1]) * np.linalg.norm(svm.coef_)
    assert cosine > 0.999


def hidden_images(seed=0, n=60):
    """Bags of six places; one place of each positive has one of two signatures."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, 6, 9))
    features[:, :, -1] = 1
    is_positive = np.arange(n) % 2 == 0
    where = random.integers(6, size=n)
    kind = random.integers(2, size=n)
    features[is_positive, where[is_positive], kind[is_positive]] += 5
    return Choices(features), is_positive, where


@pytest.mark.parametrize("seed", range(4))
def test_the_objective_never_rises_and_is_that_of_the_best_places(seed):
    model, is_positive, _ = hidden_images(seed)
    start = np.random.default_rng(seed + 10).normal(size=(2, 9)) / 10
    terms = penalty(9, 0.1)
    fitted = fit_latent_svm(model, is_positive, start, terms, n_rounds=8)
    first = objective(model, start, is_positive, terms)
    assert (np.diff([first, *fitted.objectives]) <= 1e-9).all()
    assert len(fitted.objectives) > 1
    last = objective(model, fitted.weights, is_positive, terms)
    assert_allclose(fitted.objectives[-1], last)
    assert_allclose(fitted.placements.scores, model.place(fitted.weights).scores)


def test_two_components_find_the_places_of_two_signatures():
    model, is_positive, where = hidden_images(n=200)
    start = np.zeros((2, 9))
    start[0, 0] = start[1, 1] = 0.1
    fitted = fit_latent_svm(model, is_positive, start, penalty(9, 0.1), n_rounds=8)
    found = fitted.placements.places[is_positive] == where[is_positive]
    assert found.mean() > 0.9
    scores = fitted.placements.scores
    assert ((scores > 0) == is_positive).mean() > 0.95


def test_the_first_places_of_positives_may_be_given():
    model, is_positive, where = hidden_images(n=200)
    given = Placements(np.zeros(200), np.zeros(200, int), where)
    terms = penalty(9, 0.1)
    fitted = fit_latent_svm(
        model, is_positive, np.zeros((1, 9)), terms, first=given, n_rounds=1
    )
    # The first two features alone tell the true places from others.
    (weights,) = fitted.weights
    assert weights[:2].min() > 2 * np.abs(weights[2:-1]).max()


def test_the_convex_step_finds_the_minimum_within_the_bounds():
    random = np.random.default_rng(4)
    positives = Rows(np.arange(10), np.arange(10) % 2, random.normal(size=(10, 4)))
    negatives = Rows(
        np.repeat(np.arange(10, 20), 3), np.arange(30) % 2, random.normal(size=(30, 4))
    )
    least = np.array([-np.inf, 0.3, -np.inf, -0.1])
    factors = np.array([1.0, 10.0, 1.0, 2.0])
    terms = Penalty(0.7, factors, least, 0.5)

    def by_loops(flat):
        weights = flat.reshape(2, 4)
        total = (factors * weights**2).sum() / 2
        for row, c in zip(positives.features, positives.components, strict=True):
            total += 0.7 * smooth_hinge(np.array([row @ weights[c]]), 0.5)[0][0]
        for image in range(10, 20):
            of_image = negatives[negatives.images == image]
            highest = max(
                row @ weights[c]
                for row, c in zip(of_image.features, of_image.components, strict=True)
            )
            total += 0.7 * smooth_hinge(np.array([-highest]), 0.5)[0][0]
        return total

    start = np.maximum(np.zeros((2, 4)), least)
    weights, value = fit_weights(start, positives, negatives, terms, 500)
    assert_allclose(value, by_loops(weights.ravel()))
    assert (weights >= least).all() and (weights[:, 1] == 0.3).any()
    slow = minimize(
        by_loops,
        weights.ravel(),
        method="Nelder-Mead",
        bounds=[(low, None) for low in np.tile(least, 2)],
        options={"maxfev": 20_000, "fatol": 1e-10, "xatol": 1e-8},
    )
    assert value <= slow.fun * (1 + 1e-3)
