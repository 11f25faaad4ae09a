"""The regions that are nodes: their energy, their overlaps, and which are chosen."""

import numpy as np
import pytest
import torch

from skdpnet.parts.layout_graph.regions import (
    overlaps,
    strongest_apart,
)
from skdpnet.regions import RegionGrid
from skdpnet.regions.energies import region_energies

GRID = RegionGrid(5, 6, ((1, 1), (2, 2), (3, 3)))


def shared(a, b):
    """Intersection over union of two windows by counting cells."""
    masks = np.zeros((2, 5, 6), bool)
    for mask, (top, left, bottom, right) in zip(masks, (a, b), strict=True):
        mask[top:bottom, left:right] = True
    return (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()


def chosen_by_loops(energies, n, max_overlap):
    """Non-maximum suppression of one image, in its textbook form."""
    kept = []
    for r in sorted(range(len(energies)), key=lambda r: -energies[r]):
        apart = all(shared(GRID.cells[r], GRID.cells[k]) <= max_overlap for k in kept)
        if apart and energies[r] > 0 and len(kept) < n:
            kept.append(r)
    return kept + [-1] * (n - len(kept))


def test_energy_is_the_mean_length_of_the_cells_features():
    maps = np.random.default_rng(0).normal(size=(3, 5, 6, 4)).astype(np.float32)
    found = region_energies(torch.from_numpy(maps), GRID).numpy()
    for image, energies in zip(maps, found, strict=True):
        lengths = np.sqrt((image**2).sum(axis=2)) / np.abs(image).max()
        expected = [lengths[t:b, left:r].mean() for t, left, b, r in GRID.cells]
        np.testing.assert_allclose(energies, expected, rtol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1e30, 1e-30])
def test_energies_are_finite(scale):
    maps = torch.full((1, 5, 6, 4), scale)
    expected = 2.0 * (scale > 0)
    np.testing.assert_allclose(region_energies(maps, GRID), expected, rtol=1e-6)


def test_overlaps_are_those_of_counted_cells():
    boxes = torch.from_numpy(GRID.boxes())
    found = overlaps(boxes[:, None], boxes[None]).numpy()
    expected = [[shared(a, b) for b in GRID.cells] for a in GRID.cells]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("max_overlap", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("n", [1, 6, 25])
def test_chosen_regions_are_those_of_non_maximum_suppression(max_overlap, n):
    energies = np.random.default_rng(1).random((4, GRID.n_regions)).astype(np.float32)
    energies[3, 5:] = 0.0
    found = strongest_apart(torch.from_numpy(energies), GRID, n, max_overlap)
    expected = [chosen_by_loops(image, n, max_overlap) for image in energies]
    np.testing.assert_array_equal(found, expected)


def test_empty_images_have_no_regions():
    found = strongest_apart(torch.zeros(2, GRID.n_regions), GRID, 3, 0.5)
    assert found.tolist() == [[-1] * 3] * 2
