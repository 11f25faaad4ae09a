"""Maxima of parts' responses and their gradients, without holding all responses."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from skdpnet import fused
from skdpnet.regions import RegionGrid
from skdpnet.responses import cosine_factors
from skdpnet.scratch import Scratch
from skdpnet.ways import choose_way

__all__ = ["part_maxima"]

# Responses of so many bytes at once: what the caches of a processor hold together with
# what they are made of, and enough work for a GPU.
_PIECE_BYTES = {"cpu": 3 * 2**20}
_PIECE_BYTES_ELSEWHERE = 256 * 2**20
# exp(a S) of cosines fits float32 up to this a without taking off the largest first.
_LARGEST_PLAIN_FACTOR = 60.0


def part_maxima(
    cells: torch.Tensor,
    lengths: torch.Tensor,
    norms: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
    *,
    beta: float | None,
    temperature: float | None = None,
    dtype: torch.dtype | None = None,
    kernels: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maxima of all parts' responses, and how unclearly the parts claim the regions.

    `soft_maximum` and `losses.assignment` of `part_responses`, worked out a few
    pictures and parts at a time, so that the responses of all regions to all parts are
    never held together. Their gradients reach `parts` alone: for hard maxima through
    the region of each maximum, for soft ones through one number a part and cell, or a
    part and channel.

    Parameters
    ----------
    cells, lengths, norms, offset, parts, grid
        As in `part_responses`; constants but for `parts`.
    beta : float > 0 or None
        See `soft_maximum`.
    temperature : float > 0 or None
        Of the assignment penalty; None: it is not worked out.
    dtype : torch.dtype or None
        Of the factors of products with parts, and of those of the gradient; None: that
        of the cells, in which what comes of the products is added up.
    kernels : bool
        Whether the kernels of `skdpnet.fused`, whose operands are float16, may work it
        out where they serve: on CUDA, and without a temperature.

    Returns
    -------
    maxima : tensor of shape (N, P)
    unclaimed : scalar tensor
        The assignment penalty; 0 without a temperature.
    """
    if kernels and temperature is None and fused.usable(cells, beta):
        scale, drift = cosine_factors(lengths, norms, offset)
        maxima = _FusedMaxima.apply(parts, cells, scale, drift, offset, grid, beta)
        return maxima, cells.new_zeros(())
    if not torch.is_grad_enabled():
        # The function is told of gradients that nobody will ask for.
        parts = parts.detach()
    return _Maxima.apply(
        parts, cells, lengths, norms, offset, grid, beta, temperature, dtype
    )


class _Maxima(torch.autograd.Function):
    """See `part_maxima`."""

    @staticmethod
    def forward(
        ctx, parts, cells, lengths, norms, offset, grid, beta, temperature, dtype
    ):
        n, learns = len(cells), ctx.needs_input_grad[0]
        choice = choose_way(cells, grid, dtype, beta, learns)
        # Responses come β times as large, which costs nothing here.
        sharpness = beta or 1.0
        given = cells, lengths, norms, offset, parts * sharpness
        way = choice(*given, grid, dtype)
        a_part = grid.n_regions * way.itemsize
        pieces = list(_pieces(parts, n, a_part, whole=temperature is not None))
        kept: list[torch.Tensor] = []
        maxima = cells.new_empty(n, len(parts))
        unclaimed, pull = cells.new_zeros(()), way.start()
        scratch = Scratch(cells.device)

        for some, block in pieces:
            responses = way.responses(some, block)
            if temperature is not None:
                entropy, slopes, per_region = _entropy(
                    responses, sharpness, temperature, learns, scratch
                )
                unclaimed += entropy
                if learns:
                    carried = way.carry(some, slopes, per_region)
                    way.add(pull, some, block, carried)
            if beta is None and learns:
                values, argument = responses.max(dim=1)
                maxima[some, block] = values
                kept.append(argument)
            elif beta is None:
                maxima[some, block] = responses.amax(dim=1)
            else:
                maxima[some, block], total = _log_mean_exp(responses, beta)
                if learns:
                    kept += [*way.carry(some, responses), total]

        n_claims = n * grid.n_regions
        # Not the way itself, whose memory would stay as long as the graph does.
        pull = way.total(pull) / n_claims
        ctx.save_for_backward(*given, way.factor, pull, *kept)
        ctx.choice, ctx.grid, ctx.dtype = choice, grid, dtype
        ctx.hard, ctx.pieces = beta is None, pieces
        return maxima, unclaimed / n_claims

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slopes, unclaimed_slope):
        saved = ctx.saved_tensors
        given, (factor, pull), kept = saved[:5], saved[5:7], saved[7:]
        way = ctx.choice(*given, ctx.grid, ctx.dtype, factor)
        sums, gradient = way.start(), unclaimed_slope * pull
        each = len(kept) // len(ctx.pieces)
        for i, (some, block) in enumerate(ctx.pieces):
            here, slope = kept[i * each : (i + 1) * each], slopes[some, block]
            if ctx.hard:
                gradient[block] += way.gather(some, here[0], slope)
            else:
                *carried, total = here
                way.add(sums, some, block, tuple(carried), slope / total)
        return gradient.add_(way.total(sums)), *[None] * 8


class _FusedMaxima(torch.autograd.Function):
    """See `part_maxima`; by kernels."""

    @staticmethod
    def forward(ctx, parts, cells, scale, drift, offset, grid, beta):
        inputs = cells, scale, drift, offset, parts
        maxima, argument = fused.fused_maxima(*inputs, grid, beta)
        ctx.save_for_backward(*inputs, maxima if argument is None else argument)
        ctx.grid, ctx.beta = grid, beta
        return maxima

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slopes):
        *inputs, kept = ctx.saved_tensors
        gradient = fused.fused_gradient(*inputs, ctx.grid, ctx.beta, kept, slopes)
        return gradient, *[None] * 6


def _pieces(
    parts: torch.Tensor, n: int, a_part: int, whole: bool
) -> Iterator[tuple[slice, slice]]:
    """Cut n pictures, and parts unless whole, so that a piece's responses are few.

    Responses to a part take `a_part` bytes a picture.
    """
    most = _PIECE_BYTES.get(parts.device.type, _PIECE_BYTES_ELSEWHERE)
    n_parts = len(parts)
    n_blocks = 1 if whole else math.ceil(n_parts * a_part / most)
    width = math.ceil(n_parts / n_blocks)
    height = max(1, most // (width * a_part))
    for first in range(0, n, height):
        for part in range(0, n_parts, width):
            yield (
                slice(first, min(n, first + height)),
                slice(part, min(n_parts, part + width)),
            )


def _log_mean_exp(
    responses: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft maxima (n, P) of responses times β.

    These become exponentials, whose sums are (n, P).
    """
    shift = torch.zeros((), device=responses.device)
    if beta > _LARGEST_PLAIN_FACTOR:
        shift = responses.amax(dim=1)
        responses.sub_(shift[:, None])
    # Added up in float32 whatever they are, and rounded once; asked for, a wider sum
    # copies them first.
    total = responses.exp_().sum(dim=1).to(_wide(responses))
    maxima = (torch.log(total / responses.shape[1]) + shift) / beta
    return maxima, total


def _entropy(
    responses: torch.Tensor,
    sharpness: float,
    temperature: float,
    learns: bool,
    scratch: Scratch,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Sum of the regions' entropies over parts, and its slopes at the cosines.

    Responses are cosines times the sharpness. The slopes are (n, R, P) times (n, R),
    which is cheaper to multiply by later.
    """
    z = _like(responses, _wide(responses), "z", scratch)
    z.copy_(responses).div_(sharpness * temperature)
    if 1 / temperature > _LARGEST_PLAIN_FACTOR:
        z -= z.amax(dim=2, keepdim=True)
    weights = torch.exp(z, out=_like(z, z.dtype, "weights", scratch))
    total = weights.sum(dim=2)
    # H = log Σ w - Σ w z / Σ w, of w = exp z, falls by w (z - Σ w z / Σ w) / Σ w.
    product = z.mul_(weights)
    mean = product.sum(dim=2) / total
    entropies = torch.log(total) - mean
    if not learns:
        return entropies.sum(), None, total
    slopes = product.addcmul_(weights, mean[..., None], value=-1)
    if slopes.dtype != responses.dtype:
        slopes = _like(slopes, responses.dtype, "slopes", scratch).copy_(slopes)
    return entropies.sum(), slopes, -1 / (temperature * total)


def _like(
    given: torch.Tensor, dtype: torch.dtype, name: str, scratch: Scratch
) -> torch.Tensor:
    """Return memory for (n, R, P) that lies as what is given does."""
    n, n_regions, n_parts = given.shape
    if given.stride(1) == 1:
        return scratch(name, (n, n_parts, n_regions), dtype).transpose(1, 2)
    return scratch(name, (n, n_regions, n_parts), dtype)


def _wide(responses: torch.Tensor) -> torch.dtype:
    """Return the precision that sums over responses have."""
    return torch.promote_types(responses.dtype, torch.float32)
