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


def test_whitened_maps_hold_the_whitened_regions(maps):
    whitening = fit_whitening(maps, GRID, 4, np.random.RandomState(0))
    white = whitening(maps, GRID)
    expected = (_regions(maps) - whitening.mean) @ whitening.projection
    cells = white.cells.reshape(len(maps), 4, 5, -1)
    for r, (top, left, bottom, right) in enumerate(GRID.cells):
        pooled = cells[:, top:bottom, left:right].mean(axis=(1, 2))
        x = pooled - white.lengths[:, r, None] * whitening.offset
        x /= white.lengths[:, r, None]
        np.testing.assert_allclose(x, expected[:, r], atol=1e-3)
        norms = np.linalg.norm(expected[:, r], axis=1) * white.lengths[:, r]
        np.testing.assert_allclose(white.norms[:, r], norms, rtol=1e-3)


@pytest.mark.parametrize("n_components", [4, None])
@pytest.mark.parametrize("piece_bytes", [1, 10**9])
def test_on_a_device_maps_are_whitened_as_in_memory(
    maps, n_components, piece_bytes, monkeypatch
):
    whitening = fit_whitening(maps, GRID, n_components, np.random.RandomState(0))
    expected = whitening(maps, GRID)
    # Arrays from joblib or from memory-mapped files may be read-only.
    first = maps[:5]
    first.flags.writeable = False
    monkeypatch.setattr(skdpnet.regions.whitening, "_PIECE_BYTES_CPU", piece_bytes)
    tensors = whitening.tensors(first, GRID, torch.device("cpu"))
    for tensor, array in zip(tensors, expected, strict=True):
        np.testing.assert_allclose(tensor.numpy(), array[:5], rtol=1e-5, atol=1e-6)


def test_without_components_regions_stay_as_they_are(maps):
    whitening = fit_whitening(maps, GRID, None, np.random.RandomState(0))
    same = whitening(maps, GRID)
    np.testing.assert_array_equal(same.cells, maps.reshape(len(maps), 20, 6))
    pooled = [maps[:, t:b, le:r].mean(axis=(1, 2)) for t, le, b, r in GRID.cells]
    expected = np.linalg.norm(pooled, axis=2).T
    np.testing.assert_allclose(same.lengths, expected, rtol=1e-4)
    np.testing.assert_allclose(same.norms, expected, rtol=1e-4)


def test_the_first_channels_alone(maps):
    first = Whitening(np.zeros(6, np.float32), np.eye(6, 3, dtype=np.float32))
    np.testing.assert_array_equal(
        first(maps, GRID).cells, maps.reshape(len(maps), 20, 6)[..., :3]
    )


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
    assert (whitening(same, GRID).cells == 0).all()


def test_map_rows_are_whitened_as_a_copy_of_them(maps):
    rows = np.array([7, 3, 150, 20])
    map_rows = MapRows(maps, rows)
    random = [np.random.RandomState(0) for _ in range(2)]
    from_rows = fit_whitening(map_rows, GRID, 3, random[0])
    from_copy = fit_whitening(maps[rows], GRID, 3, random[1])
    np.testing.assert_array_equal(from_rows.projection, from_copy.projection)
    np.testing.assert_array_equal(
        from_rows(map_rows, GRID).cells, from_copy(maps[rows], GRID).cells
    )
