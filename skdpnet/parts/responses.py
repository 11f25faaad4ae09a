"""Responses of parts to regions, and their hard or soft maximum over the regions.

Symbols, for one image:

F (H·W, D)
    The feature map, a row for each cell.
W (R, H·W)
    Average pooling: the mean over the cells of each region.
X (R, K)
    Region descriptors: the rows of W F, l2-normalised, whitened, l2-normalised again,
    and weighted by the foreground; see `skdpnet.regions.whitening`.
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

__all__ = ["SMALL_BETA", "soft_maximum"]

# For smaller β a soft maximum is computed from exp(β S) - 1: all exp(β S) are close to
# 1, and the logarithm of their mean would be mostly rounding.
SMALL_BETA = 1.0


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
