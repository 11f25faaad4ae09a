"""Responses and soft maxima against their definitions."""

import numpy as np
import pytest
import torch

from skdpnet.parts.responses import part_responses, soft_maximum
from tests.parts.by_loops import (
    GRID,
    NO_MEAN,
    cosines,
    random_maps,
    random_parts,
    whitened,
)


@pytest.fixture
def maps():
    return random_maps()


@pytest.fixture
def parts():
    return random_parts()


def _responses(maps, parts, mean=NO_MEAN):
    offset, u = torch.tensor(mean), torch.tensor(parts)
    return part_responses(*whitened(maps, mean), offset, u, GRID)


def test_projection_before_pooling_gives_the_cosines(maps, parts):
    responses = _responses(maps, parts).numpy()
    np.testing.assert_allclose(responses, cosines(maps, parts, 0), atol=1e-12)
    assert (responses[1] == 0).any()


def test_the_mean_is_subtracted_from_the_normalised_regions(maps, parts):
    maps = maps + 5
    mean = np.full(6, 0.4)
    responses = _responses(maps, parts, mean).numpy()
    np.testing.assert_allclose(responses, cosines(maps, parts, mean), atol=1e-12)


def test_a_region_equal_to_the_mean_responds_with_zero(parts):
    mean = np.random.default_rng(3).normal(size=6).astype(np.float32)
    mean /= np.linalg.norm(mean)
    maps = np.tile(mean * np.float32(7), (1, 4, 5, 1))
    cells, lengths, norms = (x.float() for x in whitened(maps, mean))
    u = torch.tensor(parts).float()
    s = part_responses(cells, lengths, norms, torch.tensor(mean), u, GRID)
    assert (s.abs() <= 1).all()


def test_regions_of_norm_zero_have_finite_gradients(parts):
    u = torch.tensor(parts, requires_grad=True)
    inputs = whitened(np.zeros((1, 4, 5, 6)))
    s = part_responses(*inputs, torch.zeros(6).double(), u, GRID)
    assert (s == 0).all()
    soft_maximum(s, 20.0).sum().backward()
    assert torch.isfinite(u.grad).all()


def test_hard_maximum_is_the_maximum(maps, parts):
    s = _responses(maps, parts)
    np.testing.assert_array_equal(soft_maximum(s, None), s.numpy().max(axis=1))


@pytest.mark.parametrize("beta", [0.5, 10.0, 1000.0])
def test_soft_maximum_is_the_log_mean_of_exponentials(maps, parts, beta):
    s = _responses(maps, parts)
    exact = s.numpy().astype(np.longdouble)
    expected = np.log(np.exp(beta * exact).mean(axis=1)) / beta
    np.testing.assert_allclose(soft_maximum(s, beta), expected.astype(float))


@pytest.mark.parametrize("beta", [1e-20, 1e-6, 1e-3, 0.9])
def test_very_soft_maxima_are_not_lost_in_rounding(maps, parts, beta):
    """They are close to the mean, whose next term in β is half the variance."""
    s = torch.tensor(cosines(maps, parts, 0))
    expected = s.mean(dim=1) + beta / 2 * s.var(dim=1, correction=0)
    slack = 1e-6 + beta**2
    assert ((soft_maximum(s.float(), beta) - expected).abs() < slack).all()


def test_soft_maximum_goes_from_the_mean_to_the_maximum(maps, parts):
    s = _responses(maps, parts)
    np.testing.assert_allclose(soft_maximum(s, 1e-6), s.mean(dim=1), atol=1e-6)
    np.testing.assert_allclose(soft_maximum(s, 1e6), s.amax(dim=1), atol=1e-5)
