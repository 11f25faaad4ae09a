"""The add-on layer: a linear map of region descriptors, learned with the prototypes."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from skdpnet.regions.whitening import Whitening
from skdpnet.storage.large_arrays import allocate
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor

__all__ = ["apply_add_on", "fold_add_on", "initial_add_on"]

_PIECE_BYTES = 64 * 2**20


def initial_add_on(
    regions: Sequence[np.ndarray], size: int | None
) -> list[np.ndarray] | None:
    """Return the layer of each map that training starts from.

    It keeps the first dimensions, which are those of largest variance where regions
    are whitened.

    Parameters
    ----------
    regions : sequence of float32 ndarrays of shape (n, R, K)
        The region descriptors of each map.
    size : int or None
        Number of dimensions L that are left; K, where that is less. None: there is no
        layer.

    Returns
    -------
    list of float32 ndarrays of shape (L, K), or None
    """
    if size is None:
        return None
    depths = [of_map.shape[2] for of_map in regions]
    return [np.eye(min(size, depth), depth, dtype=np.float32) for depth in depths]


def apply_add_on(
    layers: Sequence[np.ndarray] | None,
    regions: Sequence[np.ndarray],
    device: torch.device,
    folder: str | os.PathLike | None = None,
) -> list[np.ndarray]:
    """Describe regions by the layer of their map.

    Parameters
    ----------
    layers : sequence of float32 ndarrays of shape (L, K), or None
        None: the regions stay as they are.
    regions : sequence of float32 ndarrays of shape (n, R, K)
    device : torch.device
    folder : str or path, default=None
        Folder of arrays that are too large for memory; see `allocate`.

    Returns
    -------
    list of float32 ndarrays of shape (n, R, L)
        Of unit length; zero where the regions are.
    """
    if layers is None:
        return list(regions)
    described = []
    for layer, of_map in zip(layers, regions, strict=True):
        out = allocate((*of_map.shape[:2], len(layer)), np.float32, folder)
        matrix = as_tensor(layer, device).T
        for images in slices_within(len(of_map), 4 * of_map[0].size, _PIECE_BYTES):
            some = F.normalize(as_tensor(of_map[images], device) @ matrix, dim=2)
            out[images] = some.cpu().numpy()
        described.append(out)
    return described


def fold_add_on(whitening: Whitening, layer: np.ndarray) -> Whitening:
    """Make one affine map of a whitening and the layer behind it.

    Parameters
    ----------
    whitening : Whitening
        From D to K dimensions.
    layer : float32 ndarray of shape (L, K)

    Returns
    -------
    Whitening
        From D to L dimensions. Its descriptors have the directions that the layer gives
        to those of `whitening`.
    """
    # How products are rounded depends on the memory layout: here it is always the same.
    projection = np.ascontiguousarray(whitening.projection @ layer.T)
    return Whitening(whitening.mean, projection)
