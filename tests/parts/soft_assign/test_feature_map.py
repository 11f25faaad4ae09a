"""Responses, maxima and region descriptors of a map against NumPy loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet.parts.soft_assign import feature_map as module
from skdpnet.parts.soft_assign.feature_map import WhitenedFeatureMap
from skdpnet.regions.whitening import fit_whitening
from tests.parts.by_loops import GRID, random_maps


@pytest.fixture
def maps():
    return random_maps().astype(np.float32)


@pytest.fixture
def feature_map(maps):
    whitening = fit_whitening(maps, GRID, 4, np.random.RandomState(0))
    return WhitenedFeatureMap(
        whitening, GRID, whitening(maps, GRID, None, torch.device("cpu"))
    )


def descriptors(maps, whitening):
    """Whitened descriptors of all regions, of length 1 or 0, (n, R, K)."""
    out = np.zeros((len(maps), GRID.n_regions, whitening.projection.shape[1]))
    for n, cells in enumerate(maps.astype(np.float64)):
        for r, (top, left, bottom, right) in enumerate(GRID.cells):
            x = cells[top:bottom, left:right].mean(axis=(0, 1))
            if x.any():
                x = (x / np.linalg.norm(x) - whitening.mean) @ whitening.projection
                out[n, r] = x / np.linalg.norm(x)
    return out


@pytest.mark.parametrize("piece_bytes", [1, 2**20])
def test_responses_and_maxima_follow_from_the_region_descriptors(
    maps, feature_map, piece_bytes, monkeypatch
):
    monkeypatch.setattr(module, "PIECE_BYTES", piece_bytes)
    expected = descriptors(maps, feature_map.whitening)
    parts = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    parts /= np.linalg.norm(parts, axis=1, keepdims=True)
    responses = expected @ parts.T
    np.testing.assert_allclose(feature_map.responses(parts), responses, atol=1e-5)
    np.testing.assert_allclose(feature_map.maxima(parts), responses.max(1), atol=1e-5)
    chosen = np.array([True, False, True])
    regions = feature_map.regions(chosen, None)
    np.testing.assert_allclose(regions, expected[chosen], atol=1e-5)
