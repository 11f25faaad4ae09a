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


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e30])
def test_maps_of_one_value_are_foreground(value):
    same = torch.full((2, 4, 4, 3), value)
    (weights,) = foreground_weights(same, [GRID], 1.0)
    assert torch.allclose(weights, torch.ones_like(weights))
