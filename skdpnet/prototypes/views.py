"""The second view of training images: their mirror images, on the same cells."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch

from skdpnet.features.feature_maps import FeatureMaps
from skdpnet.images.collection import Images
from skdpnet.images.framing import Framing
from skdpnet.images.mirrors import mirrors_of
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening
from skdpnet.storage.large_arrays import allocate

__all__ = ["covered_shares", "flip_columns", "mirrored_regions"]


def mirrored_regions(
    extractor: FeatureMaps,
    images: Images,
    has_parts: Sequence[bool],
    whitenings: Sequence[Whitening],
    grids: Sequence[RegionGrid],
    device: torch.device,
    folder: str | os.PathLike | None = None,
) -> list[np.ndarray]:
    """Describe the regions of mirror images, in the order of the images' own regions.

    Region r shows what region r of the image shows, seen in a mirror. The mirror images
    go through the network, and into the cache, as all images do; only the maps of a
    batch are in memory at any time.

    Parameters
    ----------
    extractor : FeatureMaps
    images : Images
        Images that were checked.
    has_parts : sequence of bool
        Which of the extractor's maps are described.
    whitenings, grids : sequences of Whitening and RegionGrid
        Of each map that is described.
    device : torch.device
        The device of the computation.
    folder : str or path, default=None
        Folder of arrays that are too large for memory; see `allocate`.

    Returns
    -------
    list of float32 ndarrays of shape (n, R, K)

    Raises
    ------
    skdpnet.images.ImageError
        If an image cannot be read any more.
    """
    shares = covered_shares(images, extractor.input_framing())
    described = [
        allocate((len(images), grid.n_regions, len(w.projection.T)), np.float32, folder)
        for w, grid in zip(whitenings, grids, strict=True)
    ]
    first = 0
    for maps in extractor.iter_tensors(mirrors_of(images)):
        rows = slice(first, first + len(maps[0]))
        kept = [m for m, kept in zip(maps, has_parts, strict=True) if kept]
        each = zip(described, kept, whitenings, grids, strict=True)
        for out, of_map, whitening, grid in each:
            flipped = flip_columns(of_map, shares[rows])
            out[rows] = whitening.tensor(flipped, grid, device).cpu().numpy()
        first = rows.stop
    return described


def covered_shares(images: Images, framing: Framing) -> np.ndarray:
    """Find how much of its canvas' width each image covers, from the left.

    Parameters
    ----------
    images : Images
    framing : Framing

    Returns
    -------
    float ndarray of shape (n,)
        In (0, 1].
    """
    sizes = (images.geometry(i).upright_size for i in range(len(images)))
    return np.array([framing.view(*size).input_share[0] for size in sizes])


def flip_columns(maps: torch.Tensor, shares: np.ndarray) -> torch.Tensor:
    """Reverse the columns that images cover on their maps.

    Parameters
    ----------
    maps : tensor of shape (n, H, W, D)
    shares : float ndarray of shape (n,)
        The share of the map's width that each image covers, from the left.

    Returns
    -------
    tensor of shape (n, H, W, D)
        A new one.
    """
    width = maps.shape[2]
    columns = torch.arange(width).expand(len(maps), width)
    covered = torch.from_numpy(np.rint(shares * width).astype(np.int64))[:, None]
    order = torch.where(columns < covered, covered - 1 - columns, columns)
    images = torch.arange(len(maps))[:, None]
    return maps[images.to(maps.device), :, order.to(maps.device)].transpose(1, 2)
