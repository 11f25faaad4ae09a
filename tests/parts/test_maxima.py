"""Maxima and their gradients against the formulas."""

import numpy as np
import pytest
import torch

import skdpnet.parts.maxima
from skdpnet.losses import assignment
from skdpnet.parts.maxima import part_maxima
from skdpnet.parts.responses import soft_maximum
from tests.parts.by_loops import (
    descriptors,
    maxima_by_formula,
    random_maps,
    random_parts,
)


@pytest.fixture
def regions():
    return descriptors(random_maps() + 0.5)


@pytest.fixture
def parts():
    return random_parts()


def _set_piece_bytes(monkeypatch, n_bytes):
    monkeypatch.setattr(skdpnet.parts.maxima, "_PIECE_BYTES_CPU", n_bytes)


@pytest.mark.parametrize("piece_bytes", [2**21, 4000, 1])
@pytest.mark.parametrize("temperature", [None, 0.1, 0.01])
@pytest.mark.parametrize("beta", [None, 5.0, 40.0, 300.0])
def test_maxima_and_their_gradient_are_the_formula(
    regions, parts, beta, temperature, piece_bytes, monkeypatch
):
    _set_piece_bytes(monkeypatch, piece_bytes)
    weights = torch.tensor(np.random.default_rng(5).normal(size=(3, 7)))
    u, x = torch.tensor(parts, requires_grad=True), torch.tensor(regions)
    maxima, penalty = part_maxima(x, u, beta=beta, temperature=temperature)
    ((maxima * weights).sum() + 3 * penalty).backward()
    expected = maxima_by_formula(regions, parts, beta, temperature, weights)
    torch.testing.assert_close(maxima.detach(), expected[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(penalty.detach(), expected[1])
    torch.testing.assert_close(u.grad, expected[2], rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(x.numpy(), regions)
    with torch.no_grad():
        again, _ = part_maxima(x, u, beta=beta)
    torch.testing.assert_close(again, expected[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("piece_bytes", [2**21, 4000])
@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("beta", [None, 0.5, 5.0, 40.0, 300.0])
def test_results_in_float32_are_those_of_autograd(
    beta, temperature, piece_bytes, monkeypatch
):
    _set_piece_bytes(monkeypatch, piece_bytes)
    torch.manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(9, 31, 12), dim=2)
    x *= torch.rand(9, 31, 1)  # of weighted regions
    parts = torch.nn.functional.normalize(torch.randn(23, 12), dim=1)
    weights = torch.randn(9, 23)
    u = parts.clone().requires_grad_()
    maxima, penalty = part_maxima(x, u, beta=beta, temperature=temperature)
    ((maxima * weights).sum() + 3 * penalty).backward()
    v = parts.clone().requires_grad_()
    responses = x @ v.T
    expected = soft_maximum(responses, beta)
    expected_penalty = (
        assignment(responses, temperature) if temperature else 0 * v.sum()
    )
    ((expected * weights).sum() + 3 * expected_penalty).backward()
    # The maxima of responses in [-1, 1] are exact to rounding of β S, over β.
    torch.testing.assert_close(maxima, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(penalty, expected_penalty, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(u.grad, v.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("beta", [1e-20, 1e-6, 1e-3, 0.9])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_very_soft_maxima_are_not_lost_in_rounding(regions, parts, beta, dtype):
    """They are close to the mean, whose next term in β is half the variance."""
    s = torch.tensor(regions @ parts.T)
    expected = s.mean(dim=1) + beta / 2 * s.var(dim=1, correction=0)
    slack = 1e-6 + beta**2 + (0.005 if dtype else 0)
    u = torch.tensor(parts).float().requires_grad_()
    maxima, _ = part_maxima(torch.tensor(regions).float(), u, beta=beta, dtype=dtype)
    assert ((maxima - expected).abs() < slack).all()
    maxima.sum().backward()
    _, _, mean_gradient = maxima_by_formula(regions, parts, 1e-5, None, 1.0)
    slack = 1e-4 + beta + (0.02 if dtype else 0)
    assert ((u.grad - mean_gradient).abs() < slack).all()


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("beta", [None, 5.0, 40.0, 300.0])
def test_products_in_bfloat16_change_results_by_their_rounding(beta, temperature):
    torch.manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(9, 31, 12), dim=2)
    parts = torch.nn.functional.normalize(torch.randn(23, 12), dim=1)
    weights = torch.randn(9, 23)
    results = []
    for dtype in (None, torch.bfloat16):
        u = parts.clone().requires_grad_()
        maxima, penalty = part_maxima(
            x, u, beta=beta, temperature=temperature, dtype=dtype
        )
        ((maxima * weights).sum() + penalty).backward()
        assert maxima.dtype == penalty.dtype == u.grad.dtype == torch.float32
        results.append((maxima.detach(), penalty.detach(), u.grad))
    exact, rounded = results
    assert (exact[0] - rounded[0]).abs().max() < 2**-6
    assert (exact[1] - rounded[1]).abs() < 2**-6
    cosine = torch.nn.functional.cosine_similarity(exact[2], rounded[2])
    assert cosine.mean() > 0.9


def test_autocast_rounds_nothing(regions, parts):
    x = torch.tensor(regions).float()
    results = []
    for enabled in (False, True):
        u = torch.tensor(parts).float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            maxima, penalty = part_maxima(x, u, beta=40.0, temperature=0.1)
            (maxima.sum() + penalty).backward()
        results.append((maxima.detach(), u.grad))
    for without, within in zip(*results, strict=True):
        assert torch.equal(without, within)


def test_empty_regions_leave_maxima_and_gradients_finite(parts):
    u = torch.tensor(parts, requires_grad=True)
    for beta in (None, 20.0):
        empty = torch.zeros(1, 5, 6, dtype=torch.float64)
        maxima, _ = part_maxima(empty, u, beta=beta, temperature=0.1)
        assert (maxima == 0).all()
        maxima.sum().backward()
    assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("beta", [None, 40.0])
def test_regions_that_change_before_the_gradient_are_an_error(regions, parts, beta):
    x, u = torch.tensor(regions), torch.tensor(parts, requires_grad=True)
    maxima, _ = part_maxima(x, u, beta=beta)
    x.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        maxima.sum().backward()


@pytest.mark.parametrize("beta", [None, 40.0])
def test_responses_are_not_kept_for_the_gradient(beta):
    n, n_regions, p = 8, 200, 512
    x = torch.rand(n, n_regions, 16)
    u = torch.nn.functional.normalize(torch.randn(p, 16)).requires_grad_()
    kept = []

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        part_maxima(x, u, beta=beta, temperature=0.1)
    assert max(kept) <= max(n * p, x.numel())


def test_no_images_have_no_maxima(parts):
    u = torch.tensor(parts, requires_grad=True)
    none = torch.zeros(0, 5, 6, dtype=torch.float64)
    maxima, penalty = part_maxima(none, u, beta=20.0, temperature=0.1)
    (maxima.sum() + penalty).backward()
    assert maxima.shape == (0, 7)
    assert (u.grad == 0).all()
