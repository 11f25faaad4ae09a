"""First parts: centres of clusters of the region descriptors of each class."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from skdpnet.regions.whitening import sample_regions
from skdpnet.storage.large_arrays import MapRows
from skdpnet.utils.indicators import memberships

__all__ = ["cluster_parts"]

# They bound the time of the clustering, which need not be precise: parts are learned
# from its centres.
_MAX_REGIONS_PER_CLASS = 3_000
_MAX_ITERATIONS = 20


def cluster_parts(
    regions: np.ndarray,
    allowed: np.ndarray | None,
    y: np.ndarray,
    n_classes: int,
    n_parts_per_class: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Cluster the region descriptors of each class by k-means into its first parts.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        The region descriptors of n images.
    allowed : bool ndarray of shape (n, R) or None
        The regions that may be clustered. None: all.
    y : int ndarray of shape (n,) or (n, n_classes)
        Class of each image, in 0 … n_classes - 1; or an indicator matrix, by which an
        image may be of several classes.
    n_classes : int
    n_parts_per_class : int
    random_state : RandomState

    Returns
    -------
    float32 ndarray of shape (n_classes * n_parts_per_class, K)
        Unit rows; part p is of class ``p // n_parts_per_class``. If a class has fewer
        distinct regions than parts, or no images, random directions are its remaining
        parts.
    """
    depth = regions.shape[-1]
    parts = random_state.standard_normal((n_classes, n_parts_per_class, depth))
    parts = parts.astype(np.float32)
    for label, in_class in enumerate(memberships(y, n_classes).T):
        if not in_class.any():
            continue
        of_class = MapRows(regions, np.flatnonzero(in_class))
        sample = sample_regions(
            of_class.__getitem__,
            of_class.shape,
            _MAX_REGIONS_PER_CLASS,
            random_state,
            None if allowed is None else allowed[in_class],
        )
        n_distinct = len(np.unique(sample.round(4), axis=0))
        n_clusters = min(n_parts_per_class, n_distinct)
        clustering = KMeans(
            n_clusters,
            n_init=1,
            max_iter=_MAX_ITERATIONS,
            random_state=random_state.randint(np.iinfo(np.int32).max),
        ).fit(sample)
        centres = clustering.cluster_centers_
        # The centre of opposite regions is about zero, and has no direction.
        has_direction = np.linalg.norm(centres, axis=1) > 1e-6
        parts[label, : len(centres)][has_direction] = centres[has_direction]
    return normalize(parts.reshape(-1, depth))
