"""Responses of parts to regions, and their hard or soft maximum over the regions.

Symbols, for one image, here and in `skdpnet.parts.maxima`:

F (H·W, D)
    The feature map, a row for each cell.
T (D, K), m (K,)
    The projection of the whitening, and the whitened mean: the mean times T.
W (R, H·W)
    Average pooling: the mean over the cells of each region.
X (R, K)
    Region descriptors: ``W(F T) - ‖W F‖ m``, whose rows are divided by their norms.
U (P, K)
    Parts, with unit rows.
S (R, P)
    Responses, ``S = X Uᵀ``: the cosine of each region and each part.
b (P,)
    Maxima of the responses over the regions.
"""

from __future__ import annotations

import math

import torch

from skdpnet.regions.grid import RegionGrid

__all__ = ["SMALL_BETA", "cosine_factors", "part_responses", "soft_maximum"]

# For smaller β a soft maximum is computed from exp(β S) - 1: all exp(β S) are close to
# 1, and the logarithm of their mean would be mostly rounding.
SMALL_BETA = 1.0
# A difference of a few rounding errors of its operands is itself rounding.
_ROUNDING_ERRORS = 8


def part_responses(
    cells: torch.Tensor,
    lengths: torch.Tensor,
    norms: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
) -> torch.Tensor:
    """Cosine of every region's whitened descriptor with every part, ``S = X Uᵀ``.

    The projection on the parts comes before the pooling, ``S = (W(F T Uᵀ) - ‖W F‖ m
    Uᵀ) / norms``, which saves the products of regions and parts: X is never computed.
    A region of norm zero responds with 0.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K)
        The whitened cells ``F T``.
    lengths, norms : tensor of shape (N, R)
        See `WhitenedMaps`.
    offset : tensor of shape (K,)
        The whitened mean m.
    parts : tensor of shape (P, K)
        U, with unit rows.
    grid : RegionGrid

    Returns
    -------
    tensor of shape (N, R, P), within [-1, 1] up to rounding
    """
    scale, offset_scale = cosine_factors(lengths, norms, offset)
    pooled = torch.cat(list(grid.pool(cells @ parts.T)), dim=1)
    return pooled * scale[..., None] - offset_scale[..., None] * (parts @ offset)


def soft_maximum(responses: torch.Tensor, beta: float | None) -> torch.Tensor:
    """Maximum over the regions, hard or soft.

    The soft maximum ``b_p = (1/β) log (1/R) Σ_r exp(β S_rp)`` lies between the mean
    (β → 0) and the maximum (β → ∞), and so within the range of the responses.

    Parameters
    ----------
    responses : tensor of shape (N, R, P)
    beta : float > 0 or None
        β; None: the hard maximum.

    Returns
    -------
    tensor of shape (N, P)
    """
    if beta is None:
        return responses.amax(dim=1)
    if beta < SMALL_BETA:
        return torch.log1p(torch.expm1(beta * responses).mean(dim=1)) / beta
    summed = torch.logsumexp(beta * responses, dim=1)
    return (summed - math.log(responses.shape[1])) / beta


def cosine_factors(
    lengths: torch.Tensor,
    norms: torch.Tensor,
    offset: torch.Tensor,
    dtype: torch.dtype | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors of the pooled cells and of the whitened mean in X and S.

    ``X = W(F T) * scale - offset_scale * m``, and so ``S = W(F T Uᵀ) * scale -
    offset_scale * (U m)``: ``scale = 1 / norms``, ``offset_scale = lengths / norms``.

    Parameters
    ----------
    lengths, norms : tensor of shape (N, R)
        See `WhitenedMaps`.
    offset : tensor of shape (K,)
        The whitened mean m.
    dtype : torch.dtype or None
        The dtype that the pooled values were rounded to, where it is less precise
        than that of the norms.

    Returns
    -------
    scale, offset_scale : tensor of shape (N, R)
        0 for a region whose norm is zero, or not distinguishable from zero in this
        precision.
    """
    # The norm is that of a difference of two vectors of length ‖W F‖ ‖m‖, or nearly
    # so, wherever it is small: rounding errors are relative to that length.
    eps = _ROUNDING_ERRORS * torch.finfo(norms.dtype).eps
    if dtype is not None:
        eps = max(eps, torch.finfo(dtype).eps)
    floor = eps * (lengths * offset.norm()).clamp(min=1e-12)
    scale = torch.where(norms > floor, 1 / norms.clamp(min=1e-30), 0)
    return scale, lengths * scale
