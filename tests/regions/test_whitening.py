"""Whitening against the covariance that it must remove."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import skdpnet.regions.whitening
from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import Whitening, fit_whitening
from skdpnet.storage.large_arrays import MapRows

GRID = RegionGrid.from_scales(4, 5, (0.25, 0.5))


@pytest.fixture
def maps():
    random = np.random.default_rng(0)
    mix = random.normal(size=(6, 6))
    maps = random.normal(size=(200, 4, 5, 6)) @ mix + 2
    return maps.astype(np.float32)


def _regions(maps):
    """All l2-normalised region descriptors, by loops, (n, R, D)."""
    out = []
    for top, left, bottom, right in GRID.cells:
        x = maps[:, top:bottom, left:right].astype(np.float64).mean(axis=(1, 2))
        out.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    return np.stack(out, axis=1)


def test_whitened_regions_have_no_mean_and_unit_covariance(maps):
    whitening = fit_whitening(maps, GRID, 6, np.random.RandomState(0))
    x = _regions(maps).reshape(-1, 6)
    white = (x - whitening.mean) @ whitening.projection
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(white.T), np.eye(6), atol=1e-2)


def test_fewer_components_keep_the_largest_variance(maps):
    whitening = fit_whitening(maps, GRID, 2, np.random.RandomState(0))
    values, vectors = np.linalg.eigh(np.cov(_regions(maps).reshape(-1, 6).T))
    kept = np.linalg.qr(whitening.projection)[0]
    np.testing.assert_allclose(
        np.abs(np.linalg.svd(vectors[:, -2:].T @ kept)[1]), 1, atol=1e-3
    )


def _unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("n_components", [4, None])
def test_regions_are_whitened_and_of_unit_length(maps, n_components):
    whitening = fit_whitening(maps, GRID, n_components, np.random.RandomState(0))
    expected = _unit((_regions(maps) - whitening.mean) @ whitening.projection)
    found = whitening(maps, GRID)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    weights = np.random.default_rng(1).uniform(size=expected.shape[:2])
    weighted = whitening(maps, GRID, weights.astype(np.float32))
    np.testing.assert_allclose(weighted, weights[..., None] * expected, atol=1e-4)


@pytest.mark.parametrize("n_components", [4, None])
@pytest.mark.parametrize("piece_bytes", [1, 10**9])
def test_on_a_device_regions_are_described_as_in_memory(
    maps, n_components, piece_bytes, monkeypatch
):
    whitening = fit_whitening(maps, GRID, n_components, np.random.RandomState(0))
    expected = whitening(maps, GRID)
    # Arrays from joblib or from memory-mapped files may be read-only.
    first = maps[:5]
    first.flags.writeable = False
    monkeypatch.setattr(skdpnet.regions.whitening, "_PIECE_BYTES_CPU", piece_bytes)
    tensor = whitening.tensor(first, GRID, torch.device("cpu"))
    np.testing.assert_allclose(tensor.numpy(), expected[:5], rtol=1e-5, atol=1e-6)


def test_maps_are_not_changed(maps):
    whitening = fit_whitening(maps, GRID, 4, np.random.RandomState(0))
    cells = RegionGrid(4, 5, ((1, 1),))
    before = maps.copy()
    for grid in (GRID, cells):
        whitening(maps, grid)
        Whitening(np.zeros(6, np.float32), np.eye(6, dtype=np.float32))(maps, grid)
    np.testing.assert_array_equal(maps, before)


def test_the_first_channels_alone(maps):
    first = Whitening(np.zeros(6, np.float32), np.eye(6, 3, dtype=np.float32))
    expected = _unit(_regions(maps)[..., :3])
    np.testing.assert_allclose(first(maps, GRID), expected, atol=1e-5)


@pytest.mark.parametrize("n_components", [4, None])
def test_empty_regions_are_zero(maps, n_components):
    whitening = fit_whitening(maps, GRID, n_components, np.random.RandomState(0))
    maps[:, :2, :2] = 0
    found = whitening(maps, GRID)
    is_empty = [bottom <= 2 and right <= 2 for _, _, bottom, right in GRID.cells]
    assert any(is_empty)
    lengths = np.linalg.norm(found, axis=2)
    np.testing.assert_allclose(
        lengths, np.tile(~np.array(is_empty), (200, 1)), atol=1e-5
    )


@pytest.mark.parametrize("scale", [1e-3, 7.0, 1e4])
def test_a_region_equal_to_the_mean_is_zero(scale):
    mean = np.random.default_rng(3).normal(size=6).astype(np.float32)
    mean /= np.linalg.norm(mean)
    maps = np.tile(mean * np.float32(scale), (1, 4, 5, 1))
    # Its difference from the mean is the rounding of both.
    assert (Whitening(mean, np.eye(6, dtype=np.float32))(maps, GRID) == 0).all()


def test_regions_close_to_the_mean_are_told_from_rounding(maps):
    # Large and far from zero, so that the mean takes most of each region away.
    far = 1000 * (maps + 20)
    mean = np.full(6, 0.4, np.float32)
    found = Whitening(mean, np.eye(6, dtype=np.float32))(far, GRID)
    np.testing.assert_allclose(found, _unit(_regions(far) - mean), atol=1e-3)


def test_directions_without_variance_are_left_out(maps):
    flat = np.concatenate([maps, maps[..., :2] * 2], axis=3)  # two dependent channels
    whitening = fit_whitening(flat, GRID, None, np.random.RandomState(0))
    assert whitening.projection.shape == (8, 8)
    whitening = fit_whitening(flat, GRID, 8, np.random.RandomState(0))
    assert whitening.projection.shape == (8, 6)
    assert np.isfinite(whitening.projection).all()


def test_regions_all_alike_are_whitened_to_zero():
    same = np.ones((5, 4, 5, 3), np.float32)
    whitening = fit_whitening(same, GRID, 3, np.random.RandomState(0))
    assert (whitening(same, GRID) == 0).all()


def test_map_rows_are_whitened_as_a_copy_of_them(maps):
    rows = np.array([7, 3, 150, 20])
    map_rows = MapRows(maps, rows)
    random = [np.random.RandomState(0) for _ in range(2)]
    from_rows = fit_whitening(map_rows, GRID, 3, random[0])
    from_copy = fit_whitening(maps[rows], GRID, 3, random[1])
    np.testing.assert_array_equal(from_rows.projection, from_copy.projection)
    np.testing.assert_array_equal(
        from_rows(map_rows, GRID), from_copy(maps[rows], GRID)
    )


@pytest.mark.parametrize("n_components", [None, 7])
def test_cells_side_by_side_are_whitened_together(maps, n_components):
    grid = RegionGrid(4, 5, ((2, 3),), pooling="concat")
    whitening = fit_whitening(maps, grid, n_components, np.random.RandomState(0))
    assert whitening.mean.shape == (2 * 3 * 6,)
    windows = np.stack(
        [
            maps[:, top:bottom, left:right].reshape(len(maps), -1)
            for top, left, bottom, right in grid.cells
        ],
        axis=1,
    )
    expected = _unit((_unit(windows) - whitening.mean) @ whitening.projection)
    np.testing.assert_allclose(whitening(maps, grid), expected, atol=2e-4)
    if n_components:
        sample = (_unit(windows) - whitening.mean) @ whitening.projection
        sample = sample.reshape(-1, n_components)
        np.testing.assert_allclose(sample.mean(0), 0, atol=1e-3)
        np.testing.assert_allclose(np.cov(sample.T), np.eye(n_components), atol=1e-2)


def test_windows_of_one_cell_are_their_averages_and_side_by_side(maps):
    grids = [RegionGrid(4, 5, ((1, 1),), pooling=p) for p in ("average", "concat")]
    one, other = (
        fit_whitening(maps, grid, 4, np.random.RandomState(0))(maps, grid)
        for grid in grids
    )
    np.testing.assert_array_equal(one, other)
