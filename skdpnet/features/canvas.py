"""Maps of images of several shapes, on one canvas of zeros."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from skdpnet.backbones.backbone import NetworkError
from skdpnet.images.framing import Framing

__all__ = ["check_sides", "lay_on_canvas", "lay_together", "own_shape"]


@contextmanager
def own_shape(name: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Explain errors of a network on images that are not square.

    Parameters
    ----------
    name : str
        The backbone's name.
    shape : (int, int)
        Height and width in pixels of the images that the network gets.

    Raises
    ------
    ValueError
        In place of a `NetworkError` inside the ``with`` block, unless the images are
        square.
    """
    height, width = shape
    try:
        yield
    except NetworkError as error:
        if height == width:
            raise
        raise ValueError(
            f'framing="aspect" needs a network that takes images of any shape, but '
            f"backbone {name!r} fails on images of {height}×{width} pixels: "
            f"{error.reason} "
            'Use framing="crop", "squash" or "pad", or another backbone.'
        ) from error


def check_sides(
    name: str, shape: tuple[int, ...], maps: Sequence[torch.Tensor], framing: Framing
) -> None:
    """Check that the sides of maps are proportional to those of images.

    Parameters
    ----------
    name : str
        The backbone's name.
    shape : (int, int)
        Height and width of the images in pixels.
    maps : sequence of tensors of shape (n, H, W, D)
    framing : Framing

    Raises
    ------
    ValueError
        If they are not, so that cells of several images would not fit on one canvas. A
        map of one cell is that of the whole image, whatever its shape.
    """
    (height, width), side = shape, framing.image_size
    for feature_map in maps:
        rows, columns = feature_map.shape[1:3]
        if (rows, columns) == (1, 1):
            continue
        fits = rows * width == columns * height
        if not fits or min(rows, columns) * framing.canvas_side % side:
            raise ValueError(
                f'framing="aspect" needs maps whose sides are proportional to the '
                f"image's, but backbone {name!r} gives a map of {rows}×{columns} cells "
                f"for {height}×{width} pixels, on a canvas of {framing.canvas_side}. "
                'Use framing="crop", "squash" or "pad", or another image_size.'
            )


def lay_on_canvas(maps: Sequence[np.ndarray], framing: Framing) -> np.ndarray:
    """Lay maps of several shapes in the upper left corners of equal canvases of zeros.

    Parameters
    ----------
    maps : sequence of n ndarrays of shape (h, w, D)
        A map of each image. Its shorter side is that of the framing's image size.
    framing : Framing

    Returns
    -------
    ndarray of shape (n, H, W, D)
        H and W are equal: those of the framing's canvas.
    """
    first = maps[0]
    side = _side(first.shape[:2], framing)
    out = np.zeros((len(maps), side, side, first.shape[2]), first.dtype)
    for canvas, feature_map in zip(out, maps, strict=True):
        rows, columns = feature_map.shape[:2]
        canvas[:rows, :columns] = feature_map
    return out


def lay_together(
    n_images: int,
    positions: Sequence[Sequence[int]],
    maps: Sequence[torch.Tensor],
    framing: Framing,
) -> torch.Tensor:
    """Lay the maps of a batch on canvases as `lay_on_canvas` does, shape by shape.

    Parameters
    ----------
    n_images : int
        Number of images in the batch.
    positions : sequence of sequences of int
        For each shape, the positions of its images in the batch.
    maps : sequence of tensors of shape (n, h, w, D)
        Their maps.
    framing : Framing

    Returns
    -------
    tensor of shape (n_images, H, W, D)
        On the device of the maps; the maps themselves if they fill their canvases.
    """
    first = maps[0]
    side = _side(first.shape[1:3], framing)
    if len(maps) == 1 and first.shape[1:3] == (side, side):
        return first
    out = first.new_zeros(n_images, side, side, first.shape[3])
    for members, of_shape in zip(positions, maps, strict=True):
        rows, columns = of_shape.shape[1:3]
        out[torch.tensor(members, device=out.device), :rows, :columns] = of_shape
    return out


def _side(shape: Sequence[int], framing: Framing) -> int:
    """Return the cells of a side of the canvas of a map with h×w cells."""
    return min(shape) * framing.canvas_side // framing.image_size
