"""Maxima of part responses on CUDA, in Triton kernels that keep responses on the chip.

They save memory traffic: neither the responses S (N, R, P) nor the projected cells (N,
H·W, P) are written to memory. Region descriptors X (N, R, K) are computed for a few
images at a time. Only the gradient of soft maxima writes gradients with respect to S
(n, R, P), for a few images and in float16.

The factors of the products are rounded to float16, and their sums are float32. Both
factors are unit vectors, so a response changes by less than 2⁻¹⁰ even where all
rounding errors have the same sign, and usually by much less. TF32 has no more digits,
at half the speed.

Symbols and names are those of `skdpnet.parts.maxima.autograd`.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from skdpnet.regions.grid import RegionGrid
from skdpnet.utils.batching import slices_within

__all__ = ["fused_gradient", "fused_maxima", "usable"]

# Bytes of the descriptors, or of the gradients with respect to responses, that are in
# memory at once: enough images to occupy a GPU, and little beside its memory.
_PIECE_BYTES = 64 * 2**20
# Gradients with respect to responses are scaled so that those of each part are at most
# this number: float16 then represents small ones too.
_GRADIENT_SCALE = 2.0**10
_CELL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Errors that the self-check accepts, in the maxima and relative to the largest number
# of the gradient: rounding to float16 explains no more. With β = 40 an error of 1e-4
# in a response changes its weight in the gradient by 0.4 %.
_MAX_ERROR, _MAX_GRADIENT_ERROR = 1e-3, 1e-2
_CHECKED_BETA = 40.0
# For smaller β the logarithm of a soft maximum is mostly rounding; for larger β
# rounding errors of the maximum change the weights of the regions.
_MIN_BETA, _MAX_BETA = 0.1, 1e5


def fused_maxima(
    cells: torch.Tensor,
    scale: torch.Tensor,
    offset_scale: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
    beta: float | None,
    exact: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Soft or hard maxima of all parts' responses.

    ``S[n, r, p] = X[n, r] · parts[p]``, where ``X[n, r] = (mean of the region's cells)
    · scale[n, r] - offset_scale[n, r] · offset``; the soft maximum is ``(1/β) log (1/R)
    Σ_r exp(β S)``.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K), float32, float16 or bfloat16
    scale, offset_scale : tensor of shape (N, R)
        Such that X has unit rows, or rows of 0.
    offset : tensor of shape (K,)
    parts : tensor of shape (P, K)
        Unit rows.
    grid : RegionGrid
    beta : float > 0 or None
        β; None: the hard maximum.
    exact : bool
        Round nothing to float16, for comparisons: many times slower.

    Returns
    -------
    maxima : float32 tensor of shape (N, P)
    argmax : int32 tensor of shape (N, P), or None for soft maxima
        Number of the region of each hard maximum; the first of equal ones.
    """
    kernels = _kernels()
    n, n_parts = len(cells), len(parts)
    regions = _Regions(cells, scale, offset_scale, offset, grid)
    blocks = kernels.choose_blocks(cells.device, cells.shape[2], exact)
    padded_parts = _padded(parts, blocks)
    maxima = torch.empty(n, n_parts, dtype=torch.float32, device=cells.device)
    argmax = None if beta is not None else torch.empty_like(maxima, dtype=torch.int32)
    bytes_per_image = grid.n_regions * blocks.channels * blocks.dtype.itemsize
    n_blocks = math.ceil(n_parts / blocks.responses["PARTS"])
    with torch.cuda.device_of(cells):
        for images in slices_within(n, bytes_per_image, _PIECE_BYTES):
            descriptors = regions.describe(images, blocks.channels, blocks.dtype)
            kernels.maxima[(len(descriptors) * n_blocks,)](
                descriptors,
                padded_parts,
                maxima[images],
                maxima if argmax is None else argmax[images],
                grid.n_regions,
                n_parts,
                1.0 if beta is None else beta / math.log(2),
                SOFT=beta is not None,
                **blocks.responses,
            )
    return maxima, argmax


def fused_gradient(
    cells: torch.Tensor,
    scale: torch.Tensor,
    offset_scale: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
    beta: float | None,
    result: torch.Tensor,
    grad_maxima: torch.Tensor,
    exact: bool = False,
) -> torch.Tensor:
    """Gradient with respect to the parts, of a gradient with respect to their maxima.

    A hard maximum passes it to the descriptor of its region. For soft maxima the
    responses are computed again.

    Parameters
    ----------
    cells, scale, offset_scale, offset, parts, grid, beta, exact
        As in `fused_maxima`.
    result : tensor of shape (N, P)
        What `fused_maxima` returned: soft maxima, or the argmax of hard maxima.
    grad_maxima : tensor of shape (N, P)

    Returns
    -------
    float32 tensor of shape (P, K)
        Accumulated in float32, always in the same order.
    """
    regions = _Regions(cells, scale, offset_scale, offset, grid)
    grad_maxima = grad_maxima.float().contiguous()
    with torch.cuda.device_of(cells):
        if beta is None:
            return _hard_gradient(regions, result, grad_maxima)
        maxima = result.contiguous()
        return _soft_gradient(regions, parts, beta, maxima, grad_maxima, exact)


def usable(cells: torch.Tensor, beta: float | None) -> bool:
    """Return whether the kernels can compute the maxima of these cells' responses.

    At the first use on a device, for each number of channels and for soft and hard
    maxima, they solve a small problem, which is compared with the formula in float64.
    Where Triton is missing, fails, or gives other results, a RuntimeWarning says so
    once, and `part_maxima` computes the maxima in PyTorch operations. These are not
    `plain_maxima`, as all responses together may exceed the memory of a GPU.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K)
    beta : float or None

    Returns
    -------
    bool
    """
    if not cells.is_cuda or cells.dtype not in _CELL_DTYPES:
        return False
    if beta is not None and not _MIN_BETA <= beta <= _MAX_BETA:
        return False
    fault = _fault(cells.device, cells.dtype, cells.shape[2], beta is not None)
    if fault is not None:
        _warn_once(fault)
    return fault is None


@lru_cache
def _warn_once(fault: str) -> None:
    warnings.warn(
        f"maxima of part responses on CUDA take their slower form: {fault}",
        RuntimeWarning,
        stacklevel=3,
    )


@lru_cache
def _fault(
    device: torch.device, dtype: torch.dtype, n_channels: int, soft: bool
) -> str | None:
    """Solve a small problem and describe what is wrong; None if nothing is."""
    # More than one block of images, of parts and of regions.
    grid = RegionGrid(10, 9, ((1, 1), (3, 2)))
    n, n_parts, beta = 2, 150, _CHECKED_BETA if soft else None
    random = torch.Generator().manual_seed(0)
    cells = torch.randn(n, 90, n_channels, generator=random).to(dtype).double()
    offset = torch.randn(n_channels, generator=random) / 4
    parts = F.normalize(torch.randn(n_parts, n_channels, generator=random), dim=1)
    grad_maxima = torch.randn(n, n_parts, generator=random)
    lengths = torch.rand(n, grid.n_regions, generator=random) + 0.5
    centred = torch.cat(list(grid.pool(cells)), dim=1) - lengths[..., None] * offset
    scale = 1 / centred.norm(dim=2)
    descriptors = centred * scale[..., None]
    responses = descriptors @ parts.double().T

    try:
        inputs: dict[str, Any] = {
            "cells": cells.to(device, dtype),
            "scale": scale.to(device, torch.float32),
            "offset_scale": (lengths * scale).to(device, torch.float32),
            "offset": offset.to(device),
            "parts": parts.to(device),
            "grid": grid,
            "beta": beta,
        }
        maxima, argmax = fused_maxima(**inputs)
        if argmax is not None:
            # A wrong region is to be reported, not to be read outside of memory.
            argmax = argmax.clamp(0, grid.n_regions - 1)
        result = maxima if argmax is None else argmax
        gradient = fused_gradient(
            **inputs, result=result, grad_maxima=grad_maxima.to(device)
        ).cpu()
    except ImportError as error:
        return f"Triton, which `pip install triton` installs, is not there ({error})."
    except Exception as error:  # Compilers, drivers and launchers raise different ones.
        return f"its Triton kernels fail here ({type(error).__name__}: {error})."

    computed = [maxima.cpu()]
    if argmax is None:
        total = torch.logsumexp(_CHECKED_BETA * responses, dim=1)
        expected = (total - math.log(grid.n_regions)) / _CHECKED_BETA
        weights = torch.softmax(_CHECKED_BETA * responses, dim=1)
    else:
        # Any of several nearly equal responses may be the maximum, so what is checked
        # is the response of the region that was found.
        where = argmax.cpu().long()[:, None]
        computed.append(responses.gather(1, where)[:, 0])
        expected = responses.amax(dim=1)
        weights = torch.zeros_like(responses).scatter_(1, where, 1.0)
    expected_gradient = torch.einsum(
        "np,nrp,nrk->pk", grad_maxima.double(), weights, descriptors
    )
    max_error = max(float((values - expected).abs().max()) for values in computed)
    largest = float(expected_gradient.abs().max())
    gradient_error = float((gradient - expected_gradient).abs().max()) / largest
    # Comparisons that NaN fails.
    if max_error < _MAX_ERROR and gradient_error < _MAX_GRADIENT_ERROR:
        return None
    return (
        f"its Triton kernels are off by {max_error:.2g} in the maxima and by "
        f"{gradient_error:.2g} of the largest in the gradient."
    )


def _kernels() -> ModuleType:
    """Import the kernels when they are first used: importing Triton takes time."""
    from skdpnet.parts.maxima import triton_kernels

    if triton_kernels.jit is None:
        raise ImportError("No module named 'triton'")
    return triton_kernels


def _padded(parts: torch.Tensor, blocks) -> torch.Tensor:
    """Parts in the dtype of the products, padded with channels of 0."""
    missing = blocks.channels - parts.shape[1]
    return F.pad(parts.to(blocks.dtype), (0, missing)).contiguous()


@lru_cache(maxsize=16)
def _boxes(grid: RegionGrid, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(grid.cells.astype(np.int32)).to(device)


class _Regions(NamedTuple):
    """What the descriptors of the regions are computed from; see `fused_maxima`."""

    cells: torch.Tensor
    scale: torch.Tensor
    offset_scale: torch.Tensor
    offset: torch.Tensor
    grid: RegionGrid

    def describe(
        self, images: slice, channels: int, dtype: torch.dtype
    ) -> torch.Tensor:
        """Descriptors X of n images, padded with channels of 0, (n, R, channels)."""
        kernels = _kernels()
        cells = self.cells[images].contiguous()
        n, n_cells, n_channels = cells.shape
        n_regions = self.grid.n_regions
        descriptors = cells.new_empty((n, n_regions, channels), dtype=dtype)
        block = kernels.POOLING_BLOCK
        programs = (
            n,
            math.ceil(n_regions / block["REGIONS"]),
            math.ceil(channels / block["CHANNELS"]),
        )
        kernels.describe[programs](
            cells,
            _boxes(self.grid, cells.device),
            self.scale[images].float().contiguous(),
            self.offset_scale[images].float().contiguous(),
            self.offset.float().contiguous(),
            descriptors,
            n_cells,
            self.grid.width,
            n_regions,
            n_channels,
            channels,
            **block,
            **kernels.COMPILER_OPTIONS,
        )
        return descriptors


def _hard_gradient(
    regions: _Regions, argmax: torch.Tensor, grad_maxima: torch.Tensor
) -> torch.Tensor:
    """Sum the descriptors of the maxima's regions, times the gradient."""
    n_regions = regions.grid.n_regions
    n, _, n_channels = regions.cells.shape
    total = grad_maxima.new_zeros(grad_maxima.shape[1], n_channels)
    for images in slices_within(n, 4 * n_regions * n_channels, _PIECE_BYTES):
        # In float32, the dtype in which an embedding bag then accumulates.
        descriptors = regions.describe(images, n_channels, torch.float32)
        first = torch.arange(len(descriptors), device=argmax.device) * n_regions
        total += F.embedding_bag(
            (argmax[images] + first[:, None]).T.contiguous(),
            descriptors.flatten(0, 1),
            per_sample_weights=grad_maxima[images].T.contiguous(),
            mode="sum",
        )
    return total


def _soft_gradient(
    regions: _Regions,
    parts: torch.Tensor,
    beta: float,
    maxima: torch.Tensor,
    grad_maxima: torch.Tensor,
    exact: bool,
) -> torch.Tensor:
    """Sum all descriptors, times the gradient with respect to their responses."""
    kernels = _kernels()
    n_parts, n_channels = parts.shape
    n_regions = regions.grid.n_regions
    blocks = kernels.choose_blocks(parts.device, n_channels, exact)
    padded_parts = _padded(parts, blocks)
    multiple = kernels.GRADIENT_REGIONS
    n_columns = multiple * math.ceil(n_regions / multiple)
    largest = grad_maxima.abs().amax(dim=0).clamp(min=1e-30)
    scaled_gradient = grad_maxima / largest * (_GRADIENT_SCALE / n_regions)
    total = grad_maxima.new_zeros(n_parts, blocks.channels)
    numbers_per_image = max(n_regions * blocks.channels, n_columns * n_parts)
    bytes_per_image = numbers_per_image * blocks.dtype.itemsize
    n_blocks = math.ceil(n_parts / blocks.responses["PARTS"])
    programs = (
        math.ceil(n_parts / blocks.part_gradient["PARTS"]),
        blocks.channels // blocks.part_gradient["CHANNELS"],
    )
    for images in slices_within(len(maxima), bytes_per_image, _PIECE_BYTES):
        descriptors = regions.describe(images, blocks.channels, blocks.dtype)
        n = len(descriptors)
        grad_responses = descriptors.new_empty(n_parts, n, n_columns)
        kernels.response_gradient[(n * n_blocks,)](
            descriptors,
            padded_parts,
            maxima[images],
            scaled_gradient[images],
            grad_responses,
            n,
            n_regions,
            n_columns,
            n_parts,
            beta / math.log(2),
            **blocks.responses,
        )
        kernels.part_gradient[programs](
            grad_responses,
            descriptors,
            total,
            n,
            n_regions,
            n_columns,
            n_parts,
            **blocks.part_gradient,
        )
    return total[:, :n_channels] * (largest / _GRADIENT_SCALE)[:, None]
