"""The projection of prototypes onto regions, against a search in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skdpnet.prototypes import projection
from skdpnet.prototypes.projection import leave_sources_out, project

CPU = torch.device("cpu")


def unit(shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def case():
    regions = [unit((8, 5, 4), 0), unit((8, 3, 6), 1)]
    prototypes = [unit((4, 4), 2), unit((2, 6), 3)]
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    allowed = np.zeros((3, 6), bool)
    allowed[[0, 1, 2, 0, 1, 2], range(6)] = True
    allowed[2, 0] = True  # a prototype of two classes
    return regions, prototypes, labels, allowed


@pytest.mark.parametrize("piece_bytes", [1, 2**26])
def test_each_prototype_becomes_the_nearest_region_of_its_classes(
    case, piece_bytes, monkeypatch
):
    monkeypatch.setattr(projection, "_PIECE_BYTES", piece_bytes)
    regions, prototypes, labels, allowed = case
    found = project(regions, prototypes, labels, allowed, CPU)
    p = 0
    for of_map, on_map, moved in zip(
        regions, prototypes, found.prototypes, strict=True
    ):
        for prototype, new in zip(on_map, moved, strict=True):
            distances = np.square(of_map - prototype).sum(axis=2)
            distances[~allowed[labels, p]] = np.inf
            image, region = np.unravel_index(distances.argmin(), distances.shape)
            assert (found.images[p], found.regions[p]) == (image, region)
            assert_array_equal(new, of_map[image, region])
            p += 1


def test_medoids_stay_where_they_are(case):
    regions, _, labels, _ = case
    sources = [(0, 3), (1, 2), (2, 0), (3, 1)]
    medoids = np.stack([regions[0][i, r] for i, r in sources])
    allowed = labels[[i for i, _ in sources]] == np.arange(3)[:, None]
    found = project(regions[:1], [medoids], labels, allowed, CPU)
    assert_array_equal(found.prototypes[0], medoids)
    assert list(zip(found.images, found.regions, strict=True)) == sources


def test_of_equal_regions_the_first_is_taken():
    regions = np.repeat(unit((1, 1, 4), 0), 6, axis=0).repeat(3, axis=1)
    labels = np.array([1, 0, 1, 0, 1, 0])
    found = project([regions], [regions[0, :1]], labels, np.ones((2, 1), bool), CPU)
    assert (found.images[0], found.regions[0]) == (0, 0)


def test_nothing_outside_an_image_becomes_a_prototype():
    regions = -np.ones((3, 4, 2), np.float32) / np.sqrt(2)
    regions[:, 1:] = 0
    prototype = np.ones((1, 2), np.float32) / np.sqrt(2)
    found = project(
        [regions], [prototype], np.zeros(3, int), np.ones((1, 1), bool), CPU
    )
    assert found.regions[0] == 0
    assert_array_equal(found.prototypes[0][0], regions[0, 0])


def test_a_prototype_whose_classes_have_no_image_stays():
    regions, prototypes = [unit((3, 4, 5), 0)], [unit((2, 5), 1)]
    allowed = np.array([[True, False], [False, True]])
    found = project(regions, prototypes, np.zeros(3, int), allowed, CPU)
    assert found.images[1] == found.regions[1] == -1
    assert_array_equal(found.prototypes[0][1], prototypes[0][1])


def test_the_source_has_the_distance_of_the_second_nearest_image():
    values = np.array([[0.0, 0.7], [0.3, 0.0], [0.9, 0.5]])
    out = leave_sources_out(values, np.array([0, -1]))
    assert_allclose(out, [[0.3, 0.7], [0.3, 0.0], [0.9, 0.5]])
    assert values[0, 0] == 0  # a copy was changed
    alone = leave_sources_out(values[:1], np.array([0, 0]))
    assert_allclose(alone, values[:1])
