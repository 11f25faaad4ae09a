"""The slots of ProtoPool and its focal similarity, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

from skdpnet.prototypes.focal import (
    distances_of_similarities,
    focal_of_responses,
    focal_similarity,
    mean_distances,
)
from skdpnet.prototypes.similarity import log_similarity, squared_distances
from skdpnet.prototypes.slots import (
    gumbel_slots,
    initial_logits,
    owners_of_slots,
    slot_similarities,
    strongest_prototypes,
    sum_slots,
)

EPSILON = 1e-4


def similarity(d):
    return np.log((d + 1) / (d + EPSILON))


@pytest.fixture
def random():
    return np.random.default_rng(0)


def unit(array):
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


def test_slots_are_softmax_shares_of_scaled_logits_and_noise(random):
    logits, noise = random.standard_normal((2, 3, 5, 4))
    found = gumbel_slots(torch.from_numpy(logits), torch.from_numpy(noise), 0.5, 20)
    assert_allclose(found, softmax((20 * logits + noise) / 0.5, axis=1), rtol=1e-9)


def test_the_largest_share_is_drawn_from_the_softmax_of_the_logits():
    logits = np.log([0.5, 0.3, 0.2])[None, :, None] * np.ones((1, 3, 20_000))
    noise = np.random.RandomState(0).gumbel(size=logits.shape)
    drawn = gumbel_slots(torch.from_numpy(logits), torch.from_numpy(noise), 0.5, 1.0)
    counts = np.bincount(drawn.argmax(dim=1).ravel().numpy()) / 20_000
    assert_allclose(counts, [0.5, 0.3, 0.2], atol=0.015)


def test_similarities_of_slots_are_those_of_mixed_distances(random):
    nearest = random.uniform(0, 2, (7, 5))
    mean = nearest + random.uniform(0, 2, (7, 5))
    slots = random.dirichlet(np.ones(5), size=(3, 4)).swapaxes(1, 2)
    tensors = (torch.from_numpy(x) for x in (nearest, mean, slots))
    found = slot_similarities(*tensors, EPSILON)
    for c in range(3):
        for n in range(4):
            q = slots[c, :, n]
            expected = similarity(nearest @ q) - similarity(mean @ q)
            assert_allclose(found[:, c, n], expected, rtol=1e-9)


def test_hard_slots_without_the_mean_are_protopnet_with_shared_prototypes(random):
    """Its logits: similarities of prototypes, summed with W over a class's own."""
    distances = random.uniform(0, 4, (9, 5))
    slots = np.array([[0, 1], [1, 2], [4, 2]])
    hard = np.eye(5)[slots].swapaxes(1, 2)  # (C, P, N)
    g = slot_similarities(
        torch.from_numpy(distances), None, torch.from_numpy(hard), EPSILON
    )
    W = random.standard_normal((3, 6))
    coef = sum_slots(W, slots, 5)
    assert_allclose(
        g.flatten(1).numpy() @ W.T, similarity(distances) @ coef.T, rtol=1e-9
    )
    own = np.repeat(np.eye(3), 2, axis=1)
    assert_array_equal(sum_slots(own, slots, 5) > 0, owners_of_slots(slots, 5))


def test_a_slot_that_holds_a_prototype_twice_counts_twice():
    W = np.array([[1.0, 2.0, 4.0, 8.0]])
    assert_allclose(sum_slots(W, np.array([[0, 0], [1, 0]]), 3), [[11, 4, 0]])


def test_strongest_prototypes_have_the_largest_mass(random):
    slots = random.dirichlet(np.ones(6), size=(4, 3)).swapaxes(1, 2)
    found = strongest_prototypes(torch.from_numpy(slots), 2).numpy()
    for c in range(4):
        largest = np.argsort(slots[c].sum(axis=1))[-2:]
        assert_array_equal(np.flatnonzero(found[c]), np.sort(largest))
    assert strongest_prototypes(torch.from_numpy(slots), 9).all()


def test_slots_start_with_what_is_nearer_to_their_class():
    labels = np.repeat([0, 1], 50)
    distances = np.ones((100, 4))
    distances[:50, 2] = distances[50:, 0] = 0
    large = [
        initial_logits(distances, labels, 2, 3, np.random.RandomState(seed))
        for seed in range(200)
    ]
    mean = np.mean(large, axis=0)
    assert mean[0, :, 0].argmax() == 2 and mean[1, :, 0].argmax() == 0
    assert mean.shape == (2, 4, 3)


def test_the_focal_term_is_zero_on_constant_maps(random):
    prototypes = torch.from_numpy(unit(random.standard_normal((5, 8))))
    cells = torch.from_numpy(unit(random.standard_normal((6, 1, 8))))
    regions = torch.cat([cells, prototypes[:1, None]]).expand(7, 9, 8)
    d = squared_distances(regions, prototypes)
    mean = mean_distances(regions, prototypes)
    assert_allclose(
        focal_similarity(d.amin(dim=1)[:6], mean[:6], EPSILON), 0, atol=1e-5
    )
    # From responses it is exact, also where the prototype is the region.
    responses = log_similarity(d, EPSILON).float()
    assert_allclose(focal_of_responses(responses, EPSILON), 0, atol=1e-6)


def test_focal_similarities_of_responses_leave_out_regions_beside_the_image(random):
    regions = unit(random.standard_normal((4, 10, 8)))
    prototypes = unit(random.standard_normal((3, 8)))
    prototypes[0] = regions[1, 2]  # at distance 0
    d = np.square(regions[:, :, None].astype(float) - prototypes).sum(axis=-1)
    responses = similarity(d)
    responses[0, 6:] = responses[2, 3:] = 0.0  # outside
    found = focal_of_responses(torch.from_numpy(responses).float(), EPSILON)
    for i, n in enumerate((6, 10, 3, 10)):
        inside = d[i, :n]
        expected = similarity(inside.min(axis=0)) - similarity(inside.mean(axis=0))
        assert_allclose(found[i], expected, rtol=1e-4, atol=1e-5)


def test_distances_are_the_inverse_of_similarities():
    d = np.array([0, 1e-6, 1e-3, 0.5, 1.3, 4.0])
    exact = torch.from_numpy(similarity(d))
    assert_allclose(distances_of_similarities(exact, EPSILON), d, atol=1e-12)
    rounded = exact.float()
    assert_allclose(
        distances_of_similarities(rounded, EPSILON), d, rtol=1e-5, atol=1e-9
    )


def test_mean_distances_leave_out_empty_regions(random):
    regions = unit(random.standard_normal((3, 6, 8)))
    regions[1, 4:] = 0
    prototypes = unit(random.standard_normal((5, 8)))
    found = mean_distances(torch.from_numpy(regions), torch.from_numpy(prototypes))
    d = np.square(regions[:, :, None] - prototypes).sum(axis=-1)
    expected = np.stack([d[0].mean(axis=0), d[1, :4].mean(axis=0), d[2].mean(axis=0)])
    assert_allclose(found, expected, rtol=1e-5)
