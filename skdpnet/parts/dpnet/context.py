"""The whole image as a part of each class: the context beside the learned parts.

Symbols, for n images and C classes:

X (n, K)
    Whole images: the averages over the cells of the maps, each l2-normalised, in one
    vector, less its mean over the training set, projected on the directions of largest
    variance, and l2-normalised again.
W (C, K)
    Weights of X in the scores, fitted together with V: ``d Vᵀ + a X Wᵀ``, where d is
    the standardised descriptor of the learned parts.

The direction ``w_c / ‖w_c‖`` is the context part of class c. Its response to the image
is a cosine, as that of every part, and its weight in the score of its class is ‖w_c‖.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from skdpnet.parts.responses import cosine_factors
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening

__all__ = [
    "CONTEXT_GRID",
    "CONTEXT_SCALE",
    "fit_context_axes",
    "unit_descriptors",
    "whole_images",
]

# The average of a map is a map of one cell, which is the only region.
CONTEXT_GRID = RegionGrid(1, 1, ((1, 1),))
# a: the length of a whole image beside d, whose length is about 1. The ridge leaves
# more of the decision to what is longer.
CONTEXT_SCALE = 0.7
# Variances below this share of the largest are rounding errors.
_RANK_TOLERANCE = 1e-6
_TINY = 1e-12


def whole_images(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Average feature maps over their cells, as descriptors of whole images.

    Parameters
    ----------
    maps : sequence of float ndarray of shape (n, H, W, D)
        The maps of n images.

    Returns
    -------
    float32 ndarray of shape (n, 1, 1, Σ D)
        Maps of one cell: the averages of all maps, each of unit length, or zero. Cells
        of zeros, which lie outside of an image, do not change their direction.
    """
    averages = [feature_map.mean(axis=(1, 2), dtype=np.float32) for feature_map in maps]
    return np.hstack([normalize(average) for average in averages])[:, None, None]


def fit_context_axes(whole: np.ndarray, n_components: int | None) -> Whitening:
    """Find the mean and the directions of largest variance of whole images.

    Unlike those of regions, the directions are not scaled by the inverse of their
    deviations. So the ridge favours those in which images differ most.

    Parameters
    ----------
    whole : float32 ndarray of shape (n, 1, 1, D)
        As from `whole_images`, of the training set.
    n_components : int or None
        Number K of directions; fewer where the images span fewer. None: all.

    Returns
    -------
    Whitening
        With an orthonormal projection.
    """
    depth = whole.shape[-1]
    vectors = whole.reshape(-1, depth).astype(np.float64)
    vectors = vectors[np.linalg.norm(vectors, axis=1) > _TINY]
    no_axes = np.zeros((depth, 1), np.float32)
    if len(vectors) < 2:
        return Whitening(np.zeros(depth, np.float32), no_axes)
    vectors = normalize(vectors)
    n_axes = min(depth, len(vectors), n_components or depth)
    solver = "full" if len(vectors) < depth else "covariance_eigh"
    with np.errstate(invalid="ignore"):  # shares of a variance that may be zero
        pca = PCA(n_axes, svd_solver=solver).fit(vectors)
    mean, variance = pca.mean_.astype(np.float32), pca.explained_variance_
    rank = int((variance > max(_RANK_TOLERANCE * variance[0], _TINY)).sum())
    if rank == 0:
        # All images are equal, so that none has a direction from their mean.
        return Whitening(mean, no_axes)
    return Whitening(mean, np.ascontiguousarray(pca.components_[:rank].T, np.float32))


def unit_descriptors(
    fields: Sequence[torch.Tensor], offset: torch.Tensor
) -> torch.Tensor:
    """Return X, the whole images as unit vectors.

    Parameters
    ----------
    fields : sequence of tensors
        The fields of the `WhitenedMaps` of N images, on the grid `CONTEXT_GRID`.
    offset : tensor of shape (K,)
        The whitened mean.

    Returns
    -------
    tensor of shape (N, K)
        Zeros for an image that is equal to the mean.
    """
    cells, lengths, norms = fields
    scale, offset_scale = cosine_factors(lengths, norms, offset)
    return cells[:, 0] * scale - offset_scale * offset
