"""Products in bfloat16, and the grids and regions that are special to an order."""

import numpy as np
import pytest
import torch

import skdpnet.parts.maxima.autograd
from skdpnet.parts.maxima import part_maxima
from skdpnet.parts.maxima.plain import plain_maxima
from skdpnet.regions import RegionGrid
from tests.parts.by_loops import GRID, whitened


def test_products_in_bfloat16_keep_about_three_digits(order, maps, parts):
    inputs = [x.float() for x in (*whitened(maps + 0.5), torch.zeros(6))]
    weights = torch.tensor(np.random.default_rng(5).normal(size=(3, 7))).float()
    results = []
    for dtype in (None, torch.bfloat16):
        u = torch.tensor(parts).float().requires_grad_()
        maxima, _ = part_maxima(*inputs, u, GRID, beta=20.0, dtype=dtype)
        (maxima * weights).sum().backward()
        results.append((maxima.detach(), u.grad))
    (exact, exact_gradient), (low, low_gradient) = results
    assert 0 < (low - exact).abs().max() < 0.01
    difference = (low_gradient - exact_gradient).norm()
    assert 0 < difference < 0.03 * exact_gradient.norm()


@pytest.mark.parametrize("beta", [0.01, 1.0, 5.0, 40.0])
def test_bfloat16_distinguishes_images_however_soft_the_maximum(beta):
    """The error is small beside how much the maxima differ from image to image."""
    grid = RegionGrid.from_scales(14, 14, (0.15, 0.3, 0.45))
    torch.manual_seed(0)
    cells = torch.randn(16, 196, 32).relu()
    lengths = grid.norms(cells)
    u = torch.nn.functional.normalize(torch.randn(50, 32))
    inputs = cells, lengths, lengths, torch.zeros(32)
    exact, _ = plain_maxima(*inputs, u, grid, beta=beta)
    low, _ = part_maxima(
        *inputs, u.requires_grad_(), grid, beta=beta, dtype=torch.bfloat16
    )
    error = (low.detach() - exact).square().mean().sqrt()
    assert error < 0.05 * exact.std(dim=0).mean()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("scales", [(0.05,), (0.05, 0.3), (1.0,)])
def test_the_gradient_on_windows_of_one_cell_and_of_all(
    order, scales, dtype, monkeypatch
):
    """With windows of one cell alone, sums over windows are the cells themselves."""
    monkeypatch.setattr(skdpnet.parts.maxima.autograd, "_PIECE_BYTES_CPU", 4000)
    grid = RegionGrid.from_scales(4, 5, scales)
    torch.manual_seed(0)
    cells = torch.rand(6, 20, 8)
    lengths = grid.norms(cells)
    weights, gradients = torch.randn(6, 30), []
    parts = torch.nn.functional.normalize(torch.randn(30, 8))
    inputs = cells, lengths, lengths, torch.zeros(8)
    for maxima in (
        lambda u: plain_maxima(*inputs, u, grid, beta=20.0)[0],
        lambda u: part_maxima(*inputs, u, grid, beta=20.0, dtype=dtype)[0],
    ):
        u = parts.clone().requires_grad_()
        (maxima(u) * weights).sum().backward()
        gradients.append(u.grad)
    expected, gradient = gradients
    close = 1e-4 if dtype is None else 0.03
    assert (gradient - expected).norm() < close * expected.norm()


@pytest.mark.parametrize("noise", [1e-3, 1e-4, 1e-5, 1e-6, 3e-7])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_regions_close_to_the_mean_leave_all_finite(order, dtype, noise):
    """What is left of them is rounding: it may not become a large cosine."""
    torch.manual_seed(0)
    mean = 3 * torch.randn(64)
    long = 0.5 + torch.rand(60, 1)
    cells = long[..., None] * mean * (1 + noise * torch.randn(60, 20, 64))
    lengths = long.expand(60, GRID.n_regions)
    pooled = torch.cat(list(GRID.pool(cells)), dim=1)
    norms = (pooled - lengths[..., None] * mean).norm(dim=2)
    u = torch.nn.functional.normalize(torch.randn(20, 64)).requires_grad_()
    # The first part points where the rounding does.
    u.data[0] = mean / mean.norm()
    for beta in (40.0, 60.0):
        maxima, _ = part_maxima(
            cells, lengths, norms, mean, u, GRID, beta=beta, dtype=dtype
        )
        maxima.sum().backward()
        assert maxima.abs().max() < 1.3
        assert torch.isfinite(u.grad).all()
