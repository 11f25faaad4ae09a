"""The costs of ProtoPNet against NumPy, and against the masked minimum of its code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdpnet.losses import cluster_cost, off_class_weights, separation_cost


@pytest.fixture
def case():
    random = np.random.default_rng(0)
    distances = random.uniform(0, 4, (9, 8)).astype(np.float32)
    labels = random.integers(3, size=9)
    own = np.array([0, 0, 1, 1, 1, 2, 2, 2]) == np.arange(3)[:, None]
    return distances, labels, own


def by_loops(distances, labels, own, of_others):
    costs = []
    for row, label in zip(distances, labels, strict=True):
        costs.append(
            min(
                d
                for d, is_own in zip(row, own[label], strict=True)
                if is_own != of_others
            )
        )
    return costs


@pytest.mark.parametrize(
    "cost, of_others", [(cluster_cost, False), (separation_cost, True)]
)
def test_costs_are_means_of_smallest_distances(case, cost, of_others):
    distances, labels, own = case
    tensors = torch.from_numpy(distances), torch.from_numpy(labels)
    expected = by_loops(distances, labels, own, of_others)
    value = cost(*tensors, torch.from_numpy(own))
    assert_allclose(float(value), np.mean(expected), rtol=1e-6)
    weights = np.linspace(0, 2, 9)
    value = cost(*tensors, torch.from_numpy(own), torch.from_numpy(weights))
    assert_allclose(float(value), np.mean(weights * expected), rtol=1e-6)


def test_the_minimum_is_that_of_the_largest_distance_less_the_masked_maximum(case):
    """The form that needs to know the largest distance gives the same where it does."""
    distances, labels, own = case
    largest = 4.0
    inverted = ((largest - distances) * own[labels]).max(axis=1)
    expected = (largest - inverted).mean()
    value = cluster_cost(*map(torch.from_numpy, (distances, labels, own)))
    assert_allclose(float(value), expected, rtol=1e-6)


@pytest.mark.parametrize("cost", [cluster_cost, separation_cost])
def test_only_the_nearest_prototype_has_a_gradient(case, cost):
    distances, labels, own = case
    d = torch.from_numpy(distances).requires_grad_()
    cost(d, torch.from_numpy(labels), torch.from_numpy(own)).backward()
    assert ((d.grad != 0).sum(dim=1) == 1).all()
    assert_allclose(d.grad.sum().item(), 1, rtol=1e-6)


def test_a_class_without_prototypes_adds_nothing(case):
    distances, labels, own = case
    without = own.copy()
    without[0] = False
    value = cluster_cost(*map(torch.from_numpy, (distances, labels, without)))
    others = by_loops(distances[labels > 0], labels[labels > 0], own, False)
    assert_allclose(float(value), np.sum(others) / len(labels), rtol=1e-6)


def test_off_class_weights_are_those_of_other_classes():
    V = torch.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0]])
    own = torch.tensor([[True, False, False], [False, True, True]])
    assert float(off_class_weights(V, own)) == 2 + 3 + 4
