"""Cosines of regions and parts of a fitted estimator, in NumPy, region by region.

Independent of the package, to compare its results with.
"""

from __future__ import annotations

import numpy as np


def cosines(estimator, maps: np.ndarray, i: int = 0) -> np.ndarray:
    """Cosines (n, R, P') of the parts of map i and its regions in n images."""
    whitening, grid = estimator.whitenings_[i], estimator.grids_[i]
    parts = estimator.parts_[estimator.part_maps_ == i]
    parts = parts[:, : whitening.projection.shape[1]]
    out = np.empty((len(maps), grid.n_regions, len(parts)))
    for n, cells in enumerate(maps.astype(np.float64)):
        for r, (top, left, bottom, right) in enumerate(grid.cells):
            x = cells[top:bottom, left:right].mean(axis=(0, 1))
            x = (x / np.linalg.norm(x) - whitening.mean) @ whitening.projection
            out[n, r] = parts @ (x / np.linalg.norm(x))
    return out
