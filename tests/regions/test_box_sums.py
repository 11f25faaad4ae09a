"""Box sums against explicit loops."""

import numpy as np
import pytest
import torch

from skdpnet.regions.box_sums import window_sums

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
