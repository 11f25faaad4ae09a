"""Whitened feature maps whose background responds less than their foreground."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch

from skdpnet.regions.foreground import foreground_weights
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import WhitenedMaps, Whitening
from skdpnet.storage.large_arrays import MapRows
from skdpnet.utils.batching import slices_of

__all__ = ["foreground_regions", "region_weights", "whiten_batch", "whiten_maps"]

_IMAGES_AT_ONCE = 64
# Weights are at least this, so that norms stay finite.
_LEAST_WEIGHT = 1e-3
# Regions of at least this weight are clustered: those whose energy is at least 0.7 of
# the threshold.
_CLUSTERED_WEIGHT = 0.5

Maps = Sequence[np.ndarray | MapRows]


def whiten_maps(
    whitenings: Sequence[Whitening],
    maps: Maps,
    grids: Sequence[RegionGrid],
    weights: Sequence[np.ndarray] | None,
    folder: str | os.PathLike | None,
    device: torch.device,
) -> list[WhitenedMaps]:
    """Whiten each feature map of some images.

    Parameters
    ----------
    whitenings : sequence of Whitening
    maps : sequence of ndarray or MapRows of shape (n, H, W, D)
    grids : sequence of RegionGrid
    weights : sequence of ndarray of shape (n, R), or None
        As from `region_weights`. The responses of a region are multiplied by its
        weight. None: they are cosines.
    folder : str, path or None
        Folder that holds large arrays.
    device : torch.device
        Device on which they are computed.

    Returns
    -------
    list of WhitenedMaps
        The norms of regions are divided by their weights, so that responses, which are
        divided by the norms, are multiplied by them.
    """
    each = zip(whitenings, maps, grids, strict=True)
    whitened = [
        whitening(feature_map, grid, folder, device)
        for whitening, feature_map, grid in each
    ]
    if weights is not None:
        for on_map, of_regions in zip(whitened, weights, strict=True):
            np.divide(on_map.norms, of_regions, out=on_map.norms)
    return whitened


def whiten_batch(
    whitenings: Sequence[Whitening],
    maps: Sequence[np.ndarray],
    grids: Sequence[RegionGrid],
    foreground: float | str | None,
    device: torch.device,
) -> list[list[torch.Tensor]]:
    """Whiten the maps of a few images as `whiten_maps` does, on a device.

    Parameters
    ----------
    whitenings, maps, grids, device
        As in `whiten_maps`.
    foreground : float, str or None
        As in `region_weights`.

    Returns
    -------
    list of lists of tensors
        For each map the fields of its `WhitenedMaps`.
    """
    each = zip(whitenings, maps, grids, strict=True)
    whitened = [
        whitening.tensors(feature_map, grid, device)
        for whitening, feature_map, grid in each
    ]
    if foreground is None:
        return whitened
    weights = _weights(maps, grids, foreground, device)
    return [
        [cells, lengths, norms / of_regions]
        for (cells, lengths, norms), of_regions in zip(whitened, weights, strict=True)
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
    maps: Sequence[np.ndarray],
    grids: Sequence[RegionGrid],
    foreground: float | str,
    device: torch.device,
) -> list[torch.Tensor]:
    """Return the weights (N, R) of the regions of each map."""
    with_cells = [
        feature_map for feature_map in maps if feature_map.shape[1:3] != (1, 1)
    ]
    if not with_cells:
        return [
            torch.ones(len(maps[0]), grid.n_regions, dtype=torch.float32, device=device)
            for grid in grids
        ]
    coarsest = min(with_cells, key=lambda feature_map: np.prod(feature_map.shape[1:3]))
    # torch warns of read-only memory, so it is copied first.
    energetic = torch.from_numpy(np.require(coarsest, None, "W")).to(device)
    weights = foreground_weights(energetic, grids, foreground)
    return [
        # A region that is the whole image is no part of its foreground or background.
        torch.ones_like(of_regions) if grid.n_regions == 1 else of_regions
        for grid, of_regions in zip(
            grids, (w.clamp(min=_LEAST_WEIGHT) for w in weights), strict=True
        )
    ]
