"""Region descriptors and their cosines with parts in NumPy, one region after another.

Independent of the package: the definition that its results are compared with.
"""

import numpy as np
import torch

from skdpnet.regions import RegionGrid

GRID = RegionGrid.from_scales(4, 5, (0.25, 0.5, 1.0))


def random_maps():
    """Feature maps (3, 4, 5, 6), some of whose regions are of norm zero."""
    maps = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    maps[1, :2, :2] = 0  # as ReLU maps have them
    return maps


def random_parts():
    """Parts (7, 6) with unit rows."""
    parts = np.random.default_rng(1).normal(size=(7, 6))
    return parts / np.linalg.norm(parts, axis=1, keepdims=True)


def _pooled(maps):
    """Average of each region's cells, (n, R, D)."""
    out = np.zeros((len(maps), GRID.n_regions, maps.shape[-1]))
    for n, feature_map in enumerate(maps):
        for r, (top, left, bottom, right) in enumerate(GRID.cells):
            out[n, r] = feature_map[top:bottom, left:right].mean(axis=(0, 1))
    return out


def _unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-300)


def descriptors(maps, mean=0, projection=None):
    """X by its definition: pool, normalise, whiten, normalise; empty regions are 0."""
    pooled = _pooled(maps)
    whitened = _unit(pooled) - mean
    if projection is not None:
        whitened = whitened @ projection
    return np.where(pooled.any(axis=2, keepdims=True), _unit(whitened), 0)


def maxima_by_formula(regions, parts, beta, temperature, weights):
    """Maxima, assignment penalty and gradient in float64.

    Returns
    -------
    maxima : tensor of shape (n, P)
    penalty : scalar tensor
    gradient : tensor of shape (P, K)
        That of ``sum(weights * maxima) + 3 * penalty``, by autograd.
    """
    u = torch.tensor(parts, requires_grad=True)
    s = torch.tensor(regions) @ u.T
    if beta is None:
        maxima = s.max(dim=1).values
    else:
        maxima = (beta * s).exp().mean(dim=1).log() / beta
    penalty = torch.zeros((), dtype=torch.float64)
    if temperature is not None:
        share = (s / temperature).exp()
        share = share / share.sum(dim=-1, keepdim=True)
        penalty = -(share * share.log()).sum(dim=-1).mean()
    ((maxima * weights).sum() + 3 * penalty).backward()
    return maxima.detach(), penalty.detach(), u.grad
