"""Image files decoded no larger than the network's input needs."""

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
from skdpnet.images.geometry import preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["input_pixels"]

# How many pixels of the decoded image a pixel of the input is made of, each way, at
# least. At 2 the maps move by half of what saving an image again as JPEG of quality 90
# does, and less than that on fine textures; at 1 by up to twice as much as that does.
_GAP = 2


def input_pixels(image: Image.Image, image_size: int) -> NDArray[np.uint8]:
    """Decode an image file as the network's input.

    A JPEG image at least four times as large as the input is decoded at a half, a
    quarter or an eighth of its size, which its format gives at a fraction of the cost,
    so that still at least twice the input's side is left; every other image at its
    full size.

    Parameters
    ----------
    image : PIL.Image.Image
        As yielded by `skdpnet.images.files.open_image`: not decoded yet.
    image_size : int
        Side S of the network's input in pixels.

    Returns
    -------
    ndarray of shape (S, S, 3), uint8
        The image's centred square, upright; as from
        `skdpnet.images.geometry.preprocess`.

    Raises
    ------
    UnusableImage
        If the image cannot be decoded or converted.
    """
    enough = _GAP * image_size
    square = None
    with decoding():
        if image.format in ("JPEG", "MPO") and min(image.size) >= 2 * enough:
            # Read from the header while it tells the size that the file has.
            geometry = file_geometry(image)
            square = geometry.to_original([0, 0, 1, 1])
            drafted = image.draft(None, (enough, enough))
            if drafted is not None:
                # The decoder rounds sizes up: its last row and column may reach over
                # the image's edge, so the square has fractions of pixels.
                square *= drafted[1][2] / geometry.stored_size[0]
        image.load()
        # Known only now: a PNG file may carry its EXIF data behind the pixels.
        orientation = orientation_of(image)
        plain = image.mode == "RGB" and not image.has_transparency_data
        stored = image if plain else rgb_of(image)
        if square is None:
            return preprocess(turned(stored, orientation), image_size)
        small = stored.resize(
            (image_size, image_size), Image.Resampling.BICUBIC, box=tuple(square)
        )
        return np.array(turned(small, orientation))
