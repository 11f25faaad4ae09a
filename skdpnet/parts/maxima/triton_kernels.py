"""Triton kernels: part responses a tile at a time, never written to memory.

The region descriptors X are computed first: pooled, with the mean subtracted, and of
unit length. So the responses are a product alone, as in attention, and its factors may
be rounded to float16: no number is larger than 1, and no large number is subtracted
afterwards.

`skdpnet.parts.maxima.cuda` calls the kernels. Without Triton this module can be
imported, but its functions are no kernels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # PyTorch installs Triton with its CUDA builds only.
    jit = None
else:
    jit = triton.jit

__all__ = [
    "Blocks",
    "choose_blocks",
    "describe",
    "maxima",
    "part_gradient",
    "response_gradient",
]

# The large blocks are for GPUs with at least this much shared memory, in bytes, for
# each program: A100, where they take 144 KB, and H100, where they take 176 KB.
_LARGE_BLOCKS_BYTES = 160 * 1024
# With up to this many channels K, a block of parts stays on the chip while the regions
# pass through it.
_MAX_CHANNELS_HELD = 256
# Regions and channels of a program of `describe`.
POOLING_BLOCK = {"REGIONS": 32, "CHANNELS": 64}
# Regions of each step of `part_gradient`; the gradients with respect to responses are
# padded to a multiple of them.
GRADIENT_REGIONS = 64
# Explicit, since Triton warns that the default is going to change.
COMPILER_OPTIONS = {"enable_fp_fusion": True}


class Blocks(NamedTuple):
    """Block sizes of the kernels: what one program computes at once.

    Attributes
    ----------
    dtype : torch.dtype
        The dtype of the factors of the products.
    channels : int
        K, padded to a multiple of the blocks' channels.
    responses : dict
        Constants and options of `maxima` and `response_gradient`.
    part_gradient : dict
        Constants and options of `part_gradient`.
    """

    dtype: torch.dtype
    channels: int
    responses: dict[str, int]
    part_gradient: dict[str, int]


def choose_blocks(device: torch.device, n_channels: int, exact: bool) -> Blocks:
    """Choose blocks that fit in a device's shared memory.

    They depend on K and not on the numbers of images, regions and parts, so that the
    kernels that the self-check has compiled and tried are those that run.

    Parameters
    ----------
    device : torch.device
    n_channels : int
        K.
    exact : bool
        Whether the factors of the products are float32.

    Returns
    -------
    Blocks
    """
    if exact:
        dtype, parts, regions, block, multiple = torch.float32, 64, 64, 32, 64
    elif _shared_memory(device) < _LARGE_BLOCKS_BYTES:
        dtype, parts, regions, block, multiple = torch.float16, 64, 64, 64, 64
    elif n_channels <= _MAX_CHANNELS_HELD:
        block = multiple = max(16, 1 << (n_channels - 1).bit_length())
        dtype, parts, regions = torch.float16, 128, 64 if block > 128 else 128
    else:
        dtype, parts, regions, block, multiple = torch.float16, 128, 128, 64, 128
    channels = multiple * math.ceil(n_channels / multiple)
    # With few channels the gradient is cut into small blocks, to occupy all
    # multiprocessors.
    large = multiple == 128 and channels > _MAX_CHANNELS_HELD
    gradient_block = 128 if large else 64
    return Blocks(
        dtype,
        channels,
        {
            "N_CHANNELS": channels,
            "PARTS": parts,
            "REGIONS": regions,
            "CHANNELS": block,
            "num_warps": 8 if parts == 128 else 4,
            "num_stages": 3,
            **COMPILER_OPTIONS,
        },
        {
            "N_CHANNELS": channels,
            "PARTS": gradient_block,
            "REGIONS": GRADIENT_REGIONS,
            "CHANNELS": min(gradient_block, channels),
            "num_warps": 8 if large else 4,
            "num_stages": 3,
            **COMPILER_OPTIONS,
        },
    )


def _shared_memory(device: torch.device) -> int:
    """Return the shared memory that a program may use, in bytes."""
    if device.type != "cuda":  # Triton's interpreter has no limits.
        return _LARGE_BLOCKS_BYTES
    properties = torch.cuda.get_device_properties(device)
    return getattr(properties, "shared_memory_per_block_optin", 0)


def _kernel(function):
    return function if jit is None else jit(function)


@_kernel
def describe(
    cells,
    boxes,
    scale,
    offset_scale,
    offset,
    descriptors,
    n_cells,
    width,
    n_regions,
    n_channels,
    n_out_channels,
    REGIONS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Descriptors X of a tile of regions and channels of one image.

    The cells of each region are summed one by one: the neighbouring regions have
    brought them into the cache. Channels beyond `n_channels` become 0.
    """
    image = tl.program_id(0).to(tl.int64)
    region = tl.program_id(1) * REGIONS + tl.arange(0, REGIONS)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    inside = region < n_regions
    present = channel < n_channels
    box = boxes + 4 * tl.minimum(region, n_regions - 1)
    top = tl.load(box)
    left = tl.load(box + 1)
    across = tl.load(box + 3) - left
    area = (tl.load(box + 2) - top) * across

    total = tl.zeros([REGIONS, CHANNELS], dtype=tl.float32)
    for i in range(0, tl.max(area, axis=0)):
        cell = (top + i // across) * width + left + i % across
        value = tl.load(
            cells + (image * n_cells + cell[:, None]) * n_channels + channel[None, :],
            mask=(i < area)[:, None] & present[None, :],
            other=0.0,
        )
        total += value.to(tl.float32)

    row = image * n_regions + region
    sum_scale = tl.load(scale + row, mask=inside, other=0.0) / area.to(tl.float32)
    mean = tl.load(offset + channel, mask=present, other=0.0)
    shift = tl.load(offset_scale + row, mask=inside, other=0.0)
    tl.store(
        descriptors + row[:, None] * n_out_channels + channel[None, :],
        total * sum_scale[:, None] - shift[:, None] * mean[None, :],
        mask=inside[:, None] & (channel < n_out_channels)[None, :],
    )


@_kernel
def _held(
    parts, part, N_CHANNELS: tl.constexpr, CHANNELS: tl.constexpr, PARTS: tl.constexpr
):
    """Load a block of parts (PARTS, K), if it fits on the chip; else return 0."""
    if CHANNELS == N_CHANNELS:
        channel = tl.arange(0, CHANNELS)
        return tl.load(parts + part[:, None] * N_CHANNELS + channel[None, :])
    else:
        return 0


@_kernel
def _responses(
    descriptors,
    region,
    parts,
    part,
    held,
    N_CHANNELS: tl.constexpr,
    REGIONS: tl.constexpr,
    PARTS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Compute a tile of responses (PARTS, REGIONS), from `held` parts if they fit."""
    channel = tl.arange(0, CHANNELS)
    regions_at = descriptors + region[None, :] * N_CHANNELS + channel[:, None]
    if CHANNELS == N_CHANNELS:
        return tl.dot(held, tl.load(regions_at), input_precision="ieee")
    else:
        parts_at = parts + part[:, None] * N_CHANNELS + channel[None, :]
        total = tl.zeros([PARTS, REGIONS], dtype=tl.float32)
        for first in range(0, N_CHANNELS, CHANNELS):
            total = tl.dot(
                tl.load(parts_at + first),
                tl.load(regions_at + first),
                total,
                input_precision="ieee",
            )
        return total


@_kernel
def maxima(
    descriptors,
    parts,
    maxima_out,
    argmax_out,
    n_regions,
    n_parts,
    beta_over_ln2,
    N_CHANNELS: tl.constexpr,
    SOFT: tl.constexpr,
    REGIONS: tl.constexpr,
    PARTS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Maxima of one image's responses to a block of parts.

    Exponentials are powers of 2, which the processor computes directly: ``exp(β S) =
    2^(beta_over_ln2 · S)``.
    """
    n_blocks = tl.cdiv(n_parts, PARTS)
    image = (tl.program_id(0) // n_blocks).to(tl.int64)
    part = tl.program_id(0) % n_blocks * PARTS + tl.arange(0, PARTS)
    # Parts beyond the last read the last one, which is cheaper than a mask; they are
    # not stored.
    real_part = tl.minimum(part, n_parts - 1)
    descriptors += image * n_regions * N_CHANNELS
    held = _held(parts, real_part, N_CHANNELS, CHANNELS, PARTS)

    highest = tl.full([PARTS], float("-inf"), dtype=tl.float32)
    total = tl.zeros([PARTS], dtype=tl.float32)
    argmax = tl.zeros([PARTS], dtype=tl.int32)
    for first in range(0, n_regions, REGIONS):
        region = first + tl.arange(0, REGIONS)
        tile = _responses(
            descriptors,
            tl.minimum(region, n_regions - 1),
            parts,
            real_part,
            held,
            N_CHANNELS,
            REGIONS,
            PARTS,
            CHANNELS,
        )
        tile = tl.where((region < n_regions)[None, :], tile, float("-inf"))
        if SOFT:
            higher = tl.maximum(highest, tl.max(tile, axis=1))
            rescaled = total * tl.exp2((highest - higher) * beta_over_ln2)
            added = tl.exp2((tile - higher[:, None]) * beta_over_ln2)
            total = rescaled + tl.sum(added, axis=1)
            highest = higher
        else:
            best, place = tl.max(tile, axis=1, return_indices=True)
            argmax = tl.where(best > highest, first + place, argmax)
            highest = tl.maximum(highest, best)

    out = image * n_parts + part
    if SOFT:
        highest += tl.log2(total / n_regions) / beta_over_ln2
    else:
        tl.store(argmax_out + out, argmax, mask=part < n_parts)
    tl.store(maxima_out + out, highest, mask=part < n_parts)


@_kernel
def response_gradient(
    descriptors,
    parts,
    soft_maxima,
    grad_maxima,
    grad_responses,
    n_images,
    n_regions,
    n_columns,
    n_parts,
    beta_over_ln2,
    N_CHANNELS: tl.constexpr,
    REGIONS: tl.constexpr,
    PARTS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Gradient with respect to the responses of one image to a block of parts.

    ``exp(β (S - maximum)) · grad_maxima``, of shape (P, n, columns): the regions and a
    padding of 0. The factor 1/R is in `grad_maxima`.
    """
    n_blocks = tl.cdiv(n_parts, PARTS)
    image = (tl.program_id(0) // n_blocks).to(tl.int64)
    part = tl.program_id(0) % n_blocks * PARTS + tl.arange(0, PARTS)
    real_part = tl.minimum(part, n_parts - 1)
    descriptors += image * n_regions * N_CHANNELS
    held = _held(parts, real_part, N_CHANNELS, CHANNELS, PARTS)

    maximum = tl.load(soft_maxima + image * n_parts + real_part)
    grad_maximum = tl.load(grad_maxima + image * n_parts + real_part)
    row = (part.to(tl.int64) * n_images + image) * n_columns
    for first in range(0, n_regions, REGIONS):
        region = first + tl.arange(0, REGIONS)
        tile = _responses(
            descriptors,
            tl.minimum(region, n_regions - 1),
            parts,
            real_part,
            held,
            N_CHANNELS,
            REGIONS,
            PARTS,
            CHANNELS,
        )
        weight = tl.exp2((tile - maximum[:, None]) * beta_over_ln2)
        tile = weight * grad_maximum[:, None]
        tl.store(
            grad_responses + row[:, None] + region[None, :],
            tl.where((region < n_regions)[None, :], tile, 0.0),
            mask=(part < n_parts)[:, None] & (region < n_columns)[None, :],
        )


@_kernel
def part_gradient(
    grad_responses,
    descriptors,
    grad_parts,
    n_images,
    n_regions,
    n_columns,
    n_parts,
    N_CHANNELS: tl.constexpr,
    REGIONS: tl.constexpr,
    PARTS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Add `grad_responses` times descriptors to `grad_parts` (P, K).

    The product sums over all images and regions. One program computes each block of
    it, so that the order of the sum is always the same.
    """
    part = tl.program_id(0) * PARTS + tl.arange(0, PARTS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    row = tl.minimum(part, n_parts - 1).to(tl.int64) * n_images
    total = tl.zeros([PARTS, CHANNELS], dtype=tl.float32)
    n_tiles = tl.cdiv(n_columns, REGIONS)
    for i in range(0, n_images * n_tiles):
        image = i // n_tiles
        region = i % n_tiles * REGIONS + tl.arange(0, REGIONS)
        weight = tl.load(
            grad_responses + (row[:, None] + image) * n_columns + region[None, :]
        )
        # In the padding the gradient is 0, and any finite descriptor will do.
        place = image.to(tl.int64) * n_regions + tl.minimum(region, n_regions - 1)
        value = tl.load(descriptors + place[:, None] * N_CHANNELS + channel[None, :])
        total = tl.dot(weight, value, total, input_precision="ieee")
    here = grad_parts + part[:, None] * N_CHANNELS + channel[None, :]
    mask = (part < n_parts)[:, None]
    tl.store(here, tl.load(here, mask=mask, other=0.0) + total, mask=mask)
