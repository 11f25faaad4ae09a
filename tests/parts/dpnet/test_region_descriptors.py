"""Region descriptors whose background responds less."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet import DPNetClassifier
from skdpnet.parts.dpnet.region_descriptors import (
    describe_batch,
    describe_regions,
    foreground_regions,
    region_weights,
)
from skdpnet.regions import RegionGrid
from skdpnet.regions.foreground import foreground_weights
from skdpnet.regions.whitening import fit_whitening
from tests.parts.dpnet.made_maps import quick

CPU = torch.device("cpu")
GRIDS = [RegionGrid(8, 8, ((2, 2),)), RegionGrid(4, 4, ((1, 1), (2, 2)))]
THRESHOLD = 1.2


@pytest.fixture
def maps():
    random = np.random.default_rng(0)
    fine = random.normal(size=(70, 8, 8, 6)).astype(np.float32)
    coarse = random.normal(size=(70, 4, 4, 9)).astype(np.float32)
    coarse *= random.uniform(0.01, 3, (70, 4, 4, 1)).astype(np.float32)
    return [fine, coarse]


@pytest.fixture
def whitenings(maps):
    random = np.random.RandomState(0)
    each = zip(maps, GRIDS, strict=True)
    return [fit_whitening(feature_map, grid, 5, random) for feature_map, grid in each]


def test_descriptors_are_multiplied_by_the_weights_of_the_coarsest_map(
    maps, whitenings
):
    plain = describe_regions(whitenings, maps, GRIDS, None, None, CPU)
    by_threshold = region_weights(maps, GRIDS, THRESHOLD, CPU)
    weighted = describe_regions(whitenings, maps, GRIDS, by_threshold, None, CPU)
    weights = foreground_weights(torch.from_numpy(maps[1]), GRIDS, THRESHOLD)
    for found, unweighted, of_regions in zip(weighted, plain, weights, strict=True):
        lengths = np.linalg.norm(unweighted, axis=2)
        np.testing.assert_allclose(lengths, 1, rtol=1e-5)
        expected = of_regions.numpy()[..., None] * unweighted
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("foreground", [None, THRESHOLD, "otsu"])
def test_a_batch_is_described_like_all_images(maps, whitenings, foreground):
    weights = region_weights(maps, GRIDS, foreground, CPU)
    together = describe_regions(whitenings, maps, GRIDS, weights, None, CPU)
    some = [feature_map[60:] for feature_map in maps]
    batch = describe_batch(whitenings, some, GRIDS, foreground, CPU)
    for tensor, array in zip(batch, together, strict=True):
        np.testing.assert_allclose(tensor.numpy(), array[60:], rtol=1e-5, atol=1e-6)


def test_regions_of_half_the_response_and_more_are_clustered(maps):
    weights = foreground_weights(torch.from_numpy(maps[1]), GRIDS, THRESHOLD)
    regions = map(foreground_regions, region_weights(maps, GRIDS, THRESHOLD, CPU))
    for found, expected in zip(regions, weights, strict=True):
        np.testing.assert_array_equal(found, expected.numpy() >= 0.5)


def background_told_from_objects(n, seed=0):
    """Images of an object of class y; what lies beside it is weak and another class."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = 0.05 * random.normal(size=(n, 4, 4, 6))
    shown = random.integers(0, 2, n)  # the class whose background is behind the object
    X[np.arange(n), :, :, 2 + shown] += 0.6
    X[:, 1:3, 1:3] = 0.05 * random.normal(size=(n, 2, 2, 6))
    X[np.arange(n), 1:3, 1:3, y] += 3
    return X.astype(np.float32), y


def test_first_parts_are_objects_and_not_their_background():
    X, y = background_told_from_objects(80)
    settings = {"region_scales": (0.25,), "n_components": None, "max_epochs": 0}
    for foreground, least in ((None, 0.0), (1.0, 0.99)):
        model = quick(
            DPNetClassifier, **settings, n_parts_per_class=2, foreground=foreground
        ).fit(X, y)
        on_objects = np.linalg.norm(model.parts_[:, :2], axis=1)
        assert on_objects.min() >= least
        assert on_objects.min() < 0.5 or foreground
    assert model.score(*background_told_from_objects(80, seed=1)) == 1


def test_a_single_cell_is_foreground():
    X = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    models = [
        quick(DPNetClassifier, max_epochs=1, foreground=threshold).fit(X, y)
        for threshold in (None, 1.3)
    ]
    np.testing.assert_allclose(models[0].parts_, models[1].parts_)
    np.testing.assert_allclose(
        models[0].decision_function(X), models[1].decision_function(X)
    )
