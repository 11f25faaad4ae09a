"""Soft maxima against their definition."""

import numpy as np
import pytest
import torch

from skdpnet.parts.responses import soft_maximum
from tests.parts.by_loops import descriptors, random_maps, random_parts


@pytest.fixture
def responses():
    return torch.tensor(descriptors(random_maps()) @ random_parts().T)


def test_hard_maximum_is_the_maximum(responses):
    np.testing.assert_array_equal(soft_maximum(responses, None), responses.amax(dim=1))


@pytest.mark.parametrize("beta", [0.5, 10.0, 1000.0])
def test_soft_maximum_is_the_log_mean_of_exponentials(responses, beta):
    exact = responses.numpy().astype(np.longdouble)
    expected = np.log(np.exp(beta * exact).mean(axis=1)) / beta
    np.testing.assert_allclose(soft_maximum(responses, beta), expected.astype(float))


@pytest.mark.parametrize("beta", [1e-20, 1e-6, 1e-3, 0.9])
def test_very_soft_maxima_are_not_lost_in_rounding(responses, beta):
    """They are close to the mean, whose next term in β is half the variance."""
    expected = responses.mean(dim=1) + beta / 2 * responses.var(dim=1, correction=0)
    slack = 1e-6 + beta**2
    assert ((soft_maximum(responses.float(), beta) - expected).abs() < slack).all()


def test_soft_maximum_goes_from_the_mean_to_the_maximum(responses):
    np.testing.assert_allclose(
        soft_maximum(responses, 1e-6), responses.mean(dim=1), atol=1e-6
    )
    np.testing.assert_allclose(
        soft_maximum(responses, 1e6), responses.amax(dim=1), atol=1e-5
    )
