"""Soft trees: paths, leaves, and what pruning leaves of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skdpnet.prototypes.soft_tree import (
    check_tree,
    complete_tree,
    hard_presence,
    leaves_below,
    mean_distributions,
    path_log_probabilities,
    path_probabilities,
    prune_tree,
    update_leaves,
)

# The root's left child is a leaf, its right child has two.
SMALL = np.array([[-1, 1], [-2, -3]])


def presences(n, children, seed=0):
    return np.random.default_rng(seed).random((n, len(children)))


def walk(s, children):
    """Probabilities of the leaves of one image, path by path."""
    leaves = np.zeros(len(children) + 1)

    def go(slot, probability):
        if slot < 0:
            leaves[-1 - slot] = probability
        else:
            go(children[slot, 0], probability * (1 - s[slot]))
            go(children[slot, 1], probability * s[slot])

    go(0, 1.0)
    return leaves


@pytest.mark.parametrize("children", [complete_tree(1), complete_tree(4), SMALL])
def test_paths_are_products_that_sum_to_one(children):
    s = presences(7, children)
    nodes, leaves = path_probabilities(s, children)
    assert_allclose(leaves.sum(axis=1), 1)
    assert_allclose(leaves, [walk(row, children) for row in s])
    below = leaves_below(children)
    assert_allclose(nodes, leaves @ below.T)  # one passes a node to a leaf below it
    logs = path_log_probabilities(
        torch.from_numpy(np.log(1 - s)), torch.from_numpy(np.log(s)), children
    )
    assert_allclose(logs[0].exp(), nodes)
    assert_allclose(logs[1].exp(), leaves)


def test_depth_one_is_a_mixture_of_two_leaves():
    s = np.array([[0.25], [1.0]])
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    _, leaves = path_probabilities(s, complete_tree(1))
    assert_allclose(leaves @ p, [[0.725, 0.275], p[1]])


def test_the_leaf_update_raises_the_likelihood():
    random = np.random.default_rng(0)
    children = complete_tree(3)
    labels = random.integers(4, size=50)
    weights = random.uniform(0.5, 2, 50)
    _, paths = path_probabilities(presences(50, children), children)
    leaves = random.dirichlet(np.ones(4), 8)

    def likelihood(leaves):
        of_labels = (paths @ leaves)[np.arange(50), labels]
        return (weights * np.log(of_labels)).sum()

    values = [likelihood(leaves)]
    for _ in range(10):
        leaves = update_leaves(paths, labels, weights, leaves, 0.0)
        assert_allclose(leaves.sum(axis=1), 1)
        values.append(likelihood(leaves))
    assert (np.diff(values) > 0).all()
    many = update_leaves(paths, labels, weights, leaves, 0.0, 500)
    for _ in range(20):  # no distributions near the limit are more likely
        other = 0.98 * many + 0.02 * random.dirichlet(np.ones(4), 8)
        assert likelihood(other) <= likelihood(many) + 1e-6


def test_where_paths_are_sure_a_leaf_has_the_labels_that_reach_it():
    paths = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    start = np.full((3, 2), 0.5)
    leaves = update_leaves(paths, np.array([0, 1, 1]), np.array([3, 1, 1]), start, 0)
    assert_allclose(leaves, [[0.75, 0.25], [0, 1], [0.5, 0.5]])
    leaves = update_leaves(paths, np.array([0, 1, 1]), np.array([3, 1, 1]), start, 2)
    assert_allclose(leaves, [[4 / 6, 2 / 6], [1 / 3, 2 / 3], [0.5, 0.5]])


def test_decisions_agree_where_every_node_is_sure():
    children = complete_tree(4)
    s = (presences(30, children) > 0.5).astype(float)
    nearly = np.clip(s, 1e-9, 1 - 1e-9)
    _, soft = path_probabilities(nearly, children)
    for rule in ("greedy", "best_leaf"):
        _, hard = path_probabilities(hard_presence(nearly, children, rule), children)
        assert_allclose(hard, soft, atol=1e-7)


@pytest.mark.parametrize("children", [complete_tree(4), SMALL])
def test_the_best_leaf_is_that_of_the_most_probable_path(children):
    s = presences(100, children)
    _, soft = path_probabilities(s, children)
    _, best = path_probabilities(hard_presence(s, children, "best_leaf"), children)
    assert_array_equal(best.argmax(axis=1), soft.argmax(axis=1))
    assert_array_equal(np.sort(best, axis=1)[:, -2:], [[0, 1]] * 100)
    # At each node of a greedy walk the larger side is taken.
    _, greedy = path_probabilities(hard_presence(s, children, "greedy"), children)
    for row, leaf in zip(s, greedy.argmax(axis=1), strict=True):
        slot = 0
        while slot >= 0:
            slot = children[slot, int(row[slot] > 1 - row[slot])]
        assert -1 - slot == leaf


def test_a_best_leaf_can_be_off_the_greedy_walk():
    children = complete_tree(2)
    s = np.array([[0.6, 0.01, 0.5]])  # right, then 0.3; left, then 0.396
    assert hard_presence(s, children, "greedy")[0, 0] == 1
    assert hard_presence(s, children, "best_leaf")[0, 0] == 0


def test_pruning_leaves_out_subtrees_and_their_parents():
    kept = np.array([True, False, False, False, True, True, True, True])
    children, nodes, leaves = prune_tree(complete_tree(3), kept)
    # Leaf 1 goes with its parent 3, and leaves 2 and 3 with 4; so leaf 0 stands in the
    # place of 1.
    assert children.tolist() == [[-1, 1], [2, 3], [-2, -3], [-4, -5]]
    assert nodes.tolist() == [0, 2, 5, 6]
    assert leaves.tolist() == [0, 4, 5, 6, 7]


def test_pruning_without_a_leaf_to_keep_leaves_the_tree():
    for kept in (np.zeros(8, bool), np.arange(8) == 3):
        children, nodes, leaves = prune_tree(complete_tree(3), kept)
        assert_array_equal(children, complete_tree(3))
        assert len(nodes) == 7 and len(leaves) == 8


@pytest.mark.parametrize("seed", range(5))
def test_pruned_trees_give_the_same_scores_where_pruned_leaves_had_no_mass(seed):
    random = np.random.default_rng(seed)
    whole, p = complete_tree(4), random.dirichlet(np.ones(3), 16)
    kept = random.random(16) < 0.6
    below = leaves_below(whole)
    s = presences(20, whole, seed)
    for node, (left, right) in enumerate(whole):
        has = [
            (kept & below[slot]).any() if slot >= 0 else kept[-1 - slot]
            for slot in (left, right)
        ]
        if has[0] != has[1]:  # all go to the side that stays
            s[:, node] = has[1]
    children, nodes, leaves = prune_tree(whole, kept)
    assert len(nodes) < 15
    check_tree(children)
    _, before = path_probabilities(s, whole)
    _, after = path_probabilities(s[:, nodes], children)
    assert_allclose(after @ p[leaves], before @ p)


def test_mean_distributions_are_weighted_by_the_masses():
    p = np.array([[1, 0], [0, 1], [0.5, 0.5]])
    means = mean_distributions(SMALL, p, np.array([2, 1, 1]))
    assert_allclose(means, [[(2 + 0.5) / 4, 1.5 / 4], [0.25, 0.75]])


@pytest.mark.parametrize(
    "children",
    [
        [[0, -1], [-2, -3]],  # its own child
        [[1, -1], [0, -2]],  # a circle
        [[1, 1], [-1, -2]],  # two parents
        [[2, -1], [-2, -3], [1, -4]],  # the child is before the parent
        [[-1, -2], [-3, -4]],  # two roots
        [[1, -1], [-2, -4]],  # a leaf is missing
        [[5, -1], [-2, -3]],  # no such node
        [[1, -2], [-1, -3]],  # leaves in another order
        [[1, -1, -2]],
        np.zeros((0, 2), np.int64),
        [[-1.0, -2.0]],
        "tree",
    ],
)
def test_what_is_no_tree_is_refused(children):
    if not isinstance(children, (np.ndarray, str)):
        children = np.array(children)
    with pytest.raises(ValueError, match="children_"):
        check_tree(children)
