"""Responses of parts to regions, and their maxima without holding all responses."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from skdpnet import fused
from skdpnet.regions import RegionGrid

__all__ = ["part_maxima", "part_responses", "soft_maximum"]

# Responses of so many bytes at once: what the caches of a processor hold together with
# what they are made of, and enough work for a GPU.
_PIECE_BYTES = {"cpu": 3 * 2**20}
_PIECE_BYTES_ELSEWHERE = 256 * 2**20
# exp(β S) of cosines fits float32 up to here without taking off the largest first.
_LARGEST_PLAIN_BETA = 60.0


def part_responses(
    cells: torch.Tensor,
    lengths: torch.Tensor,
    norms: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
) -> torch.Tensor:
    """Cosine of every region's whitened descriptor with every part, S = U Xᵀ.

    The projection on the parts comes before the pooling, ``(W(F T Uᵀ) - ‖W F‖ (mean
    T) Uᵀ) / norm``, so the regions' descriptors are never formed. A region of norm
    zero responds with 0.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K)
    lengths, norms : tensor of shape (N, R)
        See `WhitenedMaps`.
    offset : tensor of shape (K,)
        The whitened mean.
    parts : tensor of shape (P, K)
        Unit rows.
    grid : RegionGrid

    Returns
    -------
    tensor of shape (N, R, P), within [-1, 1] up to rounding
    """
    scale, drift = _factors(lengths, norms, offset)
    pooled = torch.cat(list(grid.pool(cells @ parts.T)), dim=1)
    return pooled * scale[..., None] - drift[..., None] * (parts @ offset)


def soft_maximum(responses: torch.Tensor, beta: float | None) -> torch.Tensor:
    """Maximum over the regions, hard or soft.

    ``b_p = (1/β) log (1/R) Σ_r exp(β S_pr)``: between the mean (β → 0) and the
    maximum (β → ∞), and like both it stays within the range of the responses.

    Parameters
    ----------
    responses : tensor of shape (N, R, P)
    beta : float > 0 or None
        None: the hard maximum.

    Returns
    -------
    tensor of shape (N, P)
    """
    if beta is None:
        return responses.amax(dim=1)
    summed = torch.logsumexp(beta * responses, dim=1)
    return (summed - math.log(responses.shape[1])) / beta


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
    the region of each maximum, for soft ones through one number a cell and part.

    Parameters
    ----------
    cells, lengths, norms, offset, parts, grid
        As in `part_responses`; constants but for `parts`.
    beta : float > 0 or None
        See `soft_maximum`.
    temperature : float > 0 or None
        Of the assignment penalty; None: it is not worked out.
    dtype : torch.dtype or None
        Of the factors of the products of cells with parts, and of those of the
        gradient; None: that of the cells. What comes of them is added up in the cells'.
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
        scale, drift = _factors(lengths, norms, offset)
        maxima = _FusedMaxima.apply(parts, cells, scale, drift, offset, grid, beta)
        return maxima, cells.new_zeros(())
    if not torch.is_grad_enabled():
        # The function is told of gradients that nobody will ask for.
        parts = parts.detach()
    return _Maxima.apply(
        parts, cells, lengths, norms, offset, grid, beta, temperature, dtype
    )


def _factors(
    lengths: torch.Tensor, norms: torch.Tensor, offset: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what pooled projections are multiplied by, and how much they drift.

    ``S = pooled * scale - drift * (parts @ offset)``, both (N, R).
    """
    # Compared with what it is the rest of: a difference below rounding is zero.
    floor = torch.finfo(norms.dtype).eps * (lengths * offset.norm()).clamp(min=1e-12)
    scale = torch.where(norms > floor, 1 / norms.clamp(min=1e-30), 0)
    return scale, lengths * scale


class _Maxima(torch.autograd.Function):
    """See `part_maxima`."""

    @staticmethod
    def forward(
        ctx, parts, cells, lengths, norms, offset, grid, beta, temperature, dtype
    ):
        scale, drift = _factors(lengths, norms, offset)
        per_sum = scale / torch.from_numpy(grid.areas).to(scale)
        constant = parts @ offset
        factors = (
            (cells, parts) if dtype is None else (cells.to(dtype), parts.to(dtype))
        )
        n, whole = len(cells), temperature is not None
        learns = ctx.needs_input_grad[0]
        pieces = list(_pieces(parts, n, grid.n_regions, whole))
        kept: list[torch.Tensor] = []
        maxima = cells.new_empty(n, len(parts))
        unclaimed = cells.new_zeros(())
        pull, fall = torch.zeros_like(parts), cells.new_zeros(len(parts))

        for some, block in pieces:
            own = factors[0][some]
            projected = (own @ factors[1][block].T).to(cells.dtype)
            region = per_sum[some, :, None], drift[some, :, None]
            responses = _pooled(projected, region[0], grid)
            responses.addcmul_(region[1], constant[block], value=-1)
            if temperature is not None:
                entropy, slopes = _entropy(responses, temperature, learns)
                unclaimed += entropy
                if slopes is not None:
                    at_cells, at_drift = _to_cells(slopes, region, grid)
                    pull += _product(at_cells.to(own.dtype), own)
                    fall += at_drift.sum(dim=0)
            if beta is None and learns:
                maxima[some, block], argument = responses.max(dim=1)
                kept.append(argument)
            elif beta is None:
                maxima[some, block] = responses.amax(dim=1)
            else:
                maxima[some, block], total = _log_mean_exp(responses, beta)
                if learns:
                    at_cells, at_drift = _to_cells(responses, region, grid)
                    kept += [at_cells.to(own.dtype), at_drift, total]

        pull -= torch.outer(fall, offset)
        n_claims = n * grid.n_regions
        # The regions of hard maxima are gathered exactly: no product is saved there.
        saved = cells if beta is None else factors[0]
        ctx.save_for_backward(saved, per_sum, drift, offset, pull / n_claims, *kept)
        ctx.grid, ctx.hard, ctx.pieces = grid, beta is None, pieces
        return maxima, unclaimed / n_claims

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slopes, unclaimed_slope):
        cells, per_sum, drift, offset, pull, *kept = ctx.saved_tensors
        gradient = unclaimed_slope * pull
        fall = torch.zeros_like(gradient[:, 0])
        each = len(kept) // len(ctx.pieces)
        for i, (some, block) in enumerate(ctx.pieces):
            here = kept[i * each : (i + 1) * each]
            own, slope = cells[some], slopes[some, block]
            if ctx.hard:
                sums = torch.cat(list(ctx.grid.sums(own)), dim=1)
                regions = sums * per_sum[some, :, None] - drift[some, :, None] * offset
                gradient[block] += _gather(regions, here[0], slope)
            else:
                at_cells, at_drift, total = here
                slope = slope / total
                weighed = at_cells * slope[:, None].to(at_cells.dtype)
                gradient[block] += _product(weighed, own)
                fall[block] += (at_drift * slope).sum(dim=0)
        return gradient - torch.outer(fall, offset), *[None] * 8


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
    parts: torch.Tensor, n: int, n_regions: int, whole: bool
) -> Iterator[tuple[slice, slice]]:
    """Cut n pictures, and parts unless whole, so that a piece's responses are few."""
    most = _PIECE_BYTES.get(parts.device.type, _PIECE_BYTES_ELSEWHERE)
    n_parts, a_part = len(parts), n_regions * parts.element_size()
    n_blocks = 1 if whole else math.ceil(n_parts * a_part / most)
    width = math.ceil(n_parts / n_blocks)
    height = max(1, most // (width * a_part))
    for first in range(0, n, height):
        for part in range(0, n_parts, width):
            yield (
                slice(first, min(n, first + height)),
                slice(part, min(n_parts, part + width)),
            )


def _pooled(
    projected: torch.Tensor, per_sum: torch.Tensor, grid: RegionGrid
) -> torch.Tensor:
    """Sum projected cells over the regions, (n, R, P), times a number a region."""
    n, _, width = projected.shape
    out = projected.new_empty(n, grid.n_regions, width)
    first = 0
    for summed in grid.sums(projected):
        here = slice(first, first + summed.shape[1])
        torch.mul(summed, per_sum[:, here], out=out[:, here])
        first = here.stop
    return out


def _log_mean_exp(
    responses: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft maxima (n, P); the responses become exponentials, whose sums are (n, P)."""
    responses.mul_(beta)
    shift = torch.zeros((), dtype=responses.dtype, device=responses.device)
    if beta > _LARGEST_PLAIN_BETA:
        shift = responses.amax(dim=1)
        responses.sub_(shift[:, None])
    total = responses.exp_().sum(dim=1)
    maxima = (torch.log(total / responses.shape[1]) + shift) / beta
    return maxima, total


def _entropy(
    responses: torch.Tensor, temperature: float, learns: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Sum of the regions' entropies over parts, and its slopes (n, R, P)."""
    log_share = F.log_softmax(responses / temperature, dim=-1)
    share = log_share.exp()
    entropies = -(share * log_share).sum(dim=-1, keepdim=True)
    if not learns:
        return entropies.sum(), None
    slopes = log_share.add_(entropies).mul_(share).div_(-temperature)
    return entropies.sum(), slopes


def _to_cells(
    slopes: torch.Tensor, region: tuple[torch.Tensor, torch.Tensor], grid: RegionGrid
) -> tuple[torch.Tensor, torch.Tensor]:
    """Carry slopes at the responses, (n, R, P), on to the cells and to the drift.

    Returns (n, H·W, P) and (n, P). The slopes are overwritten.
    """
    per_sum, drift = region
    at_drift = (drift.transpose(1, 2) @ slopes)[:, 0]
    return grid.spread(slopes.mul_(per_sum)), at_drift


def _product(at_cells: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Gradient (P, K) at the parts, of slopes at the projected cells (n, H·W, P)."""
    return at_cells.flatten(0, 1).T @ cells.flatten(0, 1)


def _gather(
    regions: torch.Tensor, argument: torch.Tensor, slopes: torch.Tensor
) -> torch.Tensor:
    """Sum of the descriptors (P, K) where the maxima are, times the slopes (n, P)."""
    n, n_regions, _ = regions.shape
    first = torch.arange(n, device=regions.device) * n_regions
    return F.embedding_bag(
        (argument + first[:, None]).T.contiguous(),
        regions.flatten(0, 1),
        per_sample_weights=slopes.T.contiguous(),
        mode="sum",
    )
