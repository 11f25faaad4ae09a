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

from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening
from skdpnet.utils.batching import slices_of
from skdpnet.utils.host_copies import as_tensor

__all__ = [
    "CONTEXT_GRID",
    "CONTEXT_SCALE",
    "fit_context_axes",
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
_IMAGES_AT_ONCE = 64
_CPU = torch.device("cpu")


def whole_images(
    maps: Sequence[np.ndarray | torch.Tensor],
) -> np.ndarray | torch.Tensor:
    """Average feature maps over their cells, as descriptors of whole images.

    Parameters
    ----------
    maps : sequence of float ndarrays, or of tensors, of shape (n, H, W, D)
        The maps of n images.

    Returns
    -------
    float32 ndarray or tensor of shape (n, 1, 1, Σ D)
        Maps of one cell: the averages of all maps, each of unit length, or zero. Cells
        of zeros, which lie outside of an image, do not change their direction.
    """
    on_device = [m for m in maps if isinstance(m, torch.Tensor)]
    if on_device:
        return _unit_averages(on_device)
    # A training set may be memory-mapped.
    pieces = [
        _unit_averages([as_tensor(m[images], _CPU) for m in maps]).numpy()
        for images in slices_of(len(maps[0]), _IMAGES_AT_ONCE)
    ]
    return np.concatenate(pieces)


def _unit_averages(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    averages = [of_map.mean(dim=(1, 2), dtype=torch.float32) for of_map in maps]
    lengths = [average.norm(dim=1, keepdim=True) for average in averages]
    units = [
        average / torch.where(length > 0, length, 1.0)
        for average, length in zip(averages, lengths, strict=True)
    ]
    return torch.cat(units, dim=1)[:, None, None]


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
