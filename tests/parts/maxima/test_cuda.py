"""The Triton kernels, run by Triton's interpreter, against formulas in float64."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skdpnet.parts.maxima import cuda as fused
from skdpnet.regions import RegionGrid

# Images, grid, channels, parts: fewer than a block, and multiples of none.
SIZES = {
    "small": (3, RegionGrid(5, 7, ((1, 1), (2, 3))), 20, 10),
    "one region": (2, RegionGrid(1, 1, ((1, 1),)), 37, 5),
    "blocks of parts and regions": (2, RegionGrid(9, 10, ((1, 1), (3, 2))), 130, 135),
    "blocks of channels": (2, RegionGrid(4, 6, ((1, 2), (3, 2))), 300, 6),
}
BETAS = [None, 40.0, 400.0]
# Half of what unit vectors rounded to float16 may be apart in their product, 2⁻¹⁰.
ROUNDING = 2.0**-11


@pytest.fixture(scope="module")
def interpreted():
    """Call functions in a process where Triton interprets its kernels."""
    pytest.importorskip("triton")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as worker:
        # Triton reads the variable when it is imported, here or there.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            assert worker.submit(os.getenv, "TRITON_INTERPRET").result() == "1"
        yield lambda function, *args: worker.submit(function, *args).result()


def problem(size: str, zero: bool = False) -> SimpleNamespace:
    """Draw inputs, and work out the descriptors (N, R, K) region by region."""
    n, grid, depth, n_parts = SIZES[size]
    random = np.random.default_rng(0)
    cells = random.normal(1, 1, (n, grid.height * grid.width, depth))
    cells = cells.astype(np.float16).astype(np.float64)
    offset = random.normal(1, 0.2, depth)
    lengths = random.uniform(0.5, 1.5, (n, grid.n_regions))
    maps = cells.reshape(n, grid.height, grid.width, depth)
    rest = np.stack(
        [maps[:, t:b, left:r].mean(axis=(1, 2)) for t, left, b, r in grid.cells], 1
    )
    rest -= lengths[..., None] * offset
    scale = 1 / np.linalg.norm(rest, axis=2)
    if zero:
        scale[0] = 0
        scale[1:, ::2] = 0
    parts = random.normal(size=(n_parts, depth))
    parts /= np.linalg.norm(parts, axis=1, keepdims=True)
    return SimpleNamespace(
        arrays=(cells, scale, lengths * scale, offset, parts),
        grid=grid,
        descriptors=rest * scale[..., None],
        parts=parts,
        gradient=random.normal(size=(n, n_parts)) * 10.0 ** random.uniform(-9, 3),
    )


def solve(arrays, grid, beta, gradient, dtype="float32", exact=False, **settings):
    """Let the kernels work on arrays; with other settings of `fused`."""
    cells, *others = [torch.from_numpy(one) for one in arrays]
    inputs = cells.to(getattr(torch, dtype)), *(one.float() for one in others)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setattr(fused, name, value)
        maxima, argument = fused.fused_maxima(*inputs, grid, beta, exact)
        kept = maxima if argument is None else argument
        slope = torch.from_numpy(gradient).float()
        pull = fused.fused_gradient(*inputs, grid, beta, kept, slope, exact)
    return maxima.numpy(), None if argument is None else argument.numpy(), pull.numpy()


def solve_with_little_shared_memory(*args):
    """Let the kernels work in the blocks for small chips."""
    from skdpnet.parts.maxima import triton_kernels as kernels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_shared_memory", lambda device: 99 * 1024)
        return solve(*args)


def solve_through_part_maxima(arrays, grid, beta, gradient):
    """Let autograd find its way through the kernels."""
    from skdpnet.parts.maxima.autograd import part_maxima

    cells, scale, drift, offset, parts = [torch.from_numpy(a).float() for a in arrays]
    parts.requires_grad_()
    inputs = cells, drift / scale, 1 / scale, offset, parts, grid
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "usable", lambda cells, beta: True)
        maxima, _ = part_maxima(*inputs, beta=beta, kernels=True)
    maxima.backward(torch.from_numpy(gradient).float())
    return type(maxima.grad_fn).__name__, maxima.detach().numpy(), parts.grad.numpy()


def expected(one: SimpleNamespace, beta: float | None):
    """Responses, maxima and gradient by the formula, in float64 with autograd."""
    parts = torch.from_numpy(one.parts).requires_grad_()
    responses = torch.from_numpy(one.descriptors) @ parts.T
    if beta is None:
        maxima = responses.amax(dim=1)
    else:
        total = torch.logsumexp(beta * responses, dim=1)
        maxima = (total - np.log(responses.shape[1])) / beta
    maxima.backward(torch.from_numpy(one.gradient))
    return responses.detach().numpy(), maxima.detach().numpy(), parts.grad.numpy()


def assert_agree(one, beta, solved, within, within_gradient):
    """Compare maxima, argument and gradient with the formula's."""
    maxima, argument, pull = solved
    responses, own_maxima, own_pull = expected(one, beta)
    assert maxima.dtype == pull.dtype == np.float32
    np.testing.assert_allclose(maxima, own_maxima, rtol=0, atol=within)
    if beta is None:
        found = np.take_along_axis(responses, argument[:, None].astype(int), 1)[:, 0]
        np.testing.assert_allclose(found, own_maxima, rtol=0, atol=within)
        # Where the winner is another, nearly equal region, so is the gradient.
        rows = np.take_along_axis(
            one.descriptors[:, :, None], argument[:, None, :, None].astype(int), 1
        )[:, 0]
        own_pull = np.einsum("np,npk->pk", one.gradient, rows)
    scale = np.abs(own_pull).max()
    assert scale > 0
    np.testing.assert_allclose(pull, own_pull, rtol=0, atol=within_gradient * scale)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("size", SIZES)
def test_maxima_and_gradient_are_the_formula(interpreted, size, beta):
    one = problem(size)
    solved = interpreted(solve, one.arrays, one.grid, beta, one.gradient)
    # Weights in the gradient change by β times what responses do.
    steep = 1e-6 if beta is None else 1e-4 * beta
    assert_agree(one, beta, solved, ROUNDING, steep)


@pytest.mark.parametrize("beta", [None, 40.0])
def test_part_maxima_and_their_gradient_go_through_the_kernels(interpreted, beta):
    one = problem("small")
    arguments = one.arrays, one.grid, beta, one.gradient
    name, maxima, pull = interpreted(solve_through_part_maxima, *arguments)
    assert name == "_FusedMaximaBackward"
    _, own_maxima, own_pull = expected(one, beta)
    np.testing.assert_allclose(maxima, own_maxima, rtol=0, atol=ROUNDING)
    steepest = np.abs(own_pull).max()
    np.testing.assert_allclose(pull, own_pull, rtol=0, atol=4e-3 * steepest)


@pytest.mark.parametrize("beta", BETAS)
def test_exact_is_float32(interpreted, beta):
    one = problem("blocks of channels")
    solved = interpreted(
        solve, one.arrays, one.grid, beta, one.gradient, "float32", True
    )
    assert_agree(one, beta, solved, 2e-6, 2e-6 * (beta or 1))


@pytest.mark.parametrize("beta", [None, 40.0])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_cells_of_half_precision(interpreted, dtype, beta):
    one = problem("small")
    # The cells fit float16. To bfloat16 they are rounded: 8 bits, averaged over K.
    rough = 2e-3 if dtype == "bfloat16" else ROUNDING
    solved = interpreted(solve, one.arrays, one.grid, beta, one.gradient, dtype)
    assert_agree(one, beta, solved, rough, 40 * rough)


@pytest.mark.parametrize("beta", BETAS)
def test_regions_of_norm_zero_respond_with_zero(interpreted, beta):
    one = problem("small", zero=True)
    solved = interpreted(solve, one.arrays, one.grid, beta, one.gradient)
    np.testing.assert_array_equal(solved[0][0], 0)
    assert_agree(one, beta, solved, ROUNDING, 1e-4 * (beta or 1))


@pytest.mark.parametrize("beta", [None, 40.0])
def test_images_in_pieces_give_the_same(interpreted, beta):
    one = problem("small")
    args = one.arrays, one.grid, beta, one.gradient
    whole = interpreted(solve, *args)
    pieces = interpreted(solve_piecewise, *args)
    np.testing.assert_array_equal(whole[0], pieces[0])
    np.testing.assert_allclose(whole[2], pieces[2], rtol=1e-4, atol=0)


def solve_piecewise(*args):
    """Let the kernels work on an image at a time."""
    return solve(*args, _PIECE_BYTES=1)


@pytest.mark.parametrize("beta", [None, 40.0])
def test_blocks_for_little_shared_memory(interpreted, beta):
    one = problem("blocks of parts and regions")
    args = one.arrays, one.grid, beta, one.gradient
    solved = interpreted(solve_with_little_shared_memory, *args)
    assert_agree(one, beta, solved, ROUNDING, 1e-4 * (beta or 1))


def test_the_first_of_equal_regions_wins(interpreted):
    one = problem("blocks of parts and regions")
    cells, scale, drift, offset, parts = one.arrays
    n, grid = len(cells), RegionGrid(15, 12, ((1, 1),))
    same = np.broadcast_to(cells[:, :1], (n, 180, cells.shape[2])).copy()
    columns = np.zeros(180, int)
    arrays = same, scale[:, columns], drift[:, columns], offset, parts
    _, argument, _ = interpreted(solve, arrays, grid, None, one.gradient)
    np.testing.assert_array_equal(argument, 0)


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_self_check_finds_no_fault(interpreted, dtype, soft):
    assert interpreted(fault, "nothing", dtype, soft) is None


@pytest.mark.parametrize(
    "broken, soft, message",
    [
        ("maxima", False, "off by 0.00"),
        ("maxima", True, "off by 0.00"),
        ("not a number", False, "off by nan"),
        ("argument", False, "in the maxima"),
        ("gradient", False, "and by 0.05 "),
        ("gradient", True, "and by 0.05 "),
        ("launch", True, "fail here (RuntimeError: no device)"),
        ("triton", False, "pip install triton"),
    ],
)
def test_self_check_names_the_fault(interpreted, broken, soft, message):
    assert message in interpreted(fault, broken, torch.float32, soft)


def fault(broken: str, dtype: torch.dtype, soft: bool) -> str | None:
    """Run the self-check with something broken."""
    from skdpnet.parts.maxima import triton_kernels as kernels

    maxima, gradient = fused.fused_maxima, fused.fused_gradient

    def wrong(**inputs):
        found, argument = maxima(**inputs)
        if broken == "maxima":
            return found + 2e-3, argument
        if broken == "not a number":
            return found * np.nan, argument
        return found, argument + 1

    def fail(*args):
        raise RuntimeError("no device")

    with pytest.MonkeyPatch.context() as patch:
        if broken in ("maxima", "not a number", "argument"):
            patch.setattr(fused, "fused_maxima", wrong)
        elif broken == "gradient":
            patch.setattr(fused, "fused_gradient", lambda **x: gradient(**x) * 1.05)
        elif broken == "launch":
            patch.setattr(fused._Regions, "describe", fail)
        elif broken == "triton":
            patch.setattr(kernels, "jit", None)
        return fused._fault.__wrapped__(torch.device("cpu"), dtype, 24, soft)


def test_not_used_without_cuda():
    assert not fused.usable(torch.zeros(1, 4, 8), 40.0)


def test_what_is_wrong_is_said_once(monkeypatch):
    # No tensor is on CUDA where the tests run.
    cells = SimpleNamespace(
        is_cuda=True,
        dtype=torch.float32,
        device=torch.device("cuda", 0),
        shape=(1, 4, 8),
    )
    monkeypatch.setattr(fused, "_fault", lambda *args: "the reason")
    fused._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="plain, slower form: the reason"):
        assert not fused.usable(cells, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not fused.usable(cells, None)
    monkeypatch.setattr(fused, "_fault", lambda *args: None)
    assert fused.usable(cells, None)
    # Of these a soft maximum's rounding would be large.
    assert [fused.usable(cells, beta) for beta in (0.01, 0.5, 40.0, 1e6)] == [
        False, True, True, False
    ]  # fmt: skip
    cells.dtype = torch.float64
    assert not fused.usable(cells, None)
