"""Box sums and their transpose against explicit loops."""

import numpy as np
import pytest
import torch

from skdpnet.regions.box_sums import spread, window_sums

LAYOUTS = [
    (7, 7, [(1, 1), (2, 2), (3, 3)]),
    (14, 14, [(2, 2), (4, 4), (6, 6)]),
    (28, 28, [(4, 4), (8, 8), (13, 13)]),
    (5, 9, [(5, 3), (1, 1), (2, 7), (2, 3)]),
    (1, 1, [(1, 1)]),
    (4, 4, [(4, 4)]),
]


def _sums(maps, height, width):
    rows, columns = maps.shape[1] - height + 1, maps.shape[2] - width + 1
    out = np.zeros((len(maps), rows, columns, maps.shape[3]))
    for i in range(rows):
        for j in range(columns):
            out[:, i, j] = maps[:, i : i + height, j : j + width].sum(axis=(1, 2))
    return out


@pytest.mark.parametrize("height, width, windows", LAYOUTS)
def test_sums_are_those_of_the_cells_in_each_window(height, width, windows):
    maps = np.random.default_rng(0).normal(size=(2, height, width, 3))
    for sums, window in zip(
        window_sums(torch.tensor(maps), windows), windows, strict=True
    ):
        np.testing.assert_allclose(sums, _sums(maps, *window), atol=1e-12)


@pytest.mark.parametrize("height, width, windows", LAYOUTS)
def test_spreading_is_the_transpose_and_leaves_its_input(height, width, windows):
    random = np.random.default_rng(1)
    maps = random.normal(size=(2, height, width, 3))
    sums = [_sums(maps, *window) for window in windows]
    values = [torch.tensor(random.normal(size=x.shape)) for x in sums]
    before = [value.clone() for value in values]
    spread_values = spread(values, windows)
    assert spread_values.shape == maps.shape
    inner = sum((a * b.numpy()).sum() for a, b in zip(sums, values, strict=True))
    assert (maps * spread_values.numpy()).sum() == pytest.approx(inner)
    for value, copy in zip(values, before, strict=True):
        assert torch.equal(value, copy)
