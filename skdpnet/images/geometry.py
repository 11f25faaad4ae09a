"""What a network sees of an image, and the mapping back to the image's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from skdpnet.images.framing import Framing, View
from skdpnet.images.resizing import resized

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Geometry", "on_input", "preprocess"]


def preprocess(image: Image.Image, framing: Framing) -> NDArray[np.uint8]:
    """Resize what the network sees of an image to the network's input.

    Parameters
    ----------
    image : PIL.Image.Image
        An upright RGB image, as returned by ``Images.load``.
    framing : Framing

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
        RGB values from 0 to 255; H and W are the framing's image size, except for
        "aspect".

    Raises
    ------
    ValueError
        If the image is not in RGB mode.
    """
    if image.mode != "RGB":
        raise ValueError(f"expected an RGB image, got mode {image.mode!r}")
    view = framing.view(*image.size)
    seen = resized(image, view.size, view.box, framing.interpolation)
    return on_input(seen, view, framing)


def on_input(
    seen: NDArray[np.uint8], view: View, framing: Framing
) -> NDArray[np.uint8]:
    """Lay what is seen of an image on the network's input.

    Parameters
    ----------
    seen : ndarray of shape (height, width, 3), uint8
        Upright, of the view's size.
    view : View
    framing : Framing
        Its `fill` is the colour of the rest.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
    """
    if view.input_size == view.size:
        return seen
    width, height = view.input_size
    canvas = np.full((height, width, 3), framing.fill, dtype=np.uint8)
    left, top = view.offset
    canvas[top : top + seen.shape[0], left : left + seen.shape[1]] = seen
    return canvas


@dataclass(frozen=True)
class Geometry:
    """Size and orientation of an image, from which boxes get back to its pixels.

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

    def to_upright(self, boxes: ArrayLike, framing: Framing) -> NDArray[np.float64]:
        """Map boxes in the network's input to pixels of the upright image.

        Parameters
        ----------
        boxes : array-like of shape (..., 4)
            Left, top, right and bottom edges as fractions of the framing's canvas,
            which is the network's input, except for "aspect": 0 is its left or top
            edge, 1 its right or bottom edge. Boxes that extend beyond the edges, or
            beyond the image, are not clipped.
        framing : Framing

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
        view = framing.view(*self.upright_size)
        left, top, right, bottom = view.box
        seen = np.array([right - left, bottom - top], dtype=np.float64)
        canvas = seen * view.canvas_size / view.size
        origin = [left, top] - seen * view.offset / view.size
        return fractions * np.tile(canvas, 2) + np.tile(origin, 2)

    def to_original(self, boxes: ArrayLike, framing: Framing) -> NDArray[np.float64]:
        """Map boxes in the network's input to pixels as stored in the file.

        Parameters
        ----------
        boxes, framing
            As in :meth:`to_upright`.

        Returns
        -------
        ndarray of shape (..., 4), float64
            Left, top, right and bottom edges in pixels of the stored image.

        Raises
        ------
        ValueError
            If the last axis does not have length 4.
        """
        return self.to_stored(self.to_upright(boxes, framing))

    def to_stored(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Map boxes from pixels of the upright image to pixels as stored in the file.

        Parameters
        ----------
        boxes : array-like of shape (..., 4)
            Left, top, right and bottom edges.

        Returns
        -------
        ndarray of shape (..., 4), float64
            Left stays smaller than right and top smaller than bottom in every
            orientation.
        """
        edges = np.asarray(boxes, dtype=np.float64)
        left, top, right, bottom = np.moveaxis(edges, -1, 0)
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
