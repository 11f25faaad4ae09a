"""Maxima of parts' responses and their gradients, without holding all responses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from skdpnet.parts.maxima import cuda as fused
from skdpnet.parts.maxima.buffers import Scratch
from skdpnet.parts.maxima.pooling_order import (
    Kept,
    PoolingFirst,
    ProjectionFirst,
    choose_way,
)
from skdpnet.parts.maxima.threads import n_side_by_side, side_by_side
from skdpnet.parts.responses import SMALL_BETA, cosine_factors
from skdpnet.regions import RegionGrid

__all__ = ["part_maxima"]

# Some images, and some parts.
_Piece = tuple[slice, slice]

# Responses of so many bytes at once: what the caches of a processor hold together with
# what they are made of, and enough work for a GPU.
_PIECE_BYTES = {"cpu": 3 * 2**20}
_PIECE_BYTES_ELSEWHERE = 256 * 2**20
# With fewer, handing Python from thread to thread takes longer than it gains.
_PIECES_A_THREAD = 4
# exp(a S) of cosines fits float32 up to this a without taking off the largest first,
# even of cosines in bfloat16 that rounding has made twice as large as they can be.
_LARGEST_PLAIN_FACTOR = 40.0


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
    images and parts at a time, so that the responses of all regions to all parts are
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
        Whether the kernels of `skdpnet.parts.maxima.cuda`, whose operands are float16,
        may work it out where they serve: on CUDA, and without a temperature.

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
    # An autocast around it would round what is to be exact here.
    with torch.autocast(cells.device.type, enabled=False):
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
        n_threads = _n_threads(n, len(parts), a_part, parts.device)
        whole = temperature is not None
        pieces = list(_pieces(parts, n, a_part, n_threads, whole=whole))
        maxima = cells.new_empty(n, len(parts))

        def respond(own: Sequence[_Piece]):
            return _respond(
                way.with_own_memory(), own, maxima, beta, sharpness, temperature, learns
            )

        done = side_by_side(respond, pieces, n_threads)
        kept = [one for some, _, _ in done for one in some]
        n_claims = max(1, n * grid.n_regions)
        unclaimed = sum([entropy for _, entropy, _ in done], cells.new_zeros(()))
        pulls = [own for _, _, own in done if own is not None]
        pull = sum(pulls) / n_claims if pulls else None
        # Not the way itself, whose memory would stay as long as the graph does.
        each = [tensor for own in kept for tensor in own]
        ctx.save_for_backward(*given, way.factor, pull, *each)
        ctx.choice, ctx.grid, ctx.dtype = choice, grid, dtype
        ctx.hard, ctx.pieces, ctx.n_threads = beta is None, pieces, n_threads
        return maxima, unclaimed / n_claims

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slopes, unclaimed_slope):
        saved = ctx.saved_tensors
        given, (factor, pull), kept = saved[:5], saved[5:7], saved[7:]
        way = ctx.choice(*given, ctx.grid, ctx.dtype, factor)
        each = len(kept) // max(1, len(ctx.pieces))
        jobs = [
            (piece, kept[i * each : (i + 1) * each])
            for i, piece in enumerate(ctx.pieces)
        ]

        def learn(own: Sequence[tuple[_Piece, Kept]]) -> torch.Tensor:
            return _learn(way.with_own_memory(), own, slopes, ctx.hard)

        with torch.autocast(slopes.device.type, enabled=False):
            learnt = side_by_side(learn, jobs, ctx.n_threads)
        gradient = sum(learnt, torch.zeros_like(given[4]))
        if pull is not None:
            gradient += unclaimed_slope * pull
        return gradient, *[None] * 8


def _respond(
    way: PoolingFirst | ProjectionFirst,
    pieces: Sequence[_Piece],
    maxima: torch.Tensor,
    beta: float | None,
    sharpness: float,
    temperature: float | None,
    learns: bool,
) -> tuple[list[Kept], torch.Tensor, torch.Tensor | None]:
    """Work out the maxima of some pieces, into `maxima`.

    Returns
    -------
    kept : list of tuples of tensors
        What `_learn` wants of each piece.
    unclaimed : scalar tensor
        Sum of the entropies of their regions over the parts.
    pull : tensor of shape (P, K) or None
        Gradient of that sum; None: nobody asks for one.
    """
    kept: list[Kept] = []
    unclaimed = maxima.new_zeros(())
    pull = way.start() if learns and temperature is not None else None
    scratch = Scratch(maxima.device)
    for some, block in pieces:
        responses = way.responses(some, block)
        if temperature is not None:
            entropy, slopes, per_region = _entropy(
                responses, sharpness, temperature, learns, scratch
            )
            unclaimed += entropy
            if pull is not None and slopes is not None:
                way.add(pull, some, block, way.carry(some, slopes, per_region))
        if beta is None and learns:
            values, argument = responses.max(dim=1)
            maxima[some, block] = values
            kept.append((argument,))
        elif beta is None:
            maxima[some, block] = responses.amax(dim=1)
        else:
            maxima[some, block], total = _log_mean_exp(responses, beta)
            if learns:
                kept.append((*way.carry(some, responses), total))
    return kept, unclaimed, None if pull is None else way.total(pull)


def _learn(
    way: PoolingFirst | ProjectionFirst,
    jobs: Sequence[tuple[_Piece, Kept]],
    slopes: torch.Tensor,
    hard: bool,
) -> torch.Tensor:
    """Gradient (P, K) at the parts of some pieces' maxima, whose slopes are (N, P)."""
    sums = way.start()
    for (some, block), kept in jobs:
        slope = slopes[some, block]
        if hard:
            way.gather(sums, some, block, kept[0], slope)
        else:
            *carried, total = kept
            way.add(sums, some, block, tuple(carried), slope / total)
    return way.total(sums)


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
    parts: torch.Tensor, n: int, a_part: int, n_threads: int, *, whole: bool
) -> Iterator[_Piece]:
    """Cut n images, and parts unless whole, so that a piece's responses are few.

    And so that the threads have about as many of them each. Responses to a part take
    `a_part` bytes an image.
    """
    most = _PIECE_BYTES.get(parts.device.type, _PIECE_BYTES_ELSEWHERE)
    n_parts = len(parts)
    n_blocks = 1 if whole else math.ceil(n_parts * a_part / most)
    width = math.ceil(n_parts / n_blocks)
    highest = max(1, min(most // (width * a_part), math.ceil(n / n_threads)))

    def longest_share(height: int) -> int:
        return height * math.ceil(math.ceil(n / height) * n_blocks / n_threads)

    # The highest of those that let no thread wait for long.
    height = min(range(highest, highest // 2, -1), key=longest_share)
    for first in range(0, n, height):
        for part in range(0, n_parts, width):
            yield (
                slice(first, min(n, first + height)),
                slice(part, min(n_parts, part + width)),
            )


def _n_threads(n: int, n_parts: int, a_part: int, device: torch.device) -> int:
    """Tell how many threads shall have pieces of their own; one: there are too few."""
    n_threads = n_side_by_side(device)
    least = _PIECES_A_THREAD * _PIECE_BYTES.get(device.type, 0)
    return n_threads if n * n_parts * a_part >= n_threads * least else 1


def _log_mean_exp(
    responses: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft maxima (n, P) of responses times β.

    These become exponentials, whose sums are (n, P).
    """
    if beta < SMALL_BETA:
        mean = responses.expm1_().mean(dim=1)
        return torch.log1p(mean) / beta, responses.add_(1).sum(dim=1)
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
