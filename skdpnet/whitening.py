"""PCA whitening of region descriptors, learned from a sample of regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skdpnet.features import allocate
from skdpnet.regions import RegionGrid

__all__ = ["Whitening", "fit_whitening"]

# Enough for a covariance of 2,048 dimensions, and seconds to compute.
_MAX_REGIONS = 50_000
_IMAGES_AT_ONCE = 64
# Directions below this share of the largest variance are noise of the arithmetic.
_RANK_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Whitening:
    """The linear map ``x -> (x - mean) projection`` of descriptors.

    Being linear with a mean, it may be applied to the cells of a map and the result
    pooled: the average of whitened cells is the whitened average.

    Parameters
    ----------
    mean : float32 ndarray of shape (D,)
    projection : float32 ndarray of shape (D, K)
    """

    mean: np.ndarray
    projection: np.ndarray

    def __call__(self, maps: np.ndarray) -> np.ndarray:
        """Whiten the cells of feature maps.

        Parameters
        ----------
        maps : ndarray of shape (n, H, W, D)

        Returns
        -------
        float32 ndarray of shape (n, H·W, K)
            Memory-mapped where it is large for this machine.
        """
        n, height, width, depth = maps.shape
        out = allocate((n, height * width, self.projection.shape[1]), np.float32)
        mean = torch.from_numpy(self.mean)
        projection = torch.from_numpy(self.projection)
        for start in range(0, n, _IMAGES_AT_ONCE):
            batch = maps[start : start + _IMAGES_AT_ONCE]
            cells = torch.from_numpy(np.asarray(batch, np.float32)).flatten(1, 2)
            out[start : start + len(batch)] = ((cells - mean) @ projection).numpy()
        return out


def fit_whitening(
    maps: np.ndarray,
    grid: RegionGrid,
    n_components: int | None,
    random_state: np.random.RandomState,
) -> Whitening:
    """Learn the whitening of the regions of feature maps.

    Parameters
    ----------
    maps : ndarray of shape (n, H, W, D)
    grid : RegionGrid
    n_components : int or None
        Directions of largest variance that are kept, fewer where the regions span
        fewer. None: nothing is removed or scaled (the identity).
    random_state : RandomState
        Draws the sample of regions.

    Returns
    -------
    Whitening
    """
    depth = maps.shape[-1]
    if n_components is None:
        return Whitening(np.zeros(depth, np.float32), np.eye(depth, dtype=np.float32))
    sample = torch.from_numpy(sample_regions(maps, grid, _MAX_REGIONS, random_state))
    mean = sample.double().mean(dim=0)
    centred = (sample - mean.float()).contiguous()
    covariance = (centred.T @ centred).double() / max(1, len(sample) - 1)
    variance, directions = torch.linalg.eigh(covariance)
    variance, directions = variance.flip(0), directions.flip(1)
    rank = int((variance > _RANK_TOLERANCE * variance[0].clamp(min=1e-30)).sum())
    keep = max(1, min(n_components, rank))
    scale = variance[:keep].clamp(min=1e-30).rsqrt()
    if rank == 0:
        # All regions are alike: whitened they are zero, and stay so.
        scale = torch.zeros_like(scale)
    # eigh leaves the sign open; one fixed choice gives the same model on every machine.
    directions = directions[:, :keep]
    largest = directions.abs().argmax(dim=0)
    directions = directions * directions[largest, torch.arange(keep)].sign()
    return Whitening(mean.float().numpy(), (directions * scale).float().numpy())


def sample_regions(
    maps: np.ndarray,
    grid: RegionGrid,
    n_regions: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Pool a random sample of the regions of feature maps.

    Parameters
    ----------
    maps : ndarray of shape (n, H, W, D) or (n, H·W, D)
    grid : RegionGrid
    n_regions : int
        At most so many regions, spread evenly over the images.
    random_state : RandomState

    Returns
    -------
    float32 ndarray of shape (<= max(n_regions, n), D)
    """
    n, depth = len(maps), maps.shape[-1]
    per_image = min(grid.n_regions, max(1, n_regions // n))
    out = np.empty((n, per_image, depth), np.float32)
    for start in range(0, n, _IMAGES_AT_ONCE):
        batch = np.asarray(maps[start : start + _IMAGES_AT_ONCE], np.float32)
        cells = torch.from_numpy(batch.reshape(len(batch), -1, depth))
        regions = torch.cat(list(grid.pool(cells)), dim=1)
        for i, one in enumerate(regions):
            chosen = random_state.permutation(grid.n_regions)[:per_image]
            out[start + i] = one[torch.from_numpy(chosen)].numpy()
    return out.reshape(-1, depth)
