"""The projection of prototypes onto regions of training images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor

__all__ = ["Projection", "leave_sources_out", "project"]

_PIECE_BYTES = 64 * 2**20


class Projection(NamedTuple):
    """Prototypes that are regions of training images.

    Attributes
    ----------
    prototypes : list of float32 ndarrays of shape (P', K)
        The prototypes of each map. One that found no region stays as it was.
    images, regions : int64 ndarrays of shape (P,)
        The training image that each prototype is from, and the number of the region in
        the grid of its map; −1 for a prototype that found none.
    """

    prototypes: list[np.ndarray]
    images: np.ndarray
    regions: np.ndarray


def project(
    regions: Sequence[np.ndarray],
    prototypes: Sequence[np.ndarray],
    labels: np.ndarray,
    allowed: np.ndarray,
    device: torch.device,
) -> Projection:
    """Replace each prototype by the nearest region of the images of its classes.

    Among regions that are equally near, the first of the first image is taken, as in
    the "push" of ProtoPNet (Chen et al., 2019, section 2.2).

    Parameters
    ----------
    regions : sequence of float32 ndarrays of shape (n, R, K)
        The region descriptors of each feature map: of unit length, or zero outside the
        images.
    prototypes : sequence of float32 ndarrays of shape (P', K)
        The prototypes of each map, of unit length.
    labels : int ndarray of shape (n,)
        The classes of the images.
    allowed : bool ndarray of shape (C, P)
        The classes whose images a prototype may be taken from.
    device : torch.device

    Returns
    -------
    Projection
    """
    projected, images, places = [], [], []
    first = 0
    for of_map, on_map in zip(regions, prototypes, strict=True):
        columns = slice(first, first + len(on_map))
        first += len(on_map)
        image, region = _nearest(of_map, on_map, labels, allowed[:, columns], device)
        found = image >= 0
        moved = on_map.copy()
        moved[found] = of_map[image[found], region[found]]
        projected.append(moved)
        images.append(image)
        places.append(region)
    return Projection(projected, np.concatenate(images), np.concatenate(places))


def _nearest(
    regions: np.ndarray,
    prototypes: np.ndarray,
    labels: np.ndarray,
    allowed: np.ndarray,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image and the region of the nearest region of each prototype."""
    n_prototypes, n_regions = len(prototypes), regions.shape[1]
    best = np.full(n_prototypes, -np.inf, np.float32)
    image = np.full(n_prototypes, -1, np.int64)
    region = np.full(n_prototypes, -1, np.int64)
    size = 4 * max(1, n_regions * (regions.shape[2] + n_prototypes))
    # Images of one class have the same prototypes; classes come in ascending order, so
    # that ties between classes are decided by the image below.
    for label in np.unique(labels):
        numbers = np.flatnonzero(allowed[label])
        if len(numbers) == 0:
            continue
        rows = np.flatnonzero(labels == label)
        points = as_tensor(prototypes[numbers], device)
        for piece in slices_within(len(rows), size, _PIECE_BYTES):
            some = as_tensor(regions[rows[piece]], device)
            cosines = some @ points.T
            empty = (some == 0).all(dim=2, keepdim=True)
            cosines = torch.where(empty, -torch.inf, cosines).flatten(0, 1)
            largest, places = (x.cpu().numpy() for x in cosines.max(dim=0))
            owner = rows[piece][places // n_regions]
            nearer = (largest > best[numbers]) | (
                (largest == best[numbers]) & (owner < image[numbers])
            )
            nearer &= np.isfinite(largest)
            chosen = numbers[nearer]
            best[chosen] = largest[nearer]
            image[chosen] = owner[nearer]
            region[chosen] = places[nearer] % n_regions
    return image, region


def leave_sources_out(values: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Replace what prototypes find in their own images by what they find elsewhere.

    A prototype is at distance 0 from the image that it was taken from, and from no
    other. A classifier that is fitted with this number would count on it, though no new
    image has it. In its place stands the smallest distance to another image.

    Parameters
    ----------
    values : float ndarray of shape (n, P)
        The distance of each prototype to the nearest region of each training image.
    sources : int ndarray of shape (P,)
        The image of each prototype; −1: none.

    Returns
    -------
    float ndarray of shape (n, P)
        A copy.
    """
    out = values.copy()
    if len(values) < 2:
        return out
    columns = np.flatnonzero(sources >= 0)
    own = sources[columns]
    others = values[:, columns].copy()
    others[own, np.arange(len(columns))] = np.inf
    out[own, columns] = others.min(axis=0)
    return out
