"""The regions of an image that are nodes of its graph: those of the most energy."""

from __future__ import annotations

import numpy as np
import torch

from skdpnet.regions.grid import RegionGrid

__all__ = ["overlaps", "strongest_apart"]


def overlaps(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Compute how much boxes overlap: intersection over union.

    Parameters
    ----------
    boxes, others : tensors of shapes (..., 4) that broadcast
        (left, top, right, bottom), or (top, left, bottom, right), of areas above 0.

    Returns
    -------
    tensor of shape (...)
        From 0 to 1.
    """
    start = torch.maximum(boxes[..., :2], others[..., :2])
    end = torch.minimum(boxes[..., 2:], others[..., 2:])
    shared = (end - start).clamp(min=0).prod(dim=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(dim=-1) for each in (boxes, others)]
    return shared / (areas[0] + areas[1] - shared)


def strongest_apart(
    energies: torch.Tensor, grid: RegionGrid, n_regions: int, max_overlap: float
) -> torch.Tensor:
    """Choose the regions of the most energy that do not overlap much.

    Non-maximum suppression: the region of the most energy is chosen, those that overlap
    it by more than `max_overlap` are left out, and so on.

    Parameters
    ----------
    energies : tensor of shape (n, R)
        At least 0; regions of energy 0 are never chosen.
    grid : RegionGrid
    n_regions : int
        Number N of regions of each image.
    max_overlap : float
        Largest intersection over union of two chosen regions.

    Returns
    -------
    int64 tensor of shape (n, N)
        Numbers of the regions, the one of the most energy first; −1 where no region is
        left.
    """
    # In cells, whose areas are exact, so that rounding parts no equal overlaps.
    boxes = torch.from_numpy(grid.cells.astype(np.float32)).to(energies.device)
    left = energies.clone()
    chosen = []
    for _ in range(n_regions):
        strongest = left.max(dim=1)
        found = strongest.values > 0
        chosen.append(torch.where(found, strongest.indices, -1))
        near = overlaps(boxes[strongest.indices][:, None], boxes[None]) > max_overlap
        left[near] = 0.0
        left.scatter_(1, strongest.indices[:, None], 0.0)
    return torch.stack(chosen, dim=1)
