"""Maxima of part responses on CUDA, in Triton kernels that keep responses on the chip.

Regions' descriptors X (N, R, K) are formed for some images at a time; neither the
responses S (N, R, P) nor projected cells (N, H·W, P) are written to memory. Only the
gradient through soft maxima writes slopes (n, R, P) of a few images, in float16.

The product's operands are rounded to float16, its sums are float32. Both are unit
vectors, so a response moves by less than 2⁻¹⁰ even where all errors agree, and by much
less as a rule. TF32 keeps no more digits, at half the speed.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from skdpnet.regions import RegionGrid

__all__ = ["fused_gradient", "fused_maxima", "usable"]

# Descriptors, or slopes, of so many bytes at once.
_PIECE_BYTES = 64 * 2**20
# Slopes reach the kernel as shares of a part's steepest, times this, so that float16
# holds small ones too.
_LIFT = 2.0**10
_CELLS = (torch.float32, torch.float16, torch.bfloat16)
# What the self-check takes for right: rounding to float16 explains no more. A response
# off by 1e-4 changes its weight in the gradient by 0.4 %.
_MOST_APART, _MOST_APART_GRADIENT = 1e-3, 1e-2
_CHECKED_BETA = 40.0
# Beyond them rounding of a soft maximum's logarithm is no longer small beside the
# maximum, or beside what tells its regions apart.
_LEAST_BETA, _LARGEST_BETA = 0.1, 1e5


def fused_maxima(
    cells: torch.Tensor,
    scale: torch.Tensor,
    drift: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
    beta: float | None,
    exact: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Soft or hard maxima of all parts' responses.

    ``S[n, r, p] = X[n, r] · parts[p]``, where ``X[n, r] = (mean of the region's cells)
    · scale[n, r] - drift[n, r] · offset``; the soft maximum is ``(1/β) log (1/R) Σ_r
    exp(β S)``.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K), float32, float16 or bfloat16
    scale, drift : tensor of shape (N, R)
        Such that X has unit rows, or rows of 0.
    offset : tensor of shape (K,)
    parts : tensor of shape (P, K)
        Unit rows.
    grid : RegionGrid
    beta : float > 0 or None
        None: the hard maximum.
    exact : bool
        Round nothing to float16, for comparisons: many times slower.

    Returns
    -------
    maxima : float32 tensor of shape (N, P)
    argument : int32 tensor of shape (N, P), or None for soft maxima
        Number of the region of each hard maximum; the first of equal ones.
    """
    kernels = _kernels()
    n, n_parts = len(cells), len(parts)
    regions = _Regions(cells, scale, drift, offset, grid)
    blocks = kernels.choose_blocks(cells.device, cells.shape[2], exact)
    operand = _operand(parts, blocks)
    maxima = torch.empty(n, n_parts, dtype=torch.float32, device=cells.device)
    argument = None if beta is not None else torch.empty_like(maxima, dtype=torch.int32)
    a_image = grid.n_regions * blocks.channels * blocks.dtype.itemsize
    n_blocks = math.ceil(n_parts / blocks.responses["PARTS"])
    with torch.cuda.device_of(cells):
        for some in _pieces(n, a_image):
            descriptors = regions.describe(some, blocks.channels, blocks.dtype)
            kernels.maxima[(len(descriptors) * n_blocks,)](
                descriptors,
                operand,
                maxima[some],
                maxima if argument is None else argument[some],
                grid.n_regions,
                n_parts,
                1.0 if beta is None else beta / math.log(2),
                SOFT=beta is not None,
                **blocks.responses,
            )
    return maxima, argument


def fused_gradient(
    cells: torch.Tensor,
    scale: torch.Tensor,
    drift: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
    beta: float | None,
    kept: torch.Tensor,
    gradient: torch.Tensor,
    exact: bool = False,
) -> torch.Tensor:
    """Gradient at the parts, of a gradient at their maxima.

    Through each hard maximum's region alone; through soft maxima by working the
    responses out again. It holds what reaches the parts by way of the offset.

    Parameters
    ----------
    cells, scale, drift, offset, parts, grid, beta, exact
        As in `fused_maxima`.
    kept : tensor of shape (N, P)
        What `fused_maxima` returned: the maxima, where they are soft, or the argument.
    gradient : tensor of shape (N, P)

    Returns
    -------
    float32 tensor of shape (P, K)
        Summed in float32, in the same order every time.
    """
    regions = _Regions(cells, scale, drift, offset, grid)
    gradient = gradient.float().contiguous()
    with torch.cuda.device_of(cells):
        if beta is None:
            return _hard_gradient(regions, kept, gradient)
        return _soft_gradient(regions, parts, beta, kept.contiguous(), gradient, exact)


def usable(cells: torch.Tensor, beta: float | None) -> bool:
    """Whether the kernels serve for the maxima of these cells' responses.

    The first time on a device, for each number of channels and kind of maximum, they
    solve a small problem and are compared with the formula in float64. Where Triton is
    missing, fails or differs, a RuntimeWarning says so once.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K)
    beta : float or None
    """
    if not cells.is_cuda or cells.dtype not in _CELLS:
        return False
    if beta is not None and not _LEAST_BETA <= beta <= _LARGEST_BETA:
        return False
    fault = _fault(cells.device, cells.dtype, cells.shape[2], beta is not None)
    if fault is not None:
        _warn_once(fault)
    return fault is None


@lru_cache
def _warn_once(fault: str) -> None:
    warnings.warn(
        f"part responses on CUDA take their plain, slower form: {fault}",
        RuntimeWarning,
        stacklevel=3,
    )


@lru_cache
def _fault(
    device: torch.device, dtype: torch.dtype, n_channels: int, soft: bool
) -> str | None:
    """Tell what is wrong with the kernels, by a small problem; None if nothing is."""
    # More than one block of images, of parts and of regions.
    grid = RegionGrid(10, 9, ((1, 1), (3, 2)))
    n, n_parts, beta = 2, 150, _CHECKED_BETA if soft else None
    random = torch.Generator().manual_seed(0)
    cells = torch.randn(n, 90, n_channels, generator=random).to(dtype).double()
    offset = torch.randn(n_channels, generator=random) / 4
    parts = F.normalize(torch.randn(n_parts, n_channels, generator=random), dim=1)
    gradient = torch.randn(n, n_parts, generator=random)
    lengths = torch.rand(n, grid.n_regions, generator=random) + 0.5
    rest = torch.cat(list(grid.pool(cells)), dim=1) - lengths[..., None] * offset
    scale = 1 / rest.norm(dim=2)
    descriptors = rest * scale[..., None]
    responses = descriptors @ parts.double().T

    try:
        inputs: dict[str, Any] = {
            "cells": cells.to(device, dtype),
            "scale": scale.to(device, torch.float32),
            "drift": (lengths * scale).to(device, torch.float32),
            "offset": offset.to(device),
            "parts": parts.to(device),
            "grid": grid,
            "beta": beta,
        }
        found, argument = fused_maxima(**inputs)
        if argument is not None:
            # What is wrong is to be found out, and not to bring down the process.
            argument = argument.clamp(0, grid.n_regions - 1)
        kept = found if argument is None else argument
        pull = fused_gradient(**inputs, kept=kept, gradient=gradient.to(device)).cpu()
    except ImportError as error:
        return f"Triton, which `pip install triton` installs, is not there ({error})."
    except Exception as error:  # Compilers, drivers and launchers fail each its way.
        return f"its Triton kernels fail here ({type(error).__name__}: {error})."

    maxima = [found.cpu()]
    if argument is None:
        total = torch.logsumexp(_CHECKED_BETA * responses, dim=1)
        expected = (total - math.log(grid.n_regions)) / _CHECKED_BETA
        shares = torch.softmax(_CHECKED_BETA * responses, dim=1)
    else:
        # Of nearly equal responses either may win; it must only be one of them.
        where = argument.cpu().long()[:, None]
        maxima.append(responses.gather(1, where)[:, 0])
        expected = responses.amax(dim=1)
        shares = torch.zeros_like(responses).scatter_(1, where, 1.0)
    expected_pull = torch.einsum(
        "np,nrp,nrk->pk", gradient.double(), shares, descriptors
    )
    apart = max(float((one - expected).abs().max()) for one in maxima)
    largest = float(expected_pull.abs().max())
    apart_gradient = float((pull - expected_pull).abs().max()) / largest
    # Put so that NaN fails.
    if apart < _MOST_APART and apart_gradient < _MOST_APART_GRADIENT:
        return None
    return (
        f"its Triton kernels are off by {apart:.2g} in the maxima and by "
        f"{apart_gradient:.2g} of the largest in the gradient."
    )


def _kernels() -> ModuleType:
    """Import the kernels when they are first used: Triton takes a while to import."""
    from skdpnet.parts.maxima import triton_kernels as kernels

    if kernels.jit is None:
        raise ImportError("No module named 'triton'")
    return kernels


def _pieces(n: int, bytes_each: int) -> Iterator[slice]:
    """Cut images so that a piece takes little memory."""
    at_once = max(1, _PIECE_BYTES // bytes_each)
    for first in range(0, n, at_once):
        yield slice(first, min(n, first + at_once))


def _operand(parts: torch.Tensor, blocks) -> torch.Tensor:
    """Parts as the product takes them, with channels of 0 added."""
    missing = blocks.channels - parts.shape[1]
    return F.pad(parts.to(blocks.dtype), (0, missing)).contiguous()


@lru_cache(maxsize=16)
def _boxes(grid: RegionGrid, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(grid.cells.astype(np.int32)).to(device)


class _Regions(NamedTuple):
    """The regions of some images; see `fused_maxima`."""

    cells: torch.Tensor
    scale: torch.Tensor
    drift: torch.Tensor
    offset: torch.Tensor
    grid: RegionGrid

    def describe(self, some: slice, channels: int, dtype: torch.dtype) -> torch.Tensor:
        """Descriptors of some images' regions, with channels of 0 added."""
        kernels = _kernels()
        cells = self.cells[some].contiguous()
        n, n_cells, n_channels = cells.shape
        n_regions = self.grid.n_regions
        descriptors = cells.new_empty((n, n_regions, channels), dtype=dtype)
        block = kernels.POOLED
        programs = (
            n,
            math.ceil(n_regions / block["REGIONS"]),
            math.ceil(channels / block["CHANNELS"]),
        )
        kernels.describe[programs](
            cells,
            _boxes(self.grid, cells.device),
            self.scale[some].float().contiguous(),
            self.drift[some].float().contiguous(),
            self.offset.float().contiguous(),
            descriptors,
            n_cells,
            self.grid.width,
            n_regions,
            n_channels,
            channels,
            **block,
            **kernels.OPTIONS,
        )
        return descriptors


def _hard_gradient(
    regions: _Regions, argument: torch.Tensor, gradient: torch.Tensor
) -> torch.Tensor:
    """Sum the descriptors where the maxima are, times the gradient."""
    n_regions = regions.grid.n_regions
    n, _, n_channels = regions.cells.shape
    total = gradient.new_zeros(gradient.shape[1], n_channels)
    for some in _pieces(n, 4 * n_regions * n_channels):
        # In float32, since that is what a bag then sums in.
        descriptors = regions.describe(some, n_channels, torch.float32)
        first = torch.arange(len(descriptors), device=argument.device) * n_regions
        total += F.embedding_bag(
            (argument[some] + first[:, None]).T.contiguous(),
            descriptors.flatten(0, 1),
            per_sample_weights=gradient[some].T.contiguous(),
            mode="sum",
        )
    return total


def _soft_gradient(
    regions: _Regions,
    parts: torch.Tensor,
    beta: float,
    maxima: torch.Tensor,
    gradient: torch.Tensor,
    exact: bool,
) -> torch.Tensor:
    """Sum all descriptors times the slopes of their responses."""
    kernels = _kernels()
    n_parts, n_channels = parts.shape
    n_regions = regions.grid.n_regions
    blocks = kernels.choose_blocks(parts.device, n_channels, exact)
    operand = _operand(parts, blocks)
    step = kernels.PULLED_REGIONS
    n_columns = step * math.ceil(n_regions / step)
    steepest = gradient.abs().amax(dim=0).clamp(min=1e-30)
    gradient = gradient / steepest * (_LIFT / n_regions)
    total = gradient.new_zeros(n_parts, blocks.channels)
    a_image = max(n_regions * blocks.channels, n_columns * n_parts)
    n_blocks = math.ceil(n_parts / blocks.responses["PARTS"])
    pull_programs = (
        math.ceil(n_parts / blocks.pull["PARTS"]),
        blocks.channels // blocks.pull["CHANNELS"],
    )
    for some in _pieces(len(maxima), a_image * blocks.dtype.itemsize):
        descriptors = regions.describe(some, blocks.channels, blocks.dtype)
        n = len(descriptors)
        slopes = descriptors.new_empty(n_parts, n, n_columns)
        kernels.slopes[(n * n_blocks,)](
            descriptors,
            operand,
            maxima[some],
            gradient[some],
            slopes,
            n,
            n_regions,
            n_columns,
            n_parts,
            beta / math.log(2),
            **blocks.responses,
        )
        kernels.pull[pull_programs](
            slopes,
            descriptors,
            total,
            n,
            n_regions,
            n_columns,
            n_parts,
            **blocks.pull,
        )
    return total[:, :n_channels] * (steepest / _LIFT)[:, None]
