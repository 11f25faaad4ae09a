"""First parts, on regions of few directions."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.parts.initialisation import cluster_parts
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import fit_whitening

GRID = RegionGrid(2, 2, ((1, 1),))
# Directions of the cells of each class: class 0 has two, class 1 has one.
DIRECTIONS = np.eye(4, dtype=np.float32)


@pytest.fixture
def maps():
    """Twelve maps of four cells, six of each class."""
    maps = np.empty((12, 2, 2, 4), np.float32)
    maps[:6, 0], maps[:6, 1], maps[6:] = DIRECTIONS[0], DIRECTIONS[1], DIRECTIONS[2]
    return maps


def first_parts(maps, n_classes, n_parts, seed=0):
    whitening = fit_whitening(maps, GRID, None, np.random.RandomState(0))
    labels = np.repeat([0, 1], 6)
    random = np.random.RandomState(seed)
    return cluster_parts(
        whitening(maps, GRID), None, labels, n_classes, n_parts, random
    )


def test_the_centres_of_a_class_are_its_parts(maps):
    parts = first_parts(maps, 2, 2)
    assert parts.dtype == np.float32
    of_class_0 = parts[:2][np.argsort(parts[:2].argmax(axis=1))]
    np.testing.assert_allclose(of_class_0, DIRECTIONS[:2], atol=1e-6)
    np.testing.assert_allclose(parts[2], DIRECTIONS[2], atol=1e-6)


def test_random_directions_complete_the_parts_of_a_class(maps):
    parts = first_parts(maps, 3, 3)
    assert parts.shape == (9, 4)
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1), 1, rtol=1e-6)
    others = first_parts(maps, 3, 3, seed=1)
    is_random = [False, False, True, False, True, True, True, True, True]
    differs = np.abs(np.sort(parts, axis=1) - np.sort(others, axis=1)).max(axis=1)
    assert (differs > 1e-3).tolist() == is_random


def test_opposite_regions_have_no_centre(maps):
    maps[6:, 1] *= -1
    parts = first_parts(maps, 2, 1)
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1), 1, rtol=1e-6)
