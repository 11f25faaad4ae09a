"""The energy of regions: how strongly the network responds to what is in them."""

from __future__ import annotations

import torch

from skdpnet.regions.grid import RegionGrid

__all__ = ["region_energies"]


def region_energies(maps: torch.Tensor, grid: RegionGrid) -> torch.Tensor:
    """Average the activation energy of the cells of each region.

    The energy of a cell is the length of its feature vector, as a share of the largest
    number of the image's map, so that no square overflows.

    Parameters
    ----------
    maps : tensor of shape (n, H, W, D)
    grid : RegionGrid

    Returns
    -------
    float32 tensor of shape (n, R)
        0 for regions of empty cells only.
    """
    largest = maps.abs().amax(dim=(1, 2, 3), keepdim=True).float()
    cells = (maps.float() / torch.where(largest > 0, largest, 1.0)).norm(dim=3)
    return torch.cat(list(grid.pool(cells.flatten(1)[..., None])), dim=1).mean(dim=2)
