"""Region descriptors whose background responds less than their foreground."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch

from skdpnet.regions.foreground import foreground_weights
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening
from skdpnet.storage.large_arrays import MapRows
from skdpnet.utils.batching import slices_of
from skdpnet.utils.host_copies import as_tensor

__all__ = [
    "describe_batch",
    "describe_regions",
    "foreground_regions",
    "region_weights",
    "weighted",
]

_IMAGES_AT_ONCE = 64
# Regions of at least this weight are clustered: those whose energy is at least 0.7 of
# the threshold.
_CLUSTERED_WEIGHT = 0.5

Maps = Sequence[np.ndarray | MapRows]


def describe_regions(
    whitenings: Sequence[Whitening],
    maps: Maps,
    grids: Sequence[RegionGrid],
    weights: Sequence[np.ndarray] | None,
    folder: str | os.PathLike | None,
    device: torch.device,
) -> list[np.ndarray]:
    """Describe the regions of each feature map of some images.

    Parameters
    ----------
    whitenings : sequence of Whitening
    maps : sequence of ndarray or MapRows of shape (n, H, W, D)
    grids : sequence of RegionGrid
    weights : sequence of ndarray of shape (n, R), or None
        As from `region_weights`. The responses of a region are multiplied by its
        weight, as its descriptor is. None: they are cosines.
    folder : str, path or None
        Folder that holds large arrays.
    device : torch.device
        Device on which they are computed.

    Returns
    -------
    list of float32 ndarrays of shape (n, R, K)
    """
    of_maps = [None] * len(maps) if weights is None else weights
    each = zip(whitenings, maps, grids, of_maps, strict=True)
    return [
        whitening(feature_map, grid, of_regions, folder, device)
        for whitening, feature_map, grid, of_regions in each
    ]


def describe_batch(
    whitenings: Sequence[Whitening],
    maps: Sequence[np.ndarray | torch.Tensor],
    grids: Sequence[RegionGrid],
    foreground: float | str | None,
    device: torch.device,
) -> list[torch.Tensor]:
    """Describe the regions of a few images as `describe_regions` does, on a device.

    Parameters
    ----------
    whitenings, maps, grids, device
        As in `describe_regions`.
    foreground : float, str or None
        As in `region_weights`.

    Returns
    -------
    list of tensors of shape (n, R, K)
    """
    each = zip(whitenings, maps, grids, strict=True)
    described = [
        whitening.tensor(feature_map, grid, device)
        for whitening, feature_map, grid in each
    ]
    return weighted(described, maps, grids, foreground, device)


def weighted(
    described: list[torch.Tensor],
    maps: Sequence[np.ndarray | torch.Tensor],
    grids: Sequence[RegionGrid],
    foreground: float | str | None,
    device: torch.device,
) -> list[torch.Tensor]:
    """Multiply the region descriptors of a few images by the weights of the regions.

    Parameters
    ----------
    described : list of tensors of shape (n, R, K)
        They are changed.
    maps, grids, foreground, device
        As in `describe_batch`.

    Returns
    -------
    list of tensors of shape (n, R, K)
    """
    if foreground is None:
        return described
    weights = _weights(maps, grids, foreground, device)
    return [
        descriptors.mul_(of_regions[..., None])
        for descriptors, of_regions in zip(described, weights, strict=True)
    ]


def region_weights(
    maps: Maps,
    grids: Sequence[RegionGrid],
    foreground: float | str | None,
    device: torch.device,
) -> list[np.ndarray] | None:
    """Compute the weights of all regions of some images.

    Parameters
    ----------
    maps : sequence of ndarray or MapRows of shape (n, H, W, D)
    grids : sequence of RegionGrid
    foreground : float, str or None
        The threshold of `foreground_weights`, for the energy of the coarsest map that
        has several cells; of several such, of the first. Layers that follow a network's
        last stage look at the classes of ImageNet more than at objects.
    device : torch.device
        Device on which they are computed.

    Returns
    -------
    list of float32 ndarrays of shape (n, R), or None
        For each map. None, without a threshold: regions are not weighted.
    """
    if foreground is None:
        return None
    pieces = [
        _weights([m[images] for m in maps], grids, foreground, device)
        for images in slices_of(len(maps[0]), _IMAGES_AT_ONCE)
    ]
    return [
        np.concatenate([weights.cpu().numpy() for weights in of_map])
        for of_map in zip(*pieces, strict=True)
    ]


def foreground_regions(weights: np.ndarray | None) -> np.ndarray | None:
    """Find the regions of a map that first parts may be clusters of.

    Parameters
    ----------
    weights : ndarray of shape (n, R), or None
        As from `region_weights`.

    Returns
    -------
    bool ndarray of shape (n, R), or None
        None: all regions.
    """
    return None if weights is None else weights >= _CLUSTERED_WEIGHT


def _weights(
    maps: Sequence[np.ndarray | torch.Tensor],
    grids: Sequence[RegionGrid],
    foreground: float | str,
    device: torch.device,
) -> list[torch.Tensor]:
    """Return the weights (N, R) of the regions of each map."""
    with_cells = [
        feature_map for feature_map in maps if tuple(feature_map.shape[1:3]) != (1, 1)
    ]
    if not with_cells:
        # Not len, which torch's exporter takes for a constant.
        n = maps[0].shape[0]
        return [
            torch.ones(n, grid.n_regions, dtype=torch.float32, device=device)
            for grid in grids
        ]
    coarsest = min(with_cells, key=lambda of_map: of_map.shape[1] * of_map.shape[2])
    weights = foreground_weights(as_tensor(coarsest, device), grids, foreground)
    return [
        # A region that is the whole image is no part of its foreground or background.
        # Weights are at most 1; torch's exporter would take ones_like for a constant.
        of_regions.clamp(min=1) if grid.n_regions == 1 else of_regions
        for grid, of_regions in zip(grids, weights, strict=True)
    ]
