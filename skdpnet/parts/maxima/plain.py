"""The plain form of the maximum over regions: the reference of the fast code."""

from __future__ import annotations

import torch

from skdpnet.losses import assignment
from skdpnet.parts.responses import part_responses, soft_maximum
from skdpnet.regions.grid import RegionGrid

__all__ = ["plain_maxima"]


def plain_maxima(
    cells: torch.Tensor,
    lengths: torch.Tensor,
    norms: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
    *,
    beta: float | None,
    temperature: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maxima of all parts' responses over the regions, and the assignment penalty.

    What `part_maxima` computes, without anything for speed: the definition that the
    tests compare it with, and what can take its place wherever all N·R·P responses
    fit in memory. Gradients come from autograd.

    Parameters
    ----------
    cells, lengths, norms, offset, parts, grid
        See `part_responses`.
    beta : float > 0 or None
        See `soft_maximum`.
    temperature : float > 0 or None
        Temperature of the assignment penalty; None: the penalty is 0.

    Returns
    -------
    maxima : tensor of shape (N, P)
    penalty : scalar tensor
    """
    responses = part_responses(cells, lengths, norms, offset, parts, grid)
    if temperature is None:
        penalty = cells.new_zeros(())
    else:
        penalty = assignment(responses, temperature)
    return soft_maximum(responses, beta), penalty
