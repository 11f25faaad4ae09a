"""Scores and contributions of trees against walks from node to node."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skdpnet.parts.boosted import forests
from skdpnet.parts.boosted.adaboost import Boosted
from skdpnet.parts.boosted.forests import (
    Forest,
    check_forest,
    forest_contributions,
    forest_scores,
    stack_trees,
)
from skdpnet.parts.boosted.tree_search import Tree

C, T, P, N = 3, 4, 5, 20


@pytest.fixture(params=[1, 2, 3])
def forest(request):
    random = np.random.default_rng(request.param)
    n_nodes = 2**request.param - 1
    parts = random.integers(-1, P, size=(C, T, n_nodes))
    values = random.normal(size=(C, T, 2 * n_nodes + 1))
    for node in range(n_nodes):
        stays = parts[..., node] < 0
        values[stays, 2 * node + 1] = values[stays, node]
    thresholds = random.normal(size=parts.shape).astype(np.float32)
    return Forest(parts, thresholds, values)


@pytest.fixture
def descriptors():
    return np.random.default_rng(9).normal(size=(N, P)).astype(np.float32)


def walk(row, parts, thresholds, values):
    """The leaf's value, and the change of the value at each part, (P,)."""
    node, changes = 0, np.zeros(P)
    while node < len(parts):
        part = parts[node]
        right = part >= 0 and row[part] > thresholds[node]
        child = 2 * node + 1 + int(right)
        if part >= 0:
            changes[part] += values[child] - values[node]
        node = child
    return values[node], changes


def test_scores_and_contributions_are_those_of_walks(forest, descriptors, monkeypatch):
    monkeypatch.setattr(forests, "_PATH_BYTES", 1000)  # several pieces
    scores = forest_scores(descriptors, forest)
    for c in range(C):
        contributions = forest_contributions(descriptors, forest, c)
        for i, row in enumerate(descriptors):
            walks = [walk(row, *(a[c, t] for a in forest)) for t in range(T)]
            assert_allclose(scores[i, c], sum(value for value, _ in walks))
            expected = sum(changes for _, changes in walks)
            assert_allclose(contributions[i], expected, atol=1e-12)


def test_contributions_and_roots_add_up_to_the_scores(forest, descriptors):
    scores = forest_scores(descriptors, forest)
    for c in range(C):
        total = forest_contributions(descriptors, forest, c).sum(axis=1)
        assert_allclose(total + forest.values[c, :, 0].sum(), scores[:, c])


def test_a_class_that_ends_early_is_not_outvoted():
    tree = Tree(np.array([0]), np.zeros(1, np.float32), np.array([0, -1.0, 1]), None)
    long = Boosted([tree] * 3, np.array([1.0, 2, 3]), None)
    short = Boosted([tree], np.array([2.0]), None)
    never = Boosted([], np.array([]), None)
    values = stack_trees([long, short, never], 1).values
    # The mean of 6 and 2 is 4.
    assert_allclose(values[0, :, 2], [4 / 6, 8 / 6, 12 / 6])
    assert_allclose(values[1, :, 2], [4, 0, 0])
    assert not values[2].any()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("parts", lambda a: a.astype(float), "trees of 3 classes"),
        ("parts", lambda a: a[:2], "trees of 3 classes"),
        ("parts", lambda a: a[:, :, :0], "trees of 3 classes"),
        ("parts", lambda a: a + P, "numbers of 5 parts"),
        ("parts", lambda a: a - 2, "numbers of 5 parts"),
        ("parts", lambda a: np.tile(a, 2), "complete trees"),
        ("thresholds", lambda a: a * np.float32(np.nan), "tree_thresholds_"),
        ("thresholds", lambda a: a[:, :1], "tree_thresholds_"),
        ("values", lambda a: a[..., :-1], "tree_values_"),
        ("values", lambda a: a * np.inf, "tree_values_"),
    ],
)
def test_crafted_trees_are_refused(forest, name, change, message):
    check_forest(*forest, C, P)
    crafted = forest._replace(**{name: change(getattr(forest, name))})
    with pytest.raises(ValueError, match=message):
        check_forest(*crafted, C, P)
