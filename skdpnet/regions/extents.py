"""How far images extend on maps that are larger than they are, and which have parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skdpnet.storage.large_arrays import MapRows
from skdpnet.utils.batching import slices_of

__all__ = ["extents", "have_parts", "shorter_side"]

_IMAGES_AT_ONCE = 64


def extents(maps: np.ndarray | MapRows) -> np.ndarray:
    """Find the rows and columns that images cover on a canvas of empty cells.

    Parameters
    ----------
    maps : ndarray or MapRows of shape (n, H, W, D)
        Each image begins in the upper left corner, and cells beyond it are zero.

    Returns
    -------
    int ndarray of shape (n, 2)
        Numbers of rows and columns, up to the last cell that is not zero; H and W for
        an image of which all cells are zero.
    """
    out = np.empty((len(maps), 2), np.intp)
    height, width = maps.shape[1:3]
    for images in slices_of(len(maps), _IMAGES_AT_ONCE):
        # From the end, so that the first that is not zero is the last of the image.
        covered = np.any(maps[images], axis=3)[:, ::-1, ::-1]
        out[images, 0] = height - np.argmax(np.any(covered, axis=2), axis=1)
        out[images, 1] = width - np.argmax(np.any(covered, axis=1), axis=1)
    return out


def shorter_side(maps: np.ndarray | MapRows) -> int:
    """Find the shorter side of images on a canvas, in cells.

    Parameters
    ----------
    maps : ndarray or MapRows of shape (n, H, W, D)
        As in `extents`. The images have shorter sides of one length.

    Returns
    -------
    int
        The largest of the shorter sides that are found: those of some images may end
        in cells that are zero.
    """
    return int(extents(maps).min(axis=1).max())


def have_parts(shapes: Sequence[tuple[int, ...]]) -> list[bool]:
    """Find the feature maps that parts respond on.

    Parameters
    ----------
    shapes : sequence of (H, W, D), (R, D) or (D,)
        The shape of each map of an image.

    Returns
    -------
    list of bool
        Whether a map has several cells, among which a part can be found. A map of one
        cell is the average of an image; it has parts only where all maps are such.
    """
    several = [int(np.prod(shape[:-1])) > 1 for shape in shapes]
    return several if any(several) else [True] * len(several)
