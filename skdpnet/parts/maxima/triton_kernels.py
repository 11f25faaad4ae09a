"""Triton kernels: part responses a tile at a time, never written to memory.

The regions' descriptors are formed first, centred, with unit length. So the product
that follows is a bare one, like that of attention, and its operands may be rounded to
float16: no number is larger than 1, and nothing large is taken off afterwards.
`fused` calls the kernels; without Triton this module imports, but holds no kernels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # PyTorch brings Triton along with CUDA only.
    jit = None
else:
    jit = triton.jit

__all__ = ["Blocks", "choose_blocks", "describe", "maxima", "pull", "slopes"]

# Shared memory in bytes that the large blocks take at most on the chips that have so
# much: A100 (they take 144 KB there) and H100 (176 KB).
_LARGE_BLOCKS_BYTES = 160 * 1024
# Parts whose K channels are up to so many stay on the chip while regions stream by.
_MOST_CHANNELS_HELD = 256
# Regions and channels that a program of `describe` pools.
POOLED = {"REGIONS": 32, "CHANNELS": 64}
# Regions of each step of `pull`: slopes have so many columns, or a multiple.
PULLED_REGIONS = 64
# Asked for in words, as Triton warns that its default is about to change.
OPTIONS = {"enable_fp_fusion": True}


class Blocks(NamedTuple):
    """What a program of the kernels works on at once.

    Attributes
    ----------
    dtype : torch.dtype
        Of the product's operands.
    channels : int
        K with channels of 0 added, such that no block is cut short.
    responses, pull : dict
        Constants and options of `maxima` and `slopes`, and of `pull`.
    """

    dtype: torch.dtype
    channels: int
    responses: dict[str, int]
    pull: dict[str, int]


def choose_blocks(device: torch.device, n_channels: int, exact: bool) -> Blocks:
    """Choose blocks that a device's shared memory holds.

    They depend on K alone, so that what was compiled and tried once is what runs,
    whatever the numbers of images, regions and parts.
    """
    if exact:
        dtype, parts, regions, block, multiple = torch.float32, 64, 64, 32, 64
    elif _shared_memory(device) < _LARGE_BLOCKS_BYTES:
        dtype, parts, regions, block, multiple = torch.float16, 64, 64, 64, 64
    elif n_channels <= _MOST_CHANNELS_HELD:
        block = multiple = max(16, 1 << (n_channels - 1).bit_length())
        dtype, parts, regions = torch.float16, 128, 64 if block > 128 else 128
    else:
        dtype, parts, regions, block, multiple = torch.float16, 128, 128, 64, 128
    channels = multiple * math.ceil(n_channels / multiple)
    # A sum of few channels is cut into small blocks, to keep all processors busy.
    pulled = 128 if multiple == 128 and channels > _MOST_CHANNELS_HELD else 64
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
            **OPTIONS,
        },
        {
            "N_CHANNELS": channels,
            "PARTS": pulled,
            "REGIONS": PULLED_REGIONS,
            "CHANNELS": min(pulled, channels),
            "num_warps": 8 if pulled == 128 else 4,
            "num_stages": 3,
            **OPTIONS,
        },
    )


def _shared_memory(device: torch.device) -> int:
    """Shared memory in bytes that a program may have."""
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
    drift,
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
    """Descriptors of a tile of one image's regions: pooled, centred, normalised.

    Each region adds up its own cells, which its neighbours have just brought into the
    cache. Channels beyond `n_channels` become 0.
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
    per_sum = tl.load(scale + row, mask=inside, other=0.0) / area.to(tl.float32)
    centre = tl.load(offset + channel, mask=present, other=0.0)
    own_drift = tl.load(drift + row, mask=inside, other=0.0)
    tl.store(
        descriptors + row[:, None] * n_out_channels + channel[None, :],
        total * per_sum[:, None] - own_drift[:, None] * centre[None, :],
        mask=inside[:, None] & (channel < n_out_channels)[None, :],
    )


@_kernel
def _held(
    parts, part, N_CHANNELS: tl.constexpr, CHANNELS: tl.constexpr, PARTS: tl.constexpr
):
    """Parts (PARTS, K) that fit on the chip whole; else a number nobody reads."""
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
    """Responses (PARTS, REGIONS) of a tile: regions along the rows' registers."""
    channel = tl.arange(0, CHANNELS)
    across = descriptors + region[None, :] * N_CHANNELS + channel[:, None]
    if CHANNELS == N_CHANNELS:
        return tl.dot(held, tl.load(across), input_precision="ieee")
    else:
        down = parts + part[:, None] * N_CHANNELS + channel[None, :]
        total = tl.zeros([PARTS, REGIONS], dtype=tl.float32)
        for first in range(0, N_CHANNELS, CHANNELS):
            total = tl.dot(
                tl.load(down + first),
                tl.load(across + first),
                total,
                input_precision="ieee",
            )
        return total


@_kernel
def maxima(
    descriptors,
    parts,
    highest_out,
    argument_out,
    n_regions,
    n_parts,
    sharpness,
    N_CHANNELS: tl.constexpr,
    SOFT: tl.constexpr,
    REGIONS: tl.constexpr,
    PARTS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Maxima of one image's responses for a block of parts.

    `sharpness` is β / ln 2, as the processor's exponential is that of base 2.
    """
    n_blocks = tl.cdiv(n_parts, PARTS)
    image = (tl.program_id(0) // n_blocks).to(tl.int64)
    part = tl.program_id(0) % n_blocks * PARTS + tl.arange(0, PARTS)
    # Beyond the last one it is read again, rather than masked, and then left out.
    real_part = tl.minimum(part, n_parts - 1)
    descriptors += image * n_regions * N_CHANNELS
    held = _held(parts, real_part, N_CHANNELS, CHANNELS, PARTS)

    highest = tl.full([PARTS], float("-inf"), dtype=tl.float32)
    total = tl.zeros([PARTS], dtype=tl.float32)
    argument = tl.zeros([PARTS], dtype=tl.int32)
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
            kept = total * tl.exp2((highest - higher) * sharpness)
            added = tl.exp2((tile - higher[:, None]) * sharpness)
            total = kept + tl.sum(added, axis=1)
            highest = higher
        else:
            best, place = tl.max(tile, axis=1, return_indices=True)
            argument = tl.where(best > highest, first + place, argument)
            highest = tl.maximum(highest, best)

    out = image * n_parts + part
    if SOFT:
        highest += tl.log2(total / n_regions) / sharpness
    else:
        tl.store(argument_out + out, argument, mask=part < n_parts)
    tl.store(highest_out + out, highest, mask=part < n_parts)


@_kernel
def slopes(
    descriptors,
    parts,
    soft_maxima,
    gradient,
    out,
    n_images,
    n_regions,
    n_columns,
    n_parts,
    sharpness,
    N_CHANNELS: tl.constexpr,
    REGIONS: tl.constexpr,
    PARTS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Slopes at the responses of one image to a block of parts.

    ``exp(β (S - maximum)) · gradient``, numbered part, image, region, and 0 in the
    padding.
    """
    n_blocks = tl.cdiv(n_parts, PARTS)
    image = (tl.program_id(0) // n_blocks).to(tl.int64)
    part = tl.program_id(0) % n_blocks * PARTS + tl.arange(0, PARTS)
    real_part = tl.minimum(part, n_parts - 1)
    descriptors += image * n_regions * N_CHANNELS
    held = _held(parts, real_part, N_CHANNELS, CHANNELS, PARTS)

    maximum = tl.load(soft_maxima + image * n_parts + real_part)
    slope = tl.load(gradient + image * n_parts + real_part)
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
        tile = tl.exp2((tile - maximum[:, None]) * sharpness) * slope[:, None]
        tl.store(
            out + row[:, None] + region[None, :],
            tl.where((region < n_regions)[None, :], tile, 0.0),
            mask=(part < n_parts)[:, None] & (region < n_columns)[None, :],
        )


@_kernel
def pull(
    slopes,
    descriptors,
    out,
    n_images,
    n_regions,
    n_columns,
    n_parts,
    N_CHANNELS: tl.constexpr,
    REGIONS: tl.constexpr,
    PARTS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Add slopes times descriptors, over all images and regions, to (P, K).

    One program owns each block of the sum, so the order of addition never changes.
    """
    part = tl.program_id(0) * PARTS + tl.arange(0, PARTS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    row = tl.minimum(part, n_parts - 1).to(tl.int64) * n_images
    total = tl.zeros([PARTS, CHANNELS], dtype=tl.float32)
    n_tiles = tl.cdiv(n_columns, REGIONS)
    for i in range(0, n_images * n_tiles):
        image = i // n_tiles
        region = i % n_tiles * REGIONS + tl.arange(0, REGIONS)
        slope = tl.load(slopes + (row[:, None] + image) * n_columns + region[None, :])
        # Slopes in the padding are 0; what they multiply must only be finite.
        place = image.to(tl.int64) * n_regions + tl.minimum(region, n_regions - 1)
        value = tl.load(descriptors + place[:, None] * N_CHANNELS + channel[None, :])
        total = tl.dot(slope, value, total, input_precision="ieee")
    here = out + part[:, None] * N_CHANNELS + channel[None, :]
    mask = (part < n_parts)[:, None]
    tl.store(here, tl.load(here, mask=mask, other=0.0) + total, mask=mask)
