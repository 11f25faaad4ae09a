"""First parts that are refined by soft assignment."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from skdpnet import DPNetClassifier
from skdpnet.parts.soft_assign.annealing import (
    BETA_END,
    BETA_START,
    N_ROUNDS,
    _longest_regions,
    anneal_parts,
)
from skdpnet.parts.soft_assign.sinkhorn import anneal
from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import fit_whitening
from tests.parts.dpnet.made_maps import PLAIN

GRID = RegionGrid(3, 3, ((1, 1),))


@pytest.fixture
def objects():
    """Images of class c with one region of each of the objects 3c, 3c + 1, 3c + 2."""
    random = np.random.default_rng(0)
    y = np.repeat([0, 1], 20)
    X = 0.1 * random.normal(size=(40, 9, 12))
    for image, label in zip(X, y, strict=True):
        cells = random.permutation(9)[:3]
        image[cells, 3 * label + np.arange(3)] += 1
    return X.reshape(40, 3, 3, 12).astype(np.float32), y


def annealed(maps, y, parts, share, n_classes=2):
    whitening = fit_whitening(maps, GRID, None, np.random.RandomState(0))
    return anneal_parts(whitening(maps, GRID), parts, y, n_classes, share, None)


def first_guesses():
    """Return three parts for each of three classes that barely tell the objects."""
    random = np.random.default_rng(1)
    return normalize(np.eye(9, 12) + random.uniform(0, 0.5, (9, 12))).astype(np.float32)


def test_each_part_becomes_the_mean_of_the_regions_of_an_object(objects):
    maps, y = objects
    parts = annealed(maps, y, first_guesses(), 1.0, n_classes=3)
    units = normalize(maps.reshape(-1, 12)).reshape(40, 9, 12)
    for number in range(6):
        shown = units[y == number // 3]
        strongest = shown[np.arange(20), shown[..., number].argmax(axis=1)]
        expected = normalize(strongest.mean(axis=0)[None])[0]
        np.testing.assert_allclose(parts[number], expected, atol=0.02)
    np.testing.assert_array_equal(parts[6:], first_guesses()[6:])  # without images


@pytest.mark.parametrize(("share", "n_refined"), [(0, 0), (0.3, 1), (0.5, 2), (1, 3)])
def test_the_share_is_that_of_each_class(objects, share, n_refined):
    before = first_guesses()[:6]
    parts = annealed(*objects, before, share)
    changed = (parts != before).any(axis=1).reshape(2, 3)
    np.testing.assert_array_equal(changed, [np.arange(3) < n_refined] * 2)


def test_annealed_parts_of_an_estimator_are_found_in_one_region_an_image(objects):
    maps, y = objects
    settings = {"region_scales": (0.1,), "n_components": None, "max_epochs": 0}
    settings |= {**PLAIN, "annealed_share": 1, "random_state": 0}
    model = DPNetClassifier("precomputed", n_parts_per_class=3, **settings).fit(maps, y)
    objects_found = model.parts_.argmax(axis=1)
    np.testing.assert_array_equal(np.sort(objects_found), np.arange(6))
    assert model.parts_.max(axis=1).min() > 0.95


def annealed_by_hand(regions, y, parts):
    """Refine three parts of each of two classes on all of these regions."""
    betas = np.geomspace(BETA_START, BETA_END, N_ROUNDS)
    found = [
        anneal(regions[y == c].astype(np.float32), parts[3 * c : 3 * c + 3], betas)[0]
        for c in (0, 1)
    ]
    return np.concatenate(found)


def test_regions_shorter_than_half_have_no_influence(objects):
    maps, y = objects
    parts = first_guesses()[:6]
    units = normalize(maps.reshape(-1, 12)).reshape(40, 9, 12)
    # In each image the three regions with objects, which fit the parts best, are short.
    long_ones = np.argsort(maps.reshape(40, 9, 12).max(axis=2), axis=1)[:, :6]
    lengths = np.full((40, 9), 0.49)
    np.put_along_axis(lengths, long_ones, 1.0, axis=1)
    regions = lengths[:, :, None] * units
    expected = annealed_by_hand(
        np.take_along_axis(regions, long_ones[:, :, None], axis=1), y, parts
    )
    found = anneal_parts(regions.astype(np.float32), parts, y, 2, 1.0, None)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # With the others, the parts would have become something else.
    others = annealed_by_hand(regions, y, parts)
    assert np.abs(others - expected).max() > 0.1
    # A little longer, and they count.
    lengths[lengths < 1] = 0.51
    regions = lengths[:, :, None] * units
    found = anneal_parts(regions.astype(np.float32), parts, y, 2, 1.0, None)
    expected = annealed_by_hand(regions, y, parts)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_each_part_has_a_region_however_short_all_are(objects):
    maps, y = objects
    parts = first_guesses()[:6]
    units = normalize(maps.reshape(-1, 12)).reshape(40, 9, 12)
    lengths = np.full(9, 0.4)
    lengths[[1, 4, 6]] = 0.45
    regions = lengths[:, None] * units
    found = anneal_parts(regions.astype(np.float32), parts, y, 2, 1.0, None)
    expected = annealed_by_hand(regions[:, [1, 4, 6]], y, parts)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("n_short", [0, 60])
def test_leaving_out_regions_takes_memory_for_those_that_are_kept(n_short):
    random = np.random.default_rng(0)
    regions = normalize(random.normal(size=(50 * 100, 64))).astype(np.float32)
    regions = regions.reshape(50, 100, 64)
    regions[:, :n_short] *= 0.4
    tracemalloc.start()
    kept = _longest_regions(regions, 3, None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(
        np.sort(kept.ravel()), np.sort(regions[:, n_short:].ravel())
    )
    assert peak < n_short / 60 * kept.nbytes + 0.2 * regions.nbytes


@pytest.mark.parametrize("share", [-0.1, 1.1, None])
def test_unusable_shares_are_refused(objects, share):
    with pytest.raises(ValueError, match="annealed_share must be a number"):
        DPNetClassifier("precomputed", annealed_share=share).fit(*objects)
