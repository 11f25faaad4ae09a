"""The square of an image that the network sees, and the mapping back to its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Geometry", "preprocess"]


def _centred_square(width: int, height: int) -> tuple[int, int, int]:
    """Return left edge, top edge and side of the largest centred square, in pixels."""
    # Rounded to whole pixels: an offset of half a pixel would blur an image that
    # already has the size of the network's input.
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


def preprocess(image: Image.Image, image_size: int) -> NDArray[np.uint8]:
    """Crop the largest centred square and resize it to the network's input.

    Parameters
    ----------
    image : PIL.Image.Image
        An upright RGB image, as returned by ``Images.load``.
    image_size : int
        Side of the network's input in pixels.

    Returns
    -------
    ndarray of shape (image_size, image_size, 3), uint8
        RGB values from 0 to 255.

    Raises
    ------
    ValueError
        If the image is not in RGB mode.
    """
    if image.mode != "RGB":
        raise ValueError(f"expected an RGB image, got mode {image.mode!r}")
    left, top, side = _centred_square(*image.size)
    square = image.resize(
        (image_size, image_size),
        Image.Resampling.BICUBIC,
        box=(left, top, left + side, top + side),
    )
    # np.array rather than np.asarray: torch warns about arrays it cannot write.
    return np.array(square)


@dataclass(frozen=True)
class Geometry:
    """Where the network's input lies in an image.

    Parameters
    ----------
    stored_size : tuple of int
        Width and height in pixels as stored in the file, before the EXIF
        orientation is applied.
    orientation : int
        EXIF orientation, 1 to 8; 1 for an image that is stored upright.
    """

    stored_size: tuple[int, int]
    orientation: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height in pixels after the orientation is applied."""
        width, height = self.stored_size
        return (height, width) if self.orientation >= 5 else (width, height)

    def to_upright(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Map boxes in the network's input to pixels of the upright image.

        Parameters
        ----------
        boxes : array-like of shape (..., 4)
            Left, top, right and bottom edges as fractions of the input's side:
            0 is the left or top edge of the input, 1 the right or bottom edge.
            Boxes that extend beyond the edges are not clipped.

        Returns
        -------
        ndarray of shape (..., 4), float64
            Left, top, right and bottom edges in pixels of the upright image,
            counted from its top left corner.

        Raises
        ------
        ValueError
            If the last axis does not have length 4.
        """
        fractions = np.asarray(boxes, dtype=np.float64)
        if fractions.ndim == 0 or fractions.shape[-1] != 4:
            raise ValueError(
                "boxes need a last axis of length 4 (left, top, right, bottom), "
                f"got shape {fractions.shape}"
            )
        left, top, side = _centred_square(*self.upright_size)
        return fractions * side + np.array([left, top, left, top], dtype=np.float64)

    def to_original(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Map boxes in the network's input to pixels as stored in the file.

        Parameters
        ----------
        boxes : array-like of shape (..., 4)
            Left, top, right and bottom edges as fractions of the input's side,
            as in :meth:`to_upright`.

        Returns
        -------
        ndarray of shape (..., 4), float64
            Left, top, right and bottom edges in pixels of the stored image.
            Left stays smaller than right and top smaller than bottom in every
            orientation.

        Raises
        ------
        ValueError
            If the last axis does not have length 4.
        """
        left, top, right, bottom = np.moveaxis(self.to_upright(boxes), -1, 0)
        width, height = self.stored_size
        # Every orientation is an optional swap of the axes followed by optional
        # mirrorings; mirroring a box swaps the roles of its two edges.
        if self.orientation >= 5:
            left, top, right, bottom = top, left, bottom, right
        if self.orientation in (2, 3, 7, 8):
            left, right = width - right, width - left
        if self.orientation in (3, 4, 6, 7):
            top, bottom = height - bottom, height - top
        return np.stack([left, top, right, bottom], axis=-1)
