"""Distances and similarities against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdpnet.prototypes.similarity import (
    distances_of_cosines,
    log_similarity,
    nearest_distances,
    outside_images,
    squared_distances,
)


def unit(shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_distances_are_squared_euclidean():
    z, p = unit((4, 6, 5), 0), unit((3, 5), 1)
    expected = np.square(z[:, :, None] - p).sum(axis=-1)
    distances = squared_distances(torch.from_numpy(z), torch.from_numpy(p))
    assert_allclose(distances.numpy(), expected, atol=1e-6)
    cosines = torch.from_numpy(z @ p.T)
    assert_allclose(distances_of_cosines(cosines).numpy(), expected, atol=1e-6)


def test_a_region_has_no_distance_from_itself():
    z = unit((1, 50, 300), 0)
    distances = squared_distances(torch.from_numpy(z), torch.from_numpy(z[0]))
    assert_allclose(np.diagonal(distances.numpy()[0]), 0, atol=1e-13)
    assert (distances >= 0).all()


@pytest.mark.parametrize("epsilon", [1e-4, 0.05])
def test_the_similarity_is_largest_at_distance_zero(epsilon):
    distances = torch.linspace(0, 4, 101, dtype=torch.float64)
    similarities = log_similarity(distances, epsilon)
    assert_allclose(similarities[0].item(), np.log(1 / epsilon), rtol=1e-12)
    assert (similarities.diff() < 0).all() and (similarities > 0).all()


def test_nearest_distances_are_minima_over_the_regions_of_each_map():
    regions = [unit((5, 7, 4), 0), unit((5, 3, 6), 1)]
    prototypes = [unit((2, 4), 2), unit((3, 6), 3)]
    expected = [
        np.square(z[:, :, None] - p).sum(axis=-1).min(axis=1)
        for z, p in zip(regions, prototypes, strict=True)
    ]
    found = nearest_distances(regions, prototypes, torch.device("cpu"))
    assert_allclose(found, np.hstack(expected), atol=1e-6)


def test_zero_regions_are_outside_unless_all_are_zero():
    regions = torch.ones(2, 3, 4)
    regions[0, 1] = 0
    regions[1] = 0
    assert outside_images(regions)[..., 0].tolist() == [
        [False, True, False],
        [False, False, False],
    ]
