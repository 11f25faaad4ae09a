"""Responses and their maxima against the descriptor spelt out region by region."""

import numpy as np
import pytest
import torch

import skdpnet.parts.maxima.autograd
from skdpnet.parts.maxima.autograd import part_maxima
from skdpnet.parts.maxima.pooling_order import PoolingFirst, ProjectionFirst, choose_way
from skdpnet.parts.responses import part_responses, soft_maximum
from skdpnet.regions import RegionGrid

NO_MEAN = np.zeros(6)
GRID = RegionGrid.from_scales(4, 5, (0.25, 0.5, 1.0))


@pytest.fixture
def maps():
    maps = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    maps[1, :2, :2] = 0  # some regions of norm zero, as ReLU maps have
    return maps


@pytest.fixture
def parts():
    parts = np.random.default_rng(1).normal(size=(7, 6))
    return parts / np.linalg.norm(parts, axis=1, keepdims=True)


def _cosines(maps, parts, mean):
    """S as the definition has it: pool, normalise, centre, normalise, project."""
    out = np.zeros((len(maps), GRID.n_regions, len(parts)))
    for n, one in enumerate(maps):
        for r, (top, left, bottom, right) in enumerate(GRID.cells):
            x = one[top:bottom, left:right].mean(axis=(0, 1))
            x = x / max(np.linalg.norm(x), 1e-300) - mean
            out[n, r] = parts @ (x / max(np.linalg.norm(x), 1e-300))
    return out


def _inputs(maps, mean=NO_MEAN):
    """Cells, lengths and norms as `WhitenedMaps` defines them, by loops."""
    lengths = np.zeros((len(maps), GRID.n_regions))
    norms = np.zeros_like(lengths)
    for n, one in enumerate(maps):
        for r, (top, left, bottom, right) in enumerate(GRID.cells):
            x = one[top:bottom, left:right].mean(axis=(0, 1))
            lengths[n, r] = np.linalg.norm(x)
            norms[n, r] = np.linalg.norm(x - lengths[n, r] * mean)
    cells = torch.tensor(maps).flatten(1, 2)
    return cells, torch.tensor(lengths), torch.tensor(norms)


def _responses(maps, parts, mean=NO_MEAN):
    offset, u = torch.tensor(mean), torch.tensor(parts)
    return part_responses(*_inputs(maps, mean), offset, u, GRID)


def test_projection_before_pooling_gives_the_cosines(maps, parts):
    got = _responses(maps, parts).numpy()
    np.testing.assert_allclose(got, _cosines(maps, parts, 0), atol=1e-12)
    assert (got[1] == 0).any()


def test_the_mean_is_taken_off_the_normalised_regions(maps, parts):
    maps = maps + 5
    mean = np.full(6, 0.4)
    got = _responses(maps, parts, mean).numpy()
    np.testing.assert_allclose(got, _cosines(maps, parts, mean), atol=1e-12)


def test_a_region_equal_to_the_mean_responds_with_zero(parts):
    mean = np.random.default_rng(3).normal(size=6).astype(np.float32)
    mean /= np.linalg.norm(mean)
    maps = np.tile(mean * np.float32(7), (1, 4, 5, 1))
    cells, lengths, norms = (x.float() for x in _inputs(maps, mean))
    u = torch.tensor(parts).float()
    s = part_responses(cells, lengths, norms, torch.tensor(mean), u, GRID)
    assert (s.abs() <= 1).all()


def test_regions_of_norm_zero_have_finite_gradients(maps, parts):
    u = torch.tensor(parts, requires_grad=True)
    inputs = _inputs(np.zeros((1, 4, 5, 6)))
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
def test_very_soft_maxima_are_no_rounding(maps, parts, beta):
    """Close to the mean, whose next term in β is half the variance."""
    s = torch.tensor(_cosines(maps, parts, 0))
    expected = s.mean(dim=1) + beta / 2 * s.var(dim=1, correction=0)
    slack = 1e-6 + beta**2
    assert ((soft_maximum(s.float(), beta) - expected).abs() < slack).all()
    inputs = [x.float() for x in (*_inputs(maps), torch.zeros(6))]
    u = torch.tensor(parts).float().requires_grad_()
    found, _ = part_maxima(*inputs, u, GRID, beta=beta)
    assert ((found - expected).abs() < slack).all()
    found.sum().backward()
    _, _, mean_gradient = _maxima_by_autograd(maps, parts, 0, 1e-5, None, 1.0)
    assert ((u.grad - mean_gradient).abs() < 1e-4 + beta).all()


def test_soft_maximum_goes_from_the_mean_to_the_maximum(maps, parts):
    s = _responses(maps, parts)
    np.testing.assert_allclose(soft_maximum(s, 1e-6), s.mean(dim=1), atol=1e-6)
    np.testing.assert_allclose(soft_maximum(s, 1e6), s.amax(dim=1), atol=1e-5)


def _maxima_by_autograd(maps, parts, mean, beta, temperature, slope):
    """Maxima, assignment penalty and gradient, from float64 regions one by one."""
    regions = np.zeros((len(maps), GRID.n_regions, maps.shape[-1]))
    for n, one in enumerate(maps):
        for r, (top, left, bottom, right) in enumerate(GRID.cells):
            x = one[top:bottom, left:right].mean(axis=(0, 1))
            x = x / max(np.linalg.norm(x), 1e-300) - mean
            regions[n, r] = x / max(np.linalg.norm(x), 1e-300)
    u = torch.tensor(parts, requires_grad=True)
    s = torch.tensor(regions) @ u.T
    if beta is None:
        maxima = s.max(dim=1).values
    else:
        maxima = (beta * s).exp().mean(dim=1).log() / beta
    penalty = torch.zeros((), dtype=torch.float64)
    if temperature is not None:
        share = (s / temperature).exp()
        share = share / share.sum(dim=-1, keepdim=True)
        penalty = -(share * share.log()).sum(dim=-1).mean()
    ((maxima * slope).sum() + 3 * penalty).backward()
    return maxima.detach(), penalty.detach(), u.grad


@pytest.fixture(params=[ProjectionFirst, PoolingFirst])
def way(request, monkeypatch):
    monkeypatch.setattr(
        skdpnet.parts.maxima.autograd, "choose_way", lambda *args: request.param
    )


@pytest.mark.parametrize("piece_bytes", [2**21, 4000])
@pytest.mark.parametrize("temperature", [None, 0.1, 0.01])
@pytest.mark.parametrize("beta", [None, 5.0, 40.0, 300.0])
def test_maxima_and_their_gradient_need_no_responses(
    way, maps, parts, beta, temperature, piece_bytes, monkeypatch
):
    monkeypatch.setitem(skdpnet.parts.maxima.autograd._PIECE_BYTES, "cpu", piece_bytes)
    maps = maps + 0.5
    mean = np.full(6, 0.1)
    slope = torch.tensor(np.random.default_rng(5).normal(size=(3, 7)))
    u = torch.tensor(parts, requires_grad=True)
    inputs = *_inputs(maps, mean), torch.tensor(mean)
    maxima, penalty = part_maxima(*inputs, u, GRID, beta=beta, temperature=temperature)
    ((maxima * slope).sum() + 3 * penalty).backward()
    expected = _maxima_by_autograd(maps, parts, mean, beta, temperature, slope)
    torch.testing.assert_close(maxima.detach(), expected[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(penalty.detach(), expected[1])
    torch.testing.assert_close(u.grad, expected[2], rtol=1e-8, atol=1e-9)
    with torch.no_grad():
        again, _ = part_maxima(*inputs, u, GRID, beta=beta)
    torch.testing.assert_close(again, expected[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("beta", [None, 40.0, 1000.0])
def test_maxima_in_float32_are_those_of_float64(way, maps, parts, beta):
    # Large and far from zero, so that the mean takes most of each region away.
    maps = 1000 * (maps + 20)
    mean = np.full(6, 0.4)
    exact = _maxima_by_autograd(maps, parts, mean, None, None, torch.zeros(3, 7))[0]
    inputs = [x.float() for x in (*_inputs(maps, mean), torch.tensor(mean))]
    u = torch.tensor(parts).float()
    found, _ = part_maxima(*inputs, u, GRID, beta=beta)
    assert found.dtype == torch.float32
    slack = 1e-3 if beta is None else np.log(GRID.n_regions) / beta + 1e-3
    assert ((found - exact).abs() < slack).all()


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("beta", [None, 40.0])
@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_threads_with_pieces_of_their_own_find_the_same(
    way, parts, beta, temperature, n_threads, monkeypatch
):
    maps = np.random.default_rng(2).normal(size=(7, 4, 5, 6))
    slope = torch.tensor(np.random.default_rng(5).normal(size=(7, 7)))
    inputs = *_inputs(maps), torch.zeros(6).double()
    monkeypatch.setitem(skdpnet.parts.maxima.autograd._PIECE_BYTES, "cpu", 1000)
    found = []
    for n in (1, n_threads, n_threads):
        monkeypatch.setattr(
            skdpnet.parts.maxima.autograd, "n_side_by_side", lambda device, n=n: n
        )
        u = torch.tensor(parts, requires_grad=True)
        maxima, penalty = part_maxima(
            *inputs, u, GRID, beta=beta, temperature=temperature
        )
        ((maxima * slope).sum() + penalty).backward()
        found.append((maxima.detach(), penalty.detach(), u.grad))
    alone, together, again = found
    for one, other, third in zip(alone, together, again, strict=True):
        torch.testing.assert_close(other, one)
        assert torch.equal(third, other)


def test_an_autocast_around_it_rounds_nothing(way, maps, parts):
    inputs = [x.float() for x in (*_inputs(maps + 0.5), torch.zeros(6))]
    found = []
    for enabled in (False, True):
        u = torch.tensor(parts).float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            maxima, penalty = part_maxima(*inputs, u, GRID, beta=40.0, temperature=0.1)
            (maxima.sum() + penalty).backward()
        found.append((maxima.detach(), u.grad))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_products_in_bfloat16_keep_about_three_digits(way, maps, parts):
    inputs = [x.float() for x in (*_inputs(maps + 0.5), torch.zeros(6))]
    slope = torch.tensor(np.random.default_rng(5).normal(size=(3, 7))).float()
    found = []
    for dtype in (None, torch.bfloat16):
        u = torch.tensor(parts).float().requires_grad_()
        maxima, _ = part_maxima(*inputs, u, GRID, beta=20.0, dtype=dtype)
        (maxima * slope).sum().backward()
        found.append((maxima.detach(), u.grad))
    (exact, slopes), (low, low_slopes) = found
    assert 0 < (low - exact).abs().max() < 0.01
    assert 0 < (low_slopes - slopes).norm() < 0.03 * slopes.norm()


def test_regions_of_norm_zero_leave_maxima_and_gradients_finite(parts):
    u = torch.tensor(parts, requires_grad=True)
    inputs = _inputs(np.zeros((1, 4, 5, 6)))
    for beta in (None, 20.0):
        maxima, _ = part_maxima(
            *inputs, torch.zeros(6).double(), u, GRID, beta=beta, temperature=0.1
        )
        assert (maxima == 0).all()
        maxima.sum().backward()
    assert torch.isfinite(u.grad).all()


def test_pooling_comes_first_where_products_are_cheap_and_channels_few():
    def chosen(n_channels, dtype=torch.bfloat16, beta=None, learns=True):
        return choose_way(torch.zeros(1, 20, n_channels), GRID, dtype, beta, learns)

    assert chosen(GRID.n_regions - 1) is PoolingFirst
    assert chosen(GRID.n_regions) is ProjectionFirst
    assert chosen(6, dtype=None) is ProjectionFirst
    assert chosen(6, beta=40.0) is PoolingFirst
    assert chosen(6, beta=1.0) is ProjectionFirst
    assert chosen(6, learns=False) is ProjectionFirst


@pytest.mark.parametrize("beta", [0.01, 1.0, 5.0, 40.0])
def test_bfloat16_tells_images_apart_however_soft_the_maximum(beta):
    """The error is small beside how much the maxima differ from image to image."""
    grid = RegionGrid.from_scales(14, 14, (0.15, 0.3, 0.45))
    torch.manual_seed(0)
    cells = torch.randn(16, 196, 32).relu()
    lengths = grid.norms(cells)
    u = torch.nn.functional.normalize(torch.randn(50, 32))
    given = cells, lengths, lengths, torch.zeros(32)
    exact = soft_maximum(part_responses(*given, u, grid), beta)
    low, _ = part_maxima(
        *given, u.requires_grad_(), grid, beta=beta, dtype=torch.bfloat16
    )
    error = (low.detach() - exact).square().mean().sqrt()
    assert error < 0.05 * exact.std(dim=0).mean()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("scales", [(0.05,), (0.05, 0.3), (1.0,)])
def test_the_gradient_on_windows_of_one_cell_and_of_all(
    way, scales, dtype, monkeypatch
):
    """With a single window of one cell nothing is pooled, and no memory is new."""
    monkeypatch.setitem(skdpnet.parts.maxima.autograd._PIECE_BYTES, "cpu", 4000)
    grid = RegionGrid.from_scales(4, 5, scales)
    torch.manual_seed(0)
    cells = torch.rand(6, 20, 8)
    lengths = grid.norms(cells)
    slope, found = torch.randn(6, 30), []
    parts = torch.nn.functional.normalize(torch.randn(30, 8))
    given = cells, lengths, lengths, torch.zeros(8)
    for maxima in (
        lambda u: soft_maximum(part_responses(*given, u, grid), 20.0),
        lambda u: part_maxima(*given, u, grid, beta=20.0, dtype=dtype)[0],
    ):
        u = parts.clone().requires_grad_()
        (maxima(u) * slope).sum().backward()
        found.append(u.grad)
    expected, gradient = found
    close = 1e-4 if dtype is None else 0.03
    assert (gradient - expected).norm() < close * expected.norm()


@pytest.mark.parametrize("beta", [None, 40.0])
def test_cells_that_change_before_the_gradient_are_an_error(way, maps, parts, beta):
    inputs = _inputs(maps)
    u = torch.tensor(parts, requires_grad=True)
    maxima, _ = part_maxima(*inputs, torch.zeros(6).double(), u, GRID, beta=beta)
    inputs[0].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        maxima.sum().backward()


@pytest.mark.parametrize("noise", [1e-3, 1e-4, 1e-5, 1e-6, 3e-7])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_regions_close_to_the_mean_leave_all_finite(way, dtype, noise):
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


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_the_responses_of_all_regions_are_never_held(dtype):
    """What is kept is one number a cell or channel and part, or the argument."""
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
