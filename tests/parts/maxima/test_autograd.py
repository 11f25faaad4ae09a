"""Maxima and their gradients against the formulas and the plain form."""

import numpy as np
import pytest
import torch

import skdpnet.parts.maxima.autograd
from skdpnet.parts.maxima import part_maxima
from skdpnet.parts.maxima.autograd import choose_order
from skdpnet.parts.maxima.plain import plain_maxima
from skdpnet.parts.maxima.pooling_first import PoolingFirst
from skdpnet.parts.maxima.projection_first import ProjectionFirst
from skdpnet.regions import RegionGrid
from tests.parts.by_loops import GRID, cosines, whitened
from tests.parts.maxima.formula import maxima_by_formula


def _set_piece_bytes(monkeypatch, n_bytes):
    monkeypatch.setattr(skdpnet.parts.maxima.autograd, "_PIECE_BYTES_CPU", n_bytes)


@pytest.mark.parametrize("piece_bytes", [2**21, 4000])
@pytest.mark.parametrize("temperature", [None, 0.1, 0.01])
@pytest.mark.parametrize("beta", [None, 5.0, 40.0, 300.0])
def test_maxima_and_their_gradient_are_the_formula(
    order, maps, parts, beta, temperature, piece_bytes, monkeypatch
):
    _set_piece_bytes(monkeypatch, piece_bytes)
    maps = maps + 0.5
    mean = np.full(6, 0.1)
    weights = torch.tensor(np.random.default_rng(5).normal(size=(3, 7)))
    u = torch.tensor(parts, requires_grad=True)
    inputs = *whitened(maps, mean), torch.tensor(mean)
    maxima, penalty = part_maxima(*inputs, u, GRID, beta=beta, temperature=temperature)
    ((maxima * weights).sum() + 3 * penalty).backward()
    expected = maxima_by_formula(maps, parts, mean, beta, temperature, weights)
    torch.testing.assert_close(maxima.detach(), expected[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(penalty.detach(), expected[1])
    torch.testing.assert_close(u.grad, expected[2], rtol=1e-8, atol=1e-9)
    with torch.no_grad():
        again, _ = part_maxima(*inputs, u, GRID, beta=beta)
    torch.testing.assert_close(again, expected[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("piece_bytes", [2**21, 4000])
@pytest.mark.parametrize("temperature", [None, 0.1, 0.01])
@pytest.mark.parametrize("beta", [None, 0.5, 5.0, 40.0, 300.0])
def test_maxima_and_their_gradient_are_those_of_the_plain_form(
    order, beta, temperature, piece_bytes, monkeypatch
):
    _set_piece_bytes(monkeypatch, piece_bytes)
    torch.manual_seed(0)
    grid = RegionGrid.from_scales(6, 5, (0.2, 0.4, 0.6))
    cells = torch.randn(9, 30, 12).relu() - 0.1
    lengths = 0.5 + torch.rand(9, grid.n_regions)
    offset = torch.randn(12) / 10
    pooled = torch.cat(list(grid.pool(cells)), dim=1)
    norms = (pooled - lengths[..., None] * offset).norm(dim=2)
    parts = torch.nn.functional.normalize(torch.randn(23, 12), dim=1)
    weights = torch.randn(9, 23)
    results = []
    for function in (part_maxima, plain_maxima):
        u = parts.clone().requires_grad_()
        maxima, penalty = function(
            cells, lengths, norms, offset, u, grid, beta=beta, temperature=temperature
        )
        ((maxima * weights).sum() + 3 * penalty).backward()
        results.append((maxima.detach(), penalty.detach(), u.grad))
    for fast, plain in zip(*results, strict=True):
        # The maxima of responses in [-1, 1] are exact to rounding of β S, over β.
        torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("beta", [1e-20, 1e-6, 1e-3, 0.9])
def test_very_soft_maxima_are_not_lost_in_rounding(maps, parts, beta):
    """They are close to the mean, whose next term in β is half the variance."""
    s = torch.tensor(cosines(maps, parts, 0))
    expected = s.mean(dim=1) + beta / 2 * s.var(dim=1, correction=0)
    slack = 1e-6 + beta**2
    inputs = [x.float() for x in (*whitened(maps), torch.zeros(6))]
    u = torch.tensor(parts).float().requires_grad_()
    maxima, _ = part_maxima(*inputs, u, GRID, beta=beta)
    assert ((maxima - expected).abs() < slack).all()
    maxima.sum().backward()
    _, _, mean_gradient = maxima_by_formula(maps, parts, 0, 1e-5, None, 1.0)
    assert ((u.grad - mean_gradient).abs() < 1e-4 + beta).all()


@pytest.mark.parametrize("beta", [None, 40.0, 1000.0])
def test_maxima_in_float32_are_those_of_float64(order, maps, parts, beta):
    # Large and far from zero, so that the mean takes most of each region away.
    maps = 1000 * (maps + 20)
    mean = np.full(6, 0.4)
    exact = maxima_by_formula(maps, parts, mean, None, None, torch.zeros(3, 7))[0]
    inputs = [x.float() for x in (*whitened(maps, mean), torch.tensor(mean))]
    u = torch.tensor(parts).float()
    maxima, _ = part_maxima(*inputs, u, GRID, beta=beta)
    assert maxima.dtype == torch.float32
    slack = 1e-3 if beta is None else np.log(GRID.n_regions) / beta + 1e-3
    assert ((maxima - exact).abs() < slack).all()


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("beta", [None, 40.0])
@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_the_number_of_threads_does_not_change_the_results(
    order, parts, beta, temperature, n_threads, monkeypatch
):
    maps = np.random.default_rng(2).normal(size=(7, 4, 5, 6))
    weights = torch.tensor(np.random.default_rng(5).normal(size=(7, 7)))
    inputs = *whitened(maps), torch.zeros(6).double()
    _set_piece_bytes(monkeypatch, 1000)
    results = []
    for n in (1, n_threads, n_threads):
        monkeypatch.setattr(
            skdpnet.parts.maxima.autograd, "available_threads", lambda device, n=n: n
        )
        u = torch.tensor(parts, requires_grad=True)
        maxima, penalty = part_maxima(
            *inputs, u, GRID, beta=beta, temperature=temperature
        )
        ((maxima * weights).sum() + penalty).backward()
        results.append((maxima.detach(), penalty.detach(), u.grad))
    for single, several, again in zip(*results, strict=True):
        torch.testing.assert_close(several, single)
        assert torch.equal(again, several)


def test_autocast_rounds_nothing(order, maps, parts):
    inputs = [x.float() for x in (*whitened(maps + 0.5), torch.zeros(6))]
    results = []
    for enabled in (False, True):
        u = torch.tensor(parts).float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            maxima, penalty = part_maxima(*inputs, u, GRID, beta=40.0, temperature=0.1)
            (maxima.sum() + penalty).backward()
        results.append((maxima.detach(), u.grad))
    for without, within in zip(*results, strict=True):
        assert torch.equal(without, within)


def test_regions_of_norm_zero_leave_maxima_and_gradients_finite(parts):
    u = torch.tensor(parts, requires_grad=True)
    inputs = whitened(np.zeros((1, 4, 5, 6)))
    for beta in (None, 20.0):
        maxima, _ = part_maxima(
            *inputs, torch.zeros(6).double(), u, GRID, beta=beta, temperature=0.1
        )
        assert (maxima == 0).all()
        maxima.sum().backward()
    assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("beta", [None, 40.0])
def test_cells_that_change_before_the_gradient_are_an_error(order, maps, parts, beta):
    inputs = whitened(maps)
    u = torch.tensor(parts, requires_grad=True)
    maxima, _ = part_maxima(*inputs, torch.zeros(6).double(), u, GRID, beta=beta)
    inputs[0].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        maxima.sum().backward()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_the_responses_of_all_regions_are_never_kept(dtype):
    """What is kept is a number for each cell or channel and part, or the argmax."""
    grid = RegionGrid.from_scales(14, 14, (0.15, 0.3, 0.45))
    n, k, p = 8, 16, 512
    torch.manual_seed(0)
    cells = torch.rand(n, 196, k)
    lengths = torch.ones(n, grid.n_regions)
    u = torch.nn.functional.normalize(torch.randn(p, k)).requires_grad_()
    for beta, most in ((None, 0.01), (40.0, 0.6)):
        kept = []

        def pack(tensor, kept=kept):
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            part_maxima(
                cells, lengths, lengths, torch.zeros(k), u, grid, beta=beta, dtype=dtype
            )
        assert max(kept) <= max(most * n * grid.n_regions * p, cells.numel())


def test_pooling_comes_first_where_products_are_cheap_and_channels_few():
    def chosen(n_channels, dtype=torch.bfloat16, beta=None, needs_gradient=True):
        cells = torch.zeros(1, 20, n_channels)
        return choose_order(cells, GRID, dtype, beta, needs_gradient)

    assert chosen(GRID.n_regions - 1) is PoolingFirst
    assert chosen(GRID.n_regions) is ProjectionFirst
    assert chosen(6, dtype=None) is ProjectionFirst
    assert chosen(6, beta=40.0) is PoolingFirst
    assert chosen(6, beta=1.0) is ProjectionFirst
    assert chosen(6, needs_gradient=False) is ProjectionFirst
