"""Region descriptors and their cosines with parts in NumPy, one region after another.

Independent of the package: the definition that its results are compared with.
"""

import numpy as np
import torch

from skdpnet.regions import RegionGrid

NO_MEAN = np.zeros(6)
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


def descriptors(maps, mean):
    """X by its definition: pool, normalise, subtract the mean, normalise."""
    return _unit(_unit(_pooled(maps)) - mean)


def cosines(maps, parts, mean):
    """S by its definition, (n, R, P)."""
    return descriptors(maps, mean) @ parts.T


def whitened(maps, mean=NO_MEAN):
    """Cells, lengths and norms as `WhitenedMaps` defines them, with T the identity."""
    pooled = _pooled(maps)
    lengths = np.linalg.norm(pooled, axis=2)
    norms = np.linalg.norm(pooled - lengths[..., None] * mean, axis=2)
    return torch.tensor(maps).flatten(1, 2), torch.tensor(lengths), torch.tensor(norms)
