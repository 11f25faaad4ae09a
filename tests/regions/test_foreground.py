"""The foreground: weights of regions by the energy of a map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet.regions import RegionGrid
from skdpnet.regions.foreground import foreground_weights

GRID = RegionGrid(4, 4, ((1, 1), (2, 3)))


@pytest.fixture
def maps():
    random = np.random.default_rng(0)
    return random.gamma(0.5, 1, (5, 4, 4, 3)).astype(np.float32)


def energies_of(image):
    """Energy of each cell of an image (H, W, D), relative to the cells inside it."""
    norms = np.sqrt((image.astype(np.float64) ** 2).sum(axis=2))
    return norms / norms[norms > 0].mean()


@pytest.mark.parametrize("threshold", [0.5, 1.3])
def test_weights_are_those_of_the_formula(maps, threshold):
    maps[1, :, 3:] = 0  # outside the image
    (weights,) = foreground_weights(torch.from_numpy(maps), [GRID], threshold)
    for image, found in zip(maps, weights.numpy(), strict=True):
        energy = energies_of(image)
        boxes = [energy[a:c, b:d].mean() for a, b, c, d in GRID.cells]
        expected = np.minimum(1, np.array(boxes) / threshold) ** 2
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_weights_of_templates_are_those_of_averages(maps):
    grids = [RegionGrid(4, 4, ((2, 3),), pooling) for pooling in ("average", "concat")]
    average, templates = foreground_weights(torch.from_numpy(maps), grids, 1.0)
    torch.testing.assert_close(templates, average)


def two_groups(image):
    """Otsu's threshold by trial of all: least variance within the two groups."""
    energy = energies_of(image)
    energy = np.sort(energy[energy > 0])
    within = [
        k * energy[:k].var() + energy[k:].var() * (len(energy) - k)
        for k in range(1, len(energy))
    ]
    best = 1 + np.argmin(within)
    return (energy[best - 1] + energy[best]) / 2


def test_otsu_parts_the_cells_inside_each_image_into_two_groups(maps):
    maps[1, :, 3:] = 0  # outside the image
    cells = RegionGrid(4, 4, ((1, 1),))
    (weights,) = foreground_weights(torch.from_numpy(maps), [cells], "otsu")
    for image, found in zip(maps, weights.numpy(), strict=True):
        expected = np.minimum(1, energies_of(image) / two_groups(image)) ** 2
        np.testing.assert_allclose(found, expected.ravel(), rtol=1e-5)


def test_otsu_separates_an_object_from_its_background():
    random = np.random.default_rng(0)
    image = random.uniform(0.9, 1.1, (1, 8, 8, 1))
    image[0, 2:5, 3:7] *= 5
    cells = RegionGrid(8, 8, ((1, 1),))
    feature_map = torch.from_numpy(image.astype(np.float32))
    (weights,) = foreground_weights(feature_map, [cells], "otsu")
    on_object = np.zeros((8, 8), bool)
    on_object[2:5, 3:7] = True
    found = weights.numpy().reshape(8, 8)
    assert found[on_object].min() == 1
    assert found[~on_object].max() < 0.2


def test_the_single_cell_inside_an_image_is_foreground():
    feature_map = torch.zeros(1, 4, 4, 3)
    feature_map[0, 1, 1] = 2.0
    cells = RegionGrid(4, 4, ((1, 1),))
    (weights,) = foreground_weights(feature_map, [cells], "otsu")
    assert weights[0, 5] == 1
    assert weights.sum() == 1


def test_a_map_of_other_size_gets_resized_energies():
    coarse = np.full((1, 2, 2, 1), 0.5, np.float32)
    coarse[0, 0, 0] = 2.5  # energies 2.5, 0.5, 0.5, 0.5
    fine = RegionGrid(4, 4, ((1, 1),))
    (weights,) = foreground_weights(torch.from_numpy(coarse), [fine], 10.0)
    energies = 10 * np.sqrt(weights.numpy().reshape(4, 4))
    # Bilinear: centres of fine cells lie a quarter of a coarse cell from its centre.
    np.testing.assert_allclose(energies[0], [2.5, 2.0, 1.0, 0.5], rtol=1e-5)
    np.testing.assert_allclose(energies, energies.T, rtol=1e-5)


def test_cells_outside_an_image_do_not_lower_its_energy():
    coarse = np.zeros((1, 2, 2, 1), np.float32)
    coarse[0, :, 0] = 3  # the right half is empty
    fine = RegionGrid(4, 4, ((1, 1),))
    (weights,) = foreground_weights(torch.from_numpy(coarse), [fine], 1.0)
    expected = np.repeat([[1, 1, 0, 0]], 4, axis=0)
    np.testing.assert_allclose(weights.numpy().reshape(4, 4), expected, atol=1e-6)


@pytest.mark.parametrize("threshold", [1.0, "otsu"])
@pytest.mark.parametrize("value", [0.0, 1e-30, 1e30])
def test_maps_of_one_value_are_foreground(value, threshold):
    same = torch.full((2, 4, 4, 3), value)
    (weights,) = foreground_weights(same, [GRID], threshold)
    assert torch.allclose(weights, torch.ones_like(weights))


@pytest.mark.parametrize("threshold, expected", [(1e300, 0.0), (1e-300, 1.0)])
def test_thresholds_beyond_float32(threshold, expected):
    cells = torch.ones(1, 2, 2, 3)
    cells[0, 0, 0] = 5.0
    cells[0, 1, 1] = 0.0  # beside the image
    grid = RegionGrid(2, 2, ((1, 1),))
    (weights,) = foreground_weights(cells, [grid], threshold)
    inside = weights.numpy()[0, :3]
    np.testing.assert_array_equal(inside, np.full(3, expected, np.float32))
    assert weights.isfinite().all()
