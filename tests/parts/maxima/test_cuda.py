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

from skdpnet.parts.maxima import cuda, part_maxima
from skdpnet.regions import RegionGrid

# Images, grid, channels, parts: fewer than a block, and multiples of none.
SIZES = {
    "small": (3, RegionGrid(5, 7, ((1, 1), (2, 3))), 20, 10),
    "one region": (2, RegionGrid(1, 1, ((1, 1),)), 37, 5),
    "blocks of parts and regions": (2, RegionGrid(9, 10, ((1, 1), (3, 2))), 130, 135),
    "blocks of channels": (2, RegionGrid(4, 6, ((1, 2), (3, 2))), 300, 6),
}
BETAS = [None, 40.0, 400.0]
# Half of the largest error of a product of unit vectors rounded to float16, 2⁻¹⁰.
ROUNDING = 2.0**-11


@pytest.fixture(scope="module")
def interpreted():
    """Call functions in a process where Triton interprets its kernels."""
    pytest.importorskip("triton")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as worker:
        # Triton reads the variable when the worker imports it.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TRITON_INTERPRET", "1")
            assert worker.submit(os.getenv, "TRITON_INTERPRET").result() == "1"
        yield lambda function, *args: worker.submit(function, *args).result()


def draw_problem(size: str, zero: bool = False) -> SimpleNamespace:
    """Draw inputs, and compute the descriptors (N, R, K) region by region."""
    n, grid, depth, n_parts = SIZES[size]
    random = np.random.default_rng(0)
    cells = random.normal(1, 1, (n, grid.height * grid.width, depth))
    cells = cells.astype(np.float16).astype(np.float64)
    offset = random.normal(1, 0.2, depth)
    lengths = random.uniform(0.5, 1.5, (n, grid.n_regions))
    maps = cells.reshape(n, grid.height, grid.width, depth)
    centred = np.stack(
        [maps[:, t:b, left:r].mean(axis=(1, 2)) for t, left, b, r in grid.cells], 1
    )
    centred -= lengths[..., None] * offset
    scale = 1 / np.linalg.norm(centred, axis=2)
    if zero:
        scale[0] = 0
        scale[1:, ::2] = 0
    parts = random.normal(size=(n_parts, depth))
    parts /= np.linalg.norm(parts, axis=1, keepdims=True)
    return SimpleNamespace(
        arrays=(cells, scale, lengths * scale, offset, parts),
        grid=grid,
        descriptors=centred * scale[..., None],
        parts=parts,
        gradient=random.normal(size=(n, n_parts)) * 10.0 ** random.uniform(-9, 3),
    )


def solve(arrays, grid, beta, gradient, dtype="float32", exact=False, **settings):
    """Solve a problem with the kernels; with other settings of the module."""
    cells, *others = [torch.from_numpy(array) for array in arrays]
    inputs = cells.to(getattr(torch, dtype)), *(other.float() for other in others)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setattr(cuda, name, value)
        maxima, argmax = cuda.fused_maxima(*inputs, grid, beta, exact)
        result = maxima if argmax is None else argmax
        grad_maxima = torch.from_numpy(gradient).float()
        grad_parts = cuda.fused_gradient(
            *inputs, grid, beta, result, grad_maxima, exact
        ).numpy()
    return maxima.numpy(), None if argmax is None else argmax.numpy(), grad_parts


def solve_with_little_shared_memory(*args):
    """Solve a problem in the blocks for GPUs with little shared memory."""
    from skdpnet.parts.maxima import triton_kernels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triton_kernels, "_shared_memory", lambda device: 99 * 1024)
        return solve(*args)


def solve_through_part_maxima(arrays, grid, beta, gradient):
    """Solve a problem with `part_maxima`, whose gradient comes from autograd."""
    tensors = [torch.from_numpy(array).float() for array in arrays]
    cells, scale, offset_scale, offset, parts = tensors
    parts.requires_grad_()
    inputs = cells, offset_scale / scale, 1 / scale, offset, parts, grid
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuda, "usable", lambda cells, beta: True)
        maxima, _ = part_maxima(*inputs, beta=beta, kernels=True)
    maxima.backward(torch.from_numpy(gradient).float())
    return type(maxima.grad_fn).__name__, maxima.detach().numpy(), parts.grad.numpy()


def expected(problem: SimpleNamespace, beta: float | None):
    """Responses, maxima and gradient by the formula, in float64 with autograd."""
    parts = torch.from_numpy(problem.parts).requires_grad_()
    responses = torch.from_numpy(problem.descriptors) @ parts.T
    if beta is None:
        maxima = responses.amax(dim=1)
    else:
        total = torch.logsumexp(beta * responses, dim=1)
        maxima = (total - np.log(responses.shape[1])) / beta
    maxima.backward(torch.from_numpy(problem.gradient))
    return responses.detach().numpy(), maxima.detach().numpy(), parts.grad.numpy()


def assert_agree(problem, beta, solved, within, within_gradient):
    """Compare maxima, argmax and gradient with those of the formula."""
    maxima, argmax, gradient = solved
    responses, expected_maxima, expected_gradient = expected(problem, beta)
    assert maxima.dtype == gradient.dtype == np.float32
    np.testing.assert_allclose(maxima, expected_maxima, rtol=0, atol=within)
    if beta is None:
        values = np.take_along_axis(responses, argmax[:, None].astype(int), 1)[:, 0]
        np.testing.assert_allclose(values, expected_maxima, rtol=0, atol=within)
        # Of nearly equal regions any may be the argmax; the gradient follows it.
        rows = np.take_along_axis(
            problem.descriptors[:, :, None], argmax[:, None, :, None].astype(int), 1
        )[:, 0]
        expected_gradient = np.einsum("np,npk->pk", problem.gradient, rows)
    scale = np.abs(expected_gradient).max()
    assert scale > 0
    np.testing.assert_allclose(
        gradient, expected_gradient, rtol=0, atol=within_gradient * scale
    )


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("size", SIZES)
def test_maxima_and_gradient_are_the_formula(interpreted, size, beta):
    problem = draw_problem(size)
    solved = interpreted(solve, problem.arrays, problem.grid, beta, problem.gradient)
    # An error of a response, times β, is that of its weight in the gradient.
    steep = 1e-6 if beta is None else 1e-4 * beta
    assert_agree(problem, beta, solved, ROUNDING, steep)


@pytest.mark.parametrize("beta", [None, 40.0])
def test_part_maxima_and_their_gradient_go_through_the_kernels(interpreted, beta):
    problem = draw_problem("small")
    arguments = problem.arrays, problem.grid, beta, problem.gradient
    name, maxima, gradient = interpreted(solve_through_part_maxima, *arguments)
    assert name == "_FusedMaximaBackward"
    _, expected_maxima, expected_gradient = expected(problem, beta)
    np.testing.assert_allclose(maxima, expected_maxima, rtol=0, atol=ROUNDING)
    largest = np.abs(expected_gradient).max()
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=4e-3 * largest)


@pytest.mark.parametrize("beta", BETAS)
def test_exact_is_float32(interpreted, beta):
    problem = draw_problem("blocks of channels")
    solved = interpreted(
        solve, problem.arrays, problem.grid, beta, problem.gradient, "float32", True
    )
    assert_agree(problem, beta, solved, 2e-6, 2e-6 * (beta or 1))


@pytest.mark.parametrize("beta", [None, 40.0])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_cells_of_half_precision(interpreted, dtype, beta):
    problem = draw_problem("small")
    # The cells fit float16. To bfloat16 they are rounded: 8 bits, averaged over K.
    rough = 2e-3 if dtype == "bfloat16" else ROUNDING
    solved = interpreted(
        solve, problem.arrays, problem.grid, beta, problem.gradient, dtype
    )
    assert_agree(problem, beta, solved, rough, 40 * rough)


@pytest.mark.parametrize("beta", BETAS)
def test_regions_of_norm_zero_respond_with_zero(interpreted, beta):
    problem = draw_problem("small", zero=True)
    solved = interpreted(solve, problem.arrays, problem.grid, beta, problem.gradient)
    np.testing.assert_array_equal(solved[0][0], 0)
    assert_agree(problem, beta, solved, ROUNDING, 1e-4 * (beta or 1))


@pytest.mark.parametrize("beta", [None, 40.0])
def test_images_in_pieces_give_the_same(interpreted, beta):
    problem = draw_problem("small")
    args = problem.arrays, problem.grid, beta, problem.gradient
    whole = interpreted(solve, *args)
    pieces = interpreted(solve_piecewise, *args)
    np.testing.assert_array_equal(whole[0], pieces[0])
    np.testing.assert_allclose(whole[2], pieces[2], rtol=1e-4, atol=0)


def solve_piecewise(*args):
    """Solve a problem with one image at a time."""
    return solve(*args, _PIECE_BYTES=1)


@pytest.mark.parametrize("beta", [None, 40.0])
def test_blocks_for_little_shared_memory(interpreted, beta):
    problem = draw_problem("blocks of parts and regions")
    args = problem.arrays, problem.grid, beta, problem.gradient
    solved = interpreted(solve_with_little_shared_memory, *args)
    assert_agree(problem, beta, solved, ROUNDING, 1e-4 * (beta or 1))


def test_the_first_of_equal_regions_wins(interpreted):
    problem = draw_problem("blocks of parts and regions")
    cells, scale, offset_scale, offset, parts = problem.arrays
    n, grid = len(cells), RegionGrid(15, 12, ((1, 1),))
    same = np.broadcast_to(cells[:, :1], (n, 180, cells.shape[2])).copy()
    columns = np.zeros(180, int)
    arrays = same, scale[:, columns], offset_scale[:, columns], offset, parts
    _, argmax, _ = interpreted(solve, arrays, grid, None, problem.gradient)
    np.testing.assert_array_equal(argmax, 0)


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
        ("argmax", False, "in the maxima"),
        ("gradient", False, "and by 0.05 "),
        ("gradient", True, "and by 0.05 "),
        ("launch", True, "fail here (RuntimeError: no device)"),
        ("triton", False, "pip install triton"),
    ],
)
def test_self_check_names_the_fault(interpreted, broken, soft, message):
    assert message in interpreted(fault, broken, torch.float32, soft)


def fault(broken: str, dtype: torch.dtype, soft: bool) -> str | None:
    """Run the self-check with a broken part."""
    from skdpnet.parts.maxima import triton_kernels

    maxima, gradient = cuda.fused_maxima, cuda.fused_gradient

    def wrong(**inputs):
        values, argmax = maxima(**inputs)
        if broken == "maxima":
            return values + 2e-3, argmax
        if broken == "not a number":
            return values * np.nan, argmax
        return values, argmax + 1

    def fail(*args):
        raise RuntimeError("no device")

    with pytest.MonkeyPatch.context() as patch:
        if broken in ("maxima", "not a number", "argmax"):
            patch.setattr(cuda, "fused_maxima", wrong)
        elif broken == "gradient":
            patch.setattr(cuda, "fused_gradient", lambda **x: gradient(**x) * 1.05)
        elif broken == "launch":
            patch.setattr(cuda._Regions, "describe", fail)
        elif broken == "triton":
            patch.setattr(triton_kernels, "jit", None)
        return cuda._fault.__wrapped__(torch.device("cpu"), dtype, 24, soft)


def test_not_used_without_cuda():
    assert not cuda.usable(torch.zeros(1, 4, 8), 40.0)


def test_a_fault_is_reported_once(monkeypatch):
    # No tensor is on CUDA where the tests run.
    cells = SimpleNamespace(
        is_cuda=True,
        dtype=torch.float32,
        device=torch.device("cuda", 0),
        shape=(1, 4, 8),
    )
    monkeypatch.setattr(cuda, "_fault", lambda *args: "the reason")
    cuda._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="take their slower form: the reason"):
        assert not cuda.usable(cells, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not cuda.usable(cells, None)
    monkeypatch.setattr(cuda, "_fault", lambda *args: None)
    assert cuda.usable(cells, None)
    # Very small and very large β would make rounding errors large.
    assert [cuda.usable(cells, beta) for beta in (0.01, 0.5, 40.0, 1e6)] == [
        False, True, True, False
    ]  # fmt: skip
    cells.dtype = torch.float64
    assert not cuda.usable(cells, None)
