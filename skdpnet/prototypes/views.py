"""The second view of training images: their mirror images, on the same cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skdpnet.features.feature_maps import FeatureMaps
from skdpnet.features.map_arrays import separate
from skdpnet.images.collection import Images
from skdpnet.images.framing import Framing
from skdpnet.utils.batching import slices_of

__all__ = ["flip_columns", "mirrored_maps"]

_IMAGES_AT_ONCE = 64


def mirrored_maps(
    extractor: FeatureMaps, images: Images, framing: Framing
) -> list[np.ndarray]:
    """Compute the maps of mirror images, with their columns in the images' order.

    Cell (i, j) of such a map shows what cell (i, j) of the image's own map shows, seen
    in a mirror. The mirror images go through the network, and into the cache, as all
    images do, a few at a time.

    Parameters
    ----------
    extractor : FeatureMaps
        Its `image_size` and `framing` are those of `framing`.
    images : Images
    framing : Framing
        What the network sees of an image.

    Returns
    -------
    list of ndarrays of shape (n, H, W, D)

    Raises
    ------
    skdpnet.images.ImageError
        If an image cannot be read.
    """
    pieces = []
    for rows in slices_of(len(images), _IMAGES_AT_ONCE):
        inputs = [
            images.network_input(i, framing)[0] for i in range(rows.start, rows.stop)
        ]
        # Images of the network's size go through as they are.
        mirrored = [np.ascontiguousarray(pixels[:, ::-1]) for pixels in inputs]
        shares = [pixels.shape[1] / framing.canvas_side for pixels in inputs]
        maps = separate(extractor.transform(mirrored))
        pieces.append([flip_columns(of_map, shares) for of_map in maps])
    return [np.concatenate(of_map) for of_map in zip(*pieces, strict=True)]


def flip_columns(maps: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Reverse the columns that images cover on their maps.

    Parameters
    ----------
    maps : ndarray of shape (n, H, W, D)
    shares : sequence of n floats in (0, 1]
        The share of the map's width that each image covers, from the left.

    Returns
    -------
    ndarray of shape (n, H, W, D)
        A copy.
    """
    flipped = maps.copy()
    for image, share in zip(flipped, shares, strict=True):
        covered = round(share * maps.shape[2])
        image[:, :covered] = image[:, :covered][:, ::-1].copy()
    return flipped
