"""Splits against an exhaustive search, and trees against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.tree import DecisionTreeClassifier

from skdpnet.parts.boosted.bins import Bins
from skdpnet.parts.boosted.tree_search import best_split, grow_tree

N = 120


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    maxima = random.normal(size=(N, 6)).astype(np.float32)
    sides = maxima[:, 0] * maxima[:, 1] + random.normal(size=N) > 0.5
    # Different weights leave no two splits equally good.
    return maxima, sides, random.random(N) + 0.1


def gini_fall(numbers, threshold, sides, weights):
    """By how much a threshold lowers the weighted Gini impurity, by definition."""

    def impurity(images):
        total = weights[images].sum()
        share = weights[images & sides].sum() / total
        return total * 2 * share * (1 - share)

    right = numbers > threshold
    return impurity(np.full(N, True)) - impurity(right) - impurity(~right)


@pytest.mark.parametrize("n_bins", [N, 16])
def test_the_best_split_is_the_best_of_all(data, n_bins):
    maxima, sides, weights = data
    bins = Bins.of(maxima, n_bins)
    part, number, gain = best_split(bins, weights * sides, weights * ~sides, None)
    falls = np.array(
        [
            [gini_fall(maxima[:, p], t, sides, weights) for t in thresholds]
            for p, thresholds in enumerate(bins.thresholds)
        ]
    )
    assert (part, number) == np.unravel_index(falls.argmax(), falls.shape)
    assert_allclose(gain / 2, falls.max())


def test_only_allowed_parts_are_searched(data):
    maxima, sides, weights = data
    bins = Bins.of(maxima, N)
    both = weights * sides, weights * ~sides
    first = best_split(bins, *both, None)[0]
    allowed = np.arange(6) != first
    part, _, gain = best_split(bins, *both, allowed)
    assert part not in (first, -1)
    assert 0 < gain < best_split(bins, *both, None)[2]
    assert best_split(bins, *both, np.zeros(6, bool)) == (-1, 0, 0.0)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_trees_decide_as_those_of_scikit_learn(data, depth):
    maxima, sides, weights = data
    bins = Bins.of(maxima, N)
    tree, decisions = grow_tree(bins, weights * sides, weights * ~sides, depth)
    expected = DecisionTreeClassifier(max_depth=depth, random_state=0).fit(
        maxima, sides, weights
    )
    assert_array_equal(decisions > 0, expected.predict(maxima))
    assert tree.parts[0] == expected.tree_.feature[0]
    assert_allclose(tree.thresholds[0], expected.tree_.threshold[0], rtol=1e-6)
    # Parts that split a small node alike are equally good; their gains are the same.
    impurity, n = expected.tree_.impurity, expected.tree_.weighted_n_node_samples
    of_leaves = (impurity * n)[expected.tree_.children_left < 0].sum()
    assert_allclose(tree.gains.sum() / 2, impurity[0] * n[0] - of_leaves)


def test_a_node_has_the_mean_decision_of_its_images(data):
    maxima, sides, weights = data
    bins = Bins.of(maxima, N)
    tree, decisions = grow_tree(bins, weights * sides, weights * ~sides, 2)
    assert_allclose(tree.values[0], decisions.mean())
    right = maxima[:, tree.parts[0]] > tree.thresholds[0]
    means = [decisions[~right].mean(), decisions[right].mean()]
    assert_allclose(tree.values[1:3], means)
    assert set(tree.values[3:]) <= {1.0, -1.0}


def test_nodes_of_one_group_are_not_split():
    maxima = np.arange(6, dtype=np.float32)[:, None]
    sides = np.arange(6) >= 3
    tree, decisions = grow_tree(Bins.of(maxima, 6), 1.0 * sides, 1.0 * ~sides, 3)
    assert tree.parts.tolist() == [0] + [-1] * 6
    assert_array_equal(decisions, np.where(sides, 1, -1))
