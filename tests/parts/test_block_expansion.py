"""Seeds and their expansion, against loops and linear discriminant analysis."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from skdpnet.parts import block_expansion
from skdpnet.parts.block_expansion import (
    all_energies,
    draw_seeds,
    expand_seeds,
    halves,
)
from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import fit_whitening


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def random_regions(n=4, n_regions=9, depth=5, seed=0):
    random = np.random.default_rng(seed)
    return unit(random.normal(size=(n, n_regions, depth))).astype(np.float32)


def overlap(a, b):
    """Intersection over union of two windows, by their cells."""
    cells = [
        {(i, j) for i in range(top, bottom) for j in range(left, right)}
        for top, left, bottom, right in (a.tolist(), b.tolist())
    ]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


def expanded_by_loops(regions, seed, cells, n_rounds, n_added):
    members = [seed]
    detector = regions[seed]
    for _ in range(n_rounds):
        best = []
        for i, of_image in enumerate(regions):
            used = [r for image, r in members if image == i]
            free = [
                r
                for r in range(len(of_image))
                if all(overlap(cells[r], cells[u]) <= 0.5 for u in used)
            ]
            if free:
                r = max(free, key=lambda r: of_image[r] @ detector)
                best.append((of_image[r] @ detector, (i, r)))
        members += [pair for _, pair in sorted(best, reverse=True)[:n_added]]
        detector = unit(sum(regions[pair].astype(float) for pair in members))
    return detector


@pytest.mark.parametrize("budget", [1, 2**20])
@pytest.mark.parametrize("n_rounds, n_added", [(1, 2), (3, 2), (2, 10), (40, 3)])
def test_expansion_is_that_of_the_definition(n_rounds, n_added, budget, monkeypatch):
    monkeypatch.setattr(block_expansion, "_PIECE_BYTES", budget)
    grid = RegionGrid(4, 4, ((1, 1), (2, 2), (3, 3)))
    regions = random_regions(n_regions=grid.n_regions)
    seeds = np.array([0, 3, 2]), np.array([1, 20, 27])
    found = expand_seeds(regions, seeds, grid.cells, n_rounds, n_added)
    for detector, *seed in zip(found, *seeds, strict=True):
        expected = expanded_by_loops(
            regions, tuple(seed), grid.cells, n_rounds, n_added
        )
        assert_allclose(detector, expected, atol=1e-5)


def test_the_detector_of_all_images_of_a_class_is_the_linear_discriminant():
    random = np.random.default_rng(0)
    stretch = random.normal(size=(6, 6))
    X = random.normal(size=(400, 6)) @ stretch + 10
    y = np.arange(400) % 2
    X[y == 1] += random.normal(size=6)
    X = unit(X).astype(np.float32)
    whitening = fit_whitening(
        X[:, None, None], RegionGrid(1, 1, ((1, 1),)), 6, np.random.RandomState(0)
    )
    whitened = ((X - whitening.mean) @ whitening.projection)[y == 1, None]
    # In one round all images of the class join their seed.
    (detector,) = expand_seeds(
        whitened, (np.array([0]), np.array([0])), np.array([[0, 0, 1, 1]]), 1, 400
    )
    found = unit(whitening.projection @ detector)
    lda = LinearDiscriminantAnalysis(solver="lsqr").fit(X.astype(float), y)
    assert found @ unit(lda.coef_[0]) == pytest.approx(1, abs=1e-4)


def test_expansion_finds_what_images_share():
    regions = random_regions(n=8, depth=12)
    where = np.random.default_rng(1).integers(9, size=8)
    mark = np.eye(12, dtype=np.float32)[0]
    marked = regions[np.arange(8), where] + 4 * mark
    regions[np.arange(8), where] = unit(marked)
    cells = RegionGrid(3, 3, ((1, 1),)).cells
    seeds = np.array([0]), where[:1]
    (detector,) = expand_seeds(regions, seeds, cells, 1, 8)
    assert detector @ mark > 0.98
    assert ((regions @ detector).argmax(axis=1) == where).all()


def test_regions_that_cancel_give_no_direction():
    regions = np.array([[[1.0, 0]], [[-1.0, 0]]], np.float32)
    seeds = np.array([0]), np.array([0])
    found = expand_seeds(regions, seeds, np.array([[0, 0, 1, 1]]), 3, 2)
    assert_array_equal(found, [[0, 0]])


def test_classes_are_cut_in_two():
    labels = np.array([0] * 6 + [1] * 5 + [2])
    first, second = halves(labels, np.random.RandomState(0))
    assert np.bincount(labels[first]).tolist() == [3, 3, 1]
    assert np.bincount(labels[second]).tolist() == [3, 2, 1]
    assert np.flatnonzero(first & second).tolist() == [11]
    assert (first | second).all()


def test_energies_are_mean_norms():
    random = np.random.default_rng(0)
    maps = random.normal(size=(3, 4, 5, 6)).astype(np.float32)
    grid = RegionGrid(4, 5, ((1, 1), (2, 2)))
    norms = (
        np.linalg.norm(maps, axis=3) / np.abs(maps).max(axis=(1, 2, 3))[:, None, None]
    )
    expected = [
        norms[:, top:bottom, left:right].mean(axis=(1, 2))
        for top, left, bottom, right in grid.cells
    ]
    assert_allclose(all_energies(maps, grid), np.stack(expected, 1), rtol=1e-5)
    huge = all_energies((1e30 * maps).astype(np.float32), grid)
    assert_allclose(huge, np.stack(expected, 1), rtol=1e-5)
    assert (all_energies(0 * maps, grid) == 0).all()


def test_energies_of_templates_are_means_over_their_cells():
    maps = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
    average, templates = (
        RegionGrid(4, 5, ((2, 3),), pooling) for pooling in ("average", "concat")
    )
    assert_allclose(
        all_energies(maps, templates), all_energies(maps, average), rtol=1e-6
    )


def test_seeds_are_of_the_upper_half_and_few_of_an_image():
    energies = np.random.default_rng(0).random((10, 20))
    energies[3] = 0
    energies[4, 2:] = 0
    images, regions = draw_seeds(energies, 100, 5, np.random.RandomState(0))
    # Of image 4 only the larger of two regions is in the upper half.
    assert np.bincount(images, minlength=10).tolist() == [5, 5, 5, 0, 1, *[5] * 5]
    assert len({*zip(images.tolist(), regions.tolist(), strict=True)}) == 41
    for i, r in zip(images, regions, strict=True):
        assert energies[i, r] >= np.median(energies[i][energies[i] > 0])
    some, _ = draw_seeds(energies, 7, 5, np.random.RandomState(0))
    assert len(some) == 7 and len(set(some.tolist())) > 2
    none, _ = draw_seeds(np.zeros((2, 3)), 7, 5, np.random.RandomState(0))
    assert len(none) == 0
