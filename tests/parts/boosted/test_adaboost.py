"""AdaBoost against scikit-learn's, and the loss that it minimises."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

from skdpnet.parts.boosted.adaboost import adaboost
from skdpnet.parts.boosted.bins import Bins
from skdpnet.parts.boosted.forests import (
    forest_importances,
    forest_scores,
    stack_trees,
)

N, ROUNDS = 150, 20


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    maxima = random.normal(size=(2 * N, 8)).astype(np.float32)
    target = maxima[:, 0] * maxima[:, 1] + maxima[:, 2]
    sides = np.where(target + random.normal(size=2 * N) > 0.7, 1.0, -1.0)
    return maxima[:N], sides[:N], maxima[N:], random.random(N) + 0.5


def boosted_by_scikit_learn(maxima, sides, depth, weights):
    tree = DecisionTreeClassifier(max_depth=depth, random_state=0)
    boosting = AdaBoostClassifier(tree, n_estimators=ROUNDS, random_state=0)
    return boosting.fit(maxima, sides, weights)


# Where two splits of a deeper tree are equally good, scikit-learn takes any of them.
# Weights of the images, which are what boosting starts from, make them differ.
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_is_the_boosting_of_scikit_learn(data, depth):
    maxima, sides, _, weights = data
    start = -2 * sides * np.log(weights)
    boosted = adaboost(Bins.of(maxima, N), sides, start, ROUNDS, depth)
    expected = boosted_by_scikit_learn(maxima, sides, depth, weights)
    assert_allclose(boosted.weights, expected.estimator_weights_)
    scores = forest_scores(maxima, stack_trees([boosted], depth))[:, 0]
    # Its decision counts each tree for one class and against the other.
    total = expected.estimator_weights_.sum() / 2
    assert_allclose(scores, expected.decision_function(maxima) * total, atol=1e-9)


def test_stumps_predict_new_images_as_those_of_scikit_learn(data):
    maxima, sides, new, _ = data
    boosted = adaboost(Bins.of(maxima, N), sides, np.zeros(N), ROUNDS, 1)
    expected = boosted_by_scikit_learn(maxima, sides, 1, None)
    assert_allclose(boosted.weights, expected.estimator_weights_)
    scores = forest_scores(new, stack_trees([boosted], 1))[:, 0]
    assert_array_equal(np.where(scores > 0, 1, -1), expected.predict(new))
    importances = forest_importances([boosted], 8)[0]
    assert_allclose(importances, expected.feature_importances_, atol=1e-9)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("from_scores", [False, True])
def test_the_exponential_loss_falls_in_each_round(data, depth, from_scores):
    maxima, sides, _, _ = data
    start = np.random.default_rng(1).normal(size=N) * from_scores
    bins = Bins.of(maxima, 16)
    boosted = adaboost(bins, sides, start, ROUNDS, depth)
    assert len(boosted.losses) == ROUNDS + 1
    assert (np.diff(boosted.losses) < 0).all()
    scores = start + forest_scores(maxima, stack_trees([boosted], depth))[:, 0]
    assert_allclose(boosted.losses[-1], np.exp(-sides * scores / 2).mean())


def test_a_tree_that_is_never_wrong_ends_it_with_a_finite_weight():
    maxima = np.arange(10, dtype=np.float32)[:, None]
    sides = np.where(maxima[:, 0] > 4, 1.0, -1.0)
    boosted = adaboost(Bins.of(maxima, 10), sides, np.zeros(10), 50, 1)
    assert len(boosted.trees) == 1
    assert_allclose(boosted.weights, np.log(19))


def test_parts_that_say_nothing_leave_the_start():
    maxima, sides = np.ones((10, 2), np.float32), np.repeat([1.0, -1.0], 5)
    boosted = adaboost(Bins.of(maxima, 10), sides, np.zeros(10), 5, 1)
    assert boosted.trees == []
    assert boosted.losses.tolist() == [1.0]


def test_two_classes_select_the_part_that_they_share():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 25)
    maxima = random.normal(size=(100, 12)).astype(np.float32)
    for part, classes in enumerate([(0, 1), (0, 2), (1, 3), (2, 3)]):
        maxima[np.isin(labels, classes), part] += 4
    bins = Bins.of(maxima, 64)
    boosted = [
        adaboost(bins, np.where(labels == c, 1.0, -1.0), np.zeros(100), 10, 1)
        for c in (0, 1)
    ]
    importances = forest_importances(boosted, 12)
    assert (importances[:, 0] > 0.15).all()
    assert importances[:, 4:].max() < 0.1
