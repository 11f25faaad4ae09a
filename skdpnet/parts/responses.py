"""Responses of parts to regions, and what a maximum of them is."""

from __future__ import annotations

import math

import torch

from skdpnet.regions import RegionGrid

__all__ = ["SMALL_BETA", "cosine_factors", "part_responses", "soft_maximum"]

# Below it exponentials are taken less 1, or what is left of them after the logarithm
# would be rounding.
SMALL_BETA = 1.0
# A norm of so few roundings of what it is the rest of is itself rounding.
_ROUNDINGS = 8


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
    scale, drift = cosine_factors(lengths, norms, offset)
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
    if beta < SMALL_BETA:
        return torch.log1p(torch.expm1(beta * responses).mean(dim=1)) / beta
    summed = torch.logsumexp(beta * responses, dim=1)
    return (summed - math.log(responses.shape[1])) / beta


def cosine_factors(
    lengths: torch.Tensor,
    norms: torch.Tensor,
    offset: torch.Tensor,
    precision: torch.dtype | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tell what pooled projections are multiplied by, and how much they drift.

    ``S = pooled * scale - drift * (parts @ offset)``.

    Parameters
    ----------
    lengths, norms : tensor of shape (N, R)
        See `WhitenedMaps`.
    offset : tensor of shape (K,)
        The whitened mean.
    precision : torch.dtype or None
        Of the pooled projections, where it is lower than that of the norms.

    Returns
    -------
    scale, drift : tensor of shape (N, R)
        0 for a region of norm zero, or of one that this precision cannot tell from it.
    """
    # Compared with what it is the rest of: a difference below rounding is zero.
    eps = _ROUNDINGS * torch.finfo(norms.dtype).eps
    if precision is not None:
        eps = max(eps, torch.finfo(precision).eps)
    floor = eps * (lengths * offset.norm()).clamp(min=1e-12)
    scale = torch.where(norms > floor, 1 / norms.clamp(min=1e-30), 0)
    return scale, lengths * scale
