"""What learning starts from: clusters as parts, and the scale of their maxima."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from skdpnet.parts.dpnet.model import PartModel
from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import WhitenedMaps, Whitening, sample_regions
from skdpnet.storage.large_arrays import MapRows

__all__ = ["cluster_parts", "moments", "training_maxima", "standardise"]

_IMAGES_AT_ONCE = 64
_MAX_REGIONS_A_CLASS = 3_000
_MAX_ITERATIONS = 20


def cluster_parts(
    maps: WhitenedMaps,
    whitening: Whitening,
    y: np.ndarray,
    n_classes: int,
    grid: RegionGrid,
    n_parts_per_class: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Centres of a k-means clustering of each class's region descriptors.

    Parameters
    ----------
    maps : WhitenedMaps of n images
    whitening : Whitening
        The one that made `maps`.
    y : int ndarray of shape (n,)
        Class of each image, in 0 … n_classes - 1.
    n_classes : int
    grid : RegionGrid
    n_parts_per_class : int
    random_state : RandomState

    Returns
    -------
    float32 ndarray of shape (n_classes * n_parts_per_class, D)
        Unit rows; part p belongs to class ``p // n_parts_per_class``. Where a class
        has fewer distinct regions than parts, or none, directions drawn at random
        fill its places.
    """
    depth = maps.cells.shape[-1]
    parts = random_state.standard_normal((n_classes, n_parts_per_class, depth))
    parts = parts.astype(np.float32)
    for label in range(n_classes):
        mine = y == label
        if not mine.any():
            continue
        regions = sample_regions(
            MapRows(maps.cells, np.flatnonzero(mine)),
            maps.lengths[mine],
            whitening,
            grid,
            _MAX_REGIONS_A_CLASS,
            random_state,
        )
        n_distinct = len(np.unique(regions.round(4), axis=0))
        n_clusters = min(n_parts_per_class, n_distinct)
        clustering = KMeans(
            n_clusters,
            n_init=1,
            max_iter=_MAX_ITERATIONS,
            random_state=random_state.randint(np.iinfo(np.int32).max),
        ).fit(regions)
        centres = clustering.cluster_centers_
        # The centre of opposite regions is no direction; the random one stays.
        usable = np.linalg.norm(centres, axis=1) > 1e-6
        parts[label, : len(centres)][usable] = centres[usable]
    return normalize(parts.reshape(-1, depth))


def standardise(model: PartModel, maxima: np.ndarray) -> np.ndarray:
    """Standardise a model's descriptor on the maxima of its training set.

    Parameters
    ----------
    model : PartModel
        Changed in place; its logits stay.
    maxima : float32 ndarray of shape (n, P)

    Returns
    -------
    float32 ndarray of shape (n, P)
        The descriptors of the training set.
    """
    mean, std = (torch.from_numpy(x).to(model.shift) for x in moments(maxima))
    model.standardise(mean, std)
    return (maxima - model.shift.cpu().numpy()) * model.scale.cpu().numpy()


def training_maxima(
    model: PartModel, maps: Sequence[Sequence], device: torch.device
) -> np.ndarray:
    """Maxima b of all parts on a training set, float32 ndarray (n, P).

    The maps are the fields of each `WhitenedMaps`, arrays or tensors.
    """
    out = []
    for start in range(0, len(maps[0][0]), _IMAGES_AT_ONCE):
        piece = slice(start, start + _IMAGES_AT_ONCE)
        inputs = [[torch.as_tensor(a[piece]).to(device) for a in one] for one in maps]
        with torch.inference_mode():
            out.append(model.maxima(inputs).cpu().numpy())
    return np.concatenate(out)


def moments(maxima: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each part's maxima, float32 ndarrays (P,)."""
    exact = maxima.astype(np.float64)
    return exact.mean(0).astype(np.float32), exact.std(0).astype(np.float32)
