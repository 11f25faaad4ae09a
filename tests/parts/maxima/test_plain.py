"""The plain form against the formulas in float64."""

import numpy as np
import pytest
import torch

from skdpnet.parts.maxima.plain import plain_maxima
from tests.parts.by_loops import GRID, whitened
from tests.parts.maxima.formula import maxima_by_formula


@pytest.mark.parametrize("temperature", [None, 0.1, 0.01])
@pytest.mark.parametrize("beta", [None, 0.5, 40.0, 300.0])
def test_the_plain_form_is_the_formula(maps, parts, beta, temperature):
    maps = maps + 0.5
    mean = np.full(6, 0.1)
    weights = torch.tensor(np.random.default_rng(5).normal(size=(3, 7)))
    u = torch.tensor(parts, requires_grad=True)
    maxima, penalty = plain_maxima(
        *whitened(maps, mean),
        torch.tensor(mean),
        u,
        GRID,
        beta=beta,
        temperature=temperature,
    )
    ((maxima * weights).sum() + 3 * penalty).backward()
    expected = maxima_by_formula(maps, parts, mean, beta, temperature, weights)
    torch.testing.assert_close(maxima.detach(), expected[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(penalty.detach(), expected[1])
    torch.testing.assert_close(u.grad, expected[2], rtol=1e-8, atol=1e-9)
