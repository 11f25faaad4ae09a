"""Decoding of image files at a size just sufficient for the network's input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from skdpnet.images.conversion import (
    decoding,
    file_geometry,
    orientation_of,
    rgb_of,
    turned,
)
from skdpnet.images.framing import Framing, View
from skdpnet.images.geometry import on_input, preprocess
from skdpnet.images.resizing import resized

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["input_pixels"]

# Sides of what is seen in the decoded image, at least, as multiples of those of the
# input. At 2 the feature maps change half as much as by saving the image again as JPEG
# of quality 90, and less on fine textures; at 1 up to twice as much as by saving it
# again.
_MIN_OVERSAMPLING = 2
# The format's decoder can reduce both sides by these factors.
_REDUCTIONS = (8, 4, 2)


def input_pixels(image: Image.Image, framing: Framing) -> NDArray[np.uint8]:
    """Decode an image file as the network's input.

    A JPEG image of at least four times the input's size is decoded at a half, a quarter
    or an eighth of its size, such that at least twice the input's size is left; the
    format makes this cheaper than decoding it fully. All other images, and all for
    ``framing="center"``, are decoded at their full size.

    Parameters
    ----------
    image : PIL.Image.Image
        As yielded by `skdpnet.images.files.open_image`: not decoded yet.
    framing : Framing

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
        What the network sees of the image, upright, as from
        `skdpnet.images.geometry.preprocess`.

    Raises
    ------
    UnusableImage
        If the image cannot be decoded or converted.
    """
    reduced = None
    with decoding():
        # A network's own crop is that of the image at its full size.
        may_reduce = framing.interpolation is None
        if may_reduce and image.format in ("JPEG", "MPO"):
            # Read first, because `draft` changes the size that the image reports.
            geometry = file_geometry(image)
            view = framing.view(*geometry.upright_size)
            reduction = _reduction(view)
            if reduction > 1:
                box = geometry.to_stored(view.box)
                width, height = image.size
                drafted = image.draft(None, (width // reduction, height // reduction))
                if drafted is not None:
                    # The decoder rounds sizes up, and its last row and column may
                    # extend beyond the image. The box thus has fractions of pixels.
                    box *= drafted[1][2] / geometry.stored_size[0]
                reduced = view, box
        image.load()
        # Read last, because a PNG file may have its EXIF data after the pixels.
        orientation = orientation_of(image)
        plain = image.mode == "RGB" and not image.has_transparency_data
        stored = image if plain else rgb_of(image)
        if reduced is None:
            return preprocess(turned(stored, orientation), framing)
        view, box = reduced
        size = view.size if orientation < 5 else view.size[::-1]
        small = resized(stored, size, box)
        if orientation != 1:
            small = np.array(turned(Image.fromarray(small), orientation))
        return on_input(small, view, framing)


def _reduction(view: View) -> int:
    """Return the factor by which both sides of an image may be reduced."""
    left, top, right, bottom = view.box
    across, down = view.size
    largest = min((right - left) / across, (bottom - top) / down) / _MIN_OVERSAMPLING
    return next((factor for factor in _REDUCTIONS if factor <= largest), 1)
