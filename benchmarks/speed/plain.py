"""A plain implementation: compute the descriptor of each region, then one product.

It is the code to write first, with torchvision's `roi_align` and PyTorch's automatic
differentiation, and the same for a few images at a time, with PyTorch's checkpoints.
The results are those of `skdpnet.parts.maxima.part_maxima`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
from torchvision.ops import roi_align

from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import Whitening
from skdpnet.utils.batching import slices_within

__all__ = [
    "PlainNet", "boxes_of", "checkpointed_maxima", "describe", "maxima", "step",
    "whitening_of",
]  # fmt: skip

# Bytes of the responses that are in memory at once with checkpoints, as many as in
# `part_maxima`.
_PIECE_BYTES = {"cpu": 3 * 2**20, "cuda": 256 * 2**20}


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


def checkpointed_maxima(
    regions: torch.Tensor, parts: torch.Tensor, beta: float | None
) -> torch.Tensor:
    """Compute `maxima` for a few images at a time, without keeping the responses.

    The backward pass computes them once more.

    Parameters
    ----------
    regions, parts, beta
        As in `maxima`.

    Returns
    -------
    tensor of shape (N, P)
    """
    n_images, n_regions, _ = regions.shape
    bytes_per_image = regions.itemsize * n_regions * len(parts)
    budget = _PIECE_BYTES[regions.device.type]
    pieces = [
        checkpoint(
            maxima, regions[images], parts, beta,
            use_reentrant=False, preserve_rng_state=False,
        )
        for images in slices_within(n_images, bytes_per_image, budget)
    ]  # fmt: skip
    return torch.cat(pieces)


class PlainNet(nn.Module):
    """Parts, which are trained, and a linear classifier on their maxima, which is not.

    Parameters
    ----------
    parts : tensor of shape (P, K)
    n_classes : int
    beta : float or None
    maxima : callable
        `maxima` or `checkpointed_maxima`.
    """

    def __init__(
        self,
        parts: torch.Tensor,
        n_classes: int,
        beta: float | None,
        maxima: Callable[..., torch.Tensor],
    ):
        super().__init__()
        self.parts = nn.Parameter(parts.clone())
        self.classifier = nn.Linear(len(parts), n_classes).requires_grad_(False)
        self.beta = beta
        self.maxima = maxima

    def forward(self, regions: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, C) of regions (N, R, K)."""
        parts = F.normalize(self.parts, dim=1)
        return self.classifier(self.maxima(regions, parts, self.beta))


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
