"""The foreground of images: the regions in which the network responds most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from skdpnet.regions.grid import RegionGrid

__all__ = ["OTSU", "foreground_weights"]

OTSU = "otsu"
_TINY = 1e-12


def foreground_weights(
    feature_map: torch.Tensor, grids: Sequence[RegionGrid], threshold: float | str
) -> list[torch.Tensor]:
    """Weigh the regions of images by the energy of a feature map inside them.

    The energy of a cell is the norm of its feature vector, divided by the mean of these
    norms over the image: networks that were trained to classify objects respond more on
    objects than beside them. The energy e of a region is the mean over its cells, and
    its weight ``min(1, e / threshold)²``.

    Parameters
    ----------
    feature_map : tensor of shape (N, H, W, D)
        Cells of zeros, which lie outside the images, do not count in the mean.
    grids : sequence of RegionGrid
        Layouts of regions on maps of any sizes, to which the energy is resized.
    threshold : float > 0, or "otsu"
        The energy from which on the weight is 1. "otsu": for each image the threshold
        that parts its cells best into two groups, those of high and those of low
        energy (Otsu, 1979). It is high where an object lies on a plain ground, and
        about 1 where there is something everywhere.

    Returns
    -------
    list of tensors of shape (N, R)
        The weights of the regions of each layout, in [0, 1]. They are 1 in an image of
        which all cells are zero.

    References
    ----------
    X.-S. Wei, J.-H. Luo, J. Wu, Z.-H. Zhou, "Selective Convolutional Descriptor
    Aggregation for Fine-Grained Image Retrieval", IEEE Transactions on Image Processing
    26 (2017), which selects the cells whose summed activations exceed their mean.

    N. Otsu, "A Threshold Selection Method from Gray-Level Histograms", IEEE
    Transactions on Systems, Man, and Cybernetics 9 (1979).
    """
    # Squares of the numbers themselves could overflow.
    largest = feature_map.abs().amax(dim=(1, 2, 3), keepdim=True).float()
    norms = (feature_map.float() / torch.where(largest > 0, largest, 1.0)).norm(dim=3)
    covered = (norms > 0).float()
    means = norms.sum(dim=(1, 2)) / covered.sum(dim=(1, 2)).clamp(min=1)
    energies = norms / means.clamp(min=_TINY)[:, None, None]
    if isinstance(threshold, str):
        thresholds = _otsu_thresholds(energies)
    else:
        # float32 holds no larger number, and would take a smaller one for 0.
        limits = torch.finfo(means.dtype)
        bounded = min(max(float(threshold), limits.tiny), limits.max)
        thresholds = torch.full_like(means[:, None], bounded)
    weights = []
    for grid in grids:
        resized = _resize(energies, covered, grid).flatten(1)
        pooled = torch.cat(list(grid.pool(resized[..., None])), dim=1).mean(dim=2)
        weighted = (pooled / thresholds).clamp(max=1).square()
        weights.append(torch.where(means[:, None] > 0, weighted, 1.0))
    return weights


def _otsu_thresholds(energies: torch.Tensor) -> torch.Tensor:
    """Return Otsu's thresholds (N, 1) of the energies (N, H, W) inside the images.

    The k cells of the highest energy are one group and the other n - k cells are the
    other. The best k has the largest variance between the groups,
    ``k (n - k) (mean of the one - mean of the other)²``, and the threshold lies halfway
    between the k-th energy and the next.
    """
    # Cells outside the images, which are zero, come last.
    highest = energies.flatten(1).double().sort(dim=1, descending=True)[0]
    n_cells = (highest > 0).sum(dim=1, keepdim=True)
    sums = highest.cumsum(dim=1)
    k = torch.arange(1, highest.shape[1], device=highest.device)
    others = (n_cells - k).clamp(min=1)
    gap = sums[:, :-1] / k - (sums[:, -1:] - sums[:, :-1]) / others
    variance = torch.where(k < n_cells, k * others * gap.square(), -1.0)
    best = variance.argmax(dim=1, keepdim=True)
    halfway = (highest.gather(1, best) + highest.gather(1, best + 1)) / 2
    # A single cell cannot be parted.
    return torch.where(n_cells > 1, halfway, highest[:, :1]).float()


def _resize(
    energies: torch.Tensor, covered: torch.Tensor, grid: RegionGrid
) -> torch.Tensor:
    """Resize energies (N, H, W) to the cells of a layout; 0 stays outside images."""
    size = grid.height, grid.width
    if energies.shape[1:] == size:
        return energies
    both = torch.stack([energies, covered], dim=1)
    resized = F.interpolate(both, size, mode="bilinear", align_corners=False)
    inside = F.interpolate(covered[:, None], size, mode="nearest")[:, 0]
    # At the edge of an image the cells outside it must not lower its energy.
    return resized[:, 0] / resized[:, 1].clamp(min=_TINY) * inside
