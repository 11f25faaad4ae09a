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
from skdpnet.images.geometry import preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["input_pixels"]

# Side of the decoded square, at least, as a multiple of the input's side. At 2 the
# feature maps change half as much as by saving the image again as JPEG of quality 90,
# and less on fine textures; at 1 up to twice as much as by saving it again.
_MIN_OVERSAMPLING = 2


def input_pixels(image: Image.Image, image_size: int) -> NDArray[np.uint8]:
    """Decode an image file as the network's input.

    A JPEG image of at least four times the input's side is decoded at a half, a quarter
    or an eighth of its size, such that at least twice the input's side is left; the
    format makes this cheaper than decoding it fully. All other images are decoded at
    their full size.

    Parameters
    ----------
    image : PIL.Image.Image
        As yielded by `skdpnet.images.files.open_image`: not decoded yet.
    image_size : int
        Side S of the network's input in pixels.

    Returns
    -------
    ndarray of shape (S, S, 3), uint8
        The image's largest centred square, upright, as from
        `skdpnet.images.geometry.preprocess`.

    Raises
    ------
    UnusableImage
        If the image cannot be decoded or converted.
    """
    min_side = _MIN_OVERSAMPLING * image_size
    square = None
    with decoding():
        if image.format in ("JPEG", "MPO") and min(image.size) >= 2 * min_side:
            # Read first, because `draft` changes the size that the image reports.
            geometry = file_geometry(image)
            square = geometry.to_original([0, 0, 1, 1])
            drafted = image.draft(None, (min_side, min_side))
            if drafted is not None:
                # The decoder rounds sizes up, and its last row and column may extend
                # beyond the image. The square therefore has fractions of pixels.
                square *= drafted[1][2] / geometry.stored_size[0]
        image.load()
        # Read last, because a PNG file may have its EXIF data after the pixels.
        orientation = orientation_of(image)
        plain = image.mode == "RGB" and not image.has_transparency_data
        stored = image if plain else rgb_of(image)
        if square is None:
            return preprocess(turned(stored, orientation), image_size)
        small = stored.resize(
            (image_size, image_size), Image.Resampling.BICUBIC, box=tuple(square)
        )
        return np.array(turned(small, orientation))
