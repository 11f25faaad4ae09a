"""Shares of regions in maxima, and their distribution over cells of any map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet.explanations.heat_map import over_cells, region_shares, resample
from skdpnet.parts.responses import soft_maximum
from skdpnet.regions import RegionGrid


@pytest.fixture
def responses():
    return np.random.default_rng(0).uniform(-1, 1, (20, 6)).astype(np.float32)


@pytest.mark.parametrize("beta", [1.0, 40.0, 1e5, None])
def test_shares_are_the_derivatives_of_the_maximum(responses, beta):
    S = torch.from_numpy(responses).double()[None].requires_grad_()
    soft_maximum(S, beta).sum().backward()
    shares = region_shares(responses, beta)
    np.testing.assert_allclose(shares, S.grad[0].numpy(), atol=1e-12)
    np.testing.assert_allclose(shares.sum(0), 1)


def test_the_hard_maximum_is_the_limit_even_where_responses_tie():
    tied = np.array([[0.5, 0.1], [0.5, 0.2], [0.1, 0.2], [0.0, 0.2]], np.float32)
    hard = region_shares(tied, None)
    np.testing.assert_allclose(hard[:, 0], [1 / 2, 1 / 2, 0, 0])
    np.testing.assert_allclose(hard[:, 1], [0, 1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(region_shares(tied, 1e4), hard, atol=1e-12)


@pytest.mark.parametrize("windows", [((1, 1),), ((2, 2), (3, 3)), ((1, 4), (5, 7))])
def test_regions_are_divided_among_their_cells(windows):
    grid = RegionGrid(5, 7, windows)
    values = np.random.default_rng(0).normal(size=grid.n_regions)
    expected = np.zeros((5, 7))
    for value, (top, left, bottom, right) in zip(values, grid.cells, strict=True):
        area = (bottom - top) * (right - left)
        expected[top:bottom, left:right] += value / area
    got = over_cells(values, grid)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert got.sum() == pytest.approx(values.sum(), abs=1e-12)


@pytest.mark.parametrize("extent", [(5, 7), (3, 7), (5, 2), (1, 1)])
def test_regions_are_divided_among_their_cells_in_the_image(extent):
    grid = RegionGrid(5, 7, ((1, 1), (2, 2), (3, 3)))
    values = np.random.default_rng(0).normal(size=grid.n_regions)
    rows, columns = extent
    expected = np.zeros(extent)
    for value, (top, left, bottom, right) in zip(values, grid.cells, strict=True):
        inside = expected[top:bottom, left:right]
        if inside.size:
            inside += value / inside.size
        else:
            expected += value / (rows * columns)
    got = over_cells(values, grid, extent)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert got.sum() == pytest.approx(values.sum(), abs=1e-12)


def test_cells_are_divided_evenly_on_a_map_of_a_multiple_of_cells():
    cells = np.random.default_rng(0).normal(size=(3, 4))
    expected = np.kron(cells, np.full((2, 3), 1 / 6))
    np.testing.assert_allclose(resample(cells, (6, 12)), expected, atol=1e-15)
    np.testing.assert_array_equal(resample(cells, (3, 4)), cells)


@pytest.mark.parametrize("shape", [(5, 7), (8, 3), (1, 1), (14, 9)])
def test_cells_are_divided_by_overlap_on_other_maps(shape):
    cells = np.random.default_rng(0).normal(size=(4, 6))
    # On a map of a common multiple of cells, shares are even. Their sums are expected.
    fine = np.kron(cells, np.ones(shape)) / np.prod(shape)
    expected = fine.reshape(shape[0], 4, shape[1], 6).sum((1, 3))
    got = resample(cells, shape)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert got.sum() == pytest.approx(cells.sum(), abs=1e-12)
