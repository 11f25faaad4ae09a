"""Distances of regions to prototypes, and the similarities that are made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from skdpnet.parts.maxima import part_maxima
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor

__all__ = [
    "LARGEST_DISTANCE",
    "distances_of_cosines",
    "log_similarity",
    "nearest_distances",
    "outside_images",
    "squared_distances",
]

# Of two vectors of unit length.
LARGEST_DISTANCE = 4.0
# Bytes of the regions that are in memory at once.
_PIECE_BYTES = 64 * 2**20


def squared_distances(regions: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
    """Return the squared distances ``‖z - p‖²`` of regions z and prototypes p.

    They are computed in float64. Near 0 a similarity changes fast with the distance,
    and in float32 the rounding of a product would be seen in a score.

    Parameters
    ----------
    regions : tensor of shape (n, R, K)
        Region descriptors of unit length, or zero.
    prototypes : tensor of shape (P, K)
        Of unit length.

    Returns
    -------
    float64 tensor of shape (n, R, P)
        In [0, 4]; rounding does not make them negative.
    """
    z, p = regions.double(), prototypes.double()
    distances = z.square().sum(dim=2, keepdim=True) + p.square().sum(dim=1)
    distances -= 2 * (z @ p.T)
    return distances.clamp_(min=0, max=LARGEST_DISTANCE)


def distances_of_cosines(cosines: torch.Tensor) -> torch.Tensor:
    """Return the squared distances ``2 - 2 zᵀp`` of vectors of unit length.

    Parameters
    ----------
    cosines : tensor of any shape
        Products of unit vectors.

    Returns
    -------
    tensor of the same shape
        In [0, 4]; rounding does not make them negative.
    """
    return (2 - 2 * cosines).clamp(min=0, max=LARGEST_DISTANCE)


def log_similarity(distances: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Return ProtoPNet's similarity ``log((d + 1) / (d + ε))``.

    Parameters
    ----------
    distances : tensor of any shape
        Squared distances d.
    epsilon : float > 0
        The similarity is at most ``log(1 / ε)``, where the distance is 0.

    Returns
    -------
    tensor of the same shape
        Above 0 for ε < 1, and the larger the smaller the distance.

    References
    ----------
    C. Chen, O. Li, D. Tao, A. Barnett, C. Rudin, J. Su, "This Looks Like That: Deep
    Learning for Interpretable Image Recognition", NeurIPS 2019, section 2.1.
    """
    return torch.log((distances + 1) / (distances + epsilon))


def outside_images(regions: torch.Tensor) -> torch.Tensor:
    """Find the regions that hold nothing of their image.

    Parameters
    ----------
    regions : tensor of shape (n, R, K)

    Returns
    -------
    bool tensor of shape (n, R, 1)
        Whether a region's descriptor is zero, as beside an image that does not fill
        its map, unless all regions of the image are such.
    """
    empty = (regions == 0).all(dim=2, keepdim=True)
    return empty & ~empty.all(dim=1, keepdim=True)


def nearest_distances(
    regions: Sequence[np.ndarray],
    prototypes: Sequence[np.ndarray],
    device: torch.device,
) -> np.ndarray:
    """Return the squared distances of prototypes to the nearest region of each image.

    Parameters
    ----------
    regions : sequence of float32 ndarrays of shape (n, R, K)
        The region descriptors of each feature map: of unit length, or zero.
    prototypes : sequence of float32 ndarrays of shape (P', K)
        The prototypes of each map, of unit length.
    device : torch.device

    Returns
    -------
    float32 ndarray of shape (n, P)
    """
    columns = []
    for of_map, on_map in zip(regions, prototypes, strict=True):
        out = np.empty((len(of_map), len(on_map)), np.float32)
        points = as_tensor(on_map, device)
        with torch.inference_mode():
            # A map may have no prototypes.
            n_images = len(of_map) if len(on_map) else 0
            for images in slices_within(n_images, 4 * of_map[0].size, _PIECE_BYTES):
                some = as_tensor(of_map[images], device)
                cosines, _ = part_maxima(some, points, beta=None)
                out[images] = distances_of_cosines(cosines).cpu().numpy()
        columns.append(out)
    return np.hstack(columns)
