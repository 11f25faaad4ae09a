"""A plain implementation: compute the descriptor of each region, then one product.

It is the code to write first, with torchvision's `roi_align` and PyTorch's automatic
differentiation. Its results are those of `skdpnet.parts.maxima.part_maxima`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import roi_align

from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import Whitening

__all__ = [
    "PlainNet", "average", "boxes_of", "describe", "maxima", "step", "whitening_of",
]  # fmt: skip


def boxes_of(grid: RegionGrid, n: int, device: torch.device) -> torch.Tensor:
    """Return the boxes of all regions of n images, as `roi_align` needs them.

    Parameters
    ----------
    grid : RegionGrid
    n : int
    device : torch.device

    Returns
    -------
    float32 tensor of shape (n·R, 5)
        Number of the image, then left, top, right and bottom in cells.
    """
    cells = torch.from_numpy(grid.cells[:, [1, 0, 3, 2]]).float()
    numbers = torch.arange(n).float().repeat_interleave(len(cells))
    return torch.hstack([numbers[:, None], cells.repeat(n, 1)]).to(device)


def describe(
    maps: torch.Tensor, boxes: torch.Tensor, whitening: list[torch.Tensor] | None
) -> torch.Tensor:
    """Compute descriptors of regions: RoI-align, unit length, whitening, unit length.

    Parameters
    ----------
    maps : tensor of shape (N, D, H, W)
    boxes : tensor of shape (N·R, 5)
    whitening : list of tensors (D,) and (D, K), or None
        Mean and projection.

    Returns
    -------
    tensor of shape (N, R, K)
    """
    # With sampling_ratio=-1 each cell is sampled once, at its centre, and averaged.
    pooled = roi_align(maps, boxes, 1, sampling_ratio=-1, aligned=True)
    regions = F.normalize(pooled.flatten(1), dim=1)
    if whitening is not None:
        mean, projection = whitening
        regions = F.normalize((regions - mean) @ projection, dim=1)
    return regions.unflatten(0, (len(maps), -1))


def whitening_of(
    whitening: Whitening, components: int | None, device: torch.device
) -> list[torch.Tensor] | None:
    """Return mean and projection of a whitening for `describe`; None: no whitening."""
    if components is None:
        return None
    arrays = whitening.mean, whitening.projection
    return [torch.from_numpy(array).to(device) for array in arrays]


def average(
    cells: torch.Tensor, lengths: torch.Tensor, offset: torch.Tensor, grid: RegionGrid
) -> torch.Tensor:
    """Compute descriptors of regions from whitened cells: average pooling, unit length.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K)
    lengths : tensor of shape (N, R)
    offset : tensor of shape (K,)
        `cells`, `lengths` and `offset` as in `WhitenedMaps`.
    grid : RegionGrid

    Returns
    -------
    tensor of shape (N, R, K)
    """
    maps = cells.transpose(1, 2).unflatten(2, (grid.height, grid.width))
    pooled = [F.avg_pool2d(maps, window, 1).flatten(2) for window in grid.windows]
    regions = torch.cat(pooled, dim=2).transpose(1, 2)
    return F.normalize(regions - lengths[..., None] * offset, dim=2)


def maxima(
    regions: torch.Tensor, parts: torch.Tensor, beta: float | None
) -> torch.Tensor:
    """Compute the maxima, soft or hard, of all responses.

    Parameters
    ----------
    regions : tensor of shape (N, R, K)
        Unit rows.
    parts : tensor of shape (P, K)
        Unit rows.
    beta : float or None
        None: the hard maximum.

    Returns
    -------
    tensor of shape (N, P)
    """
    responses = regions @ parts.T
    if beta is None:
        return responses.amax(dim=1)
    summed = torch.logsumexp(beta * responses, dim=1)
    return (summed - math.log(responses.shape[1])) / beta


class PlainNet(nn.Module):
    """Parts, which are trained, and a linear classifier on their maxima, which is not.

    Parameters
    ----------
    parts : tensor of shape (P, K)
    n_classes : int
    beta : float or None
    """

    def __init__(self, parts: torch.Tensor, n_classes: int, beta: float | None):
        super().__init__()
        self.parts = nn.Parameter(parts.clone())
        self.classifier = nn.Linear(len(parts), n_classes).requires_grad_(False)
        self.beta = beta

    def forward(self, regions: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, C) of regions (N, R, K)."""
        parts = F.normalize(self.parts, dim=1)
        return self.classifier(maxima(regions, parts, self.beta))


def step(
    net: PlainNet,
    optimizer: torch.optim.Optimizer,
    regions: torch.Tensor,
    labels: torch.Tensor,
) -> None:
    """Take one training step on the cross-entropy.

    Parameters
    ----------
    net : PlainNet
    optimizer : torch.optim.Optimizer
    regions : tensor of shape (N, R, K)
    labels : int64 tensor of shape (N,)
    """
    optimizer.zero_grad()
    F.cross_entropy(net(regions), labels).backward()
    optimizer.step()
