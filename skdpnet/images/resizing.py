"""Bicubic resizing of images, by the processor's vector units where it has them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["resized"]

# If the resized image is so much larger than what is seen of it, it is not made.
_MOST_CUT_OFF = 64

# Images of more pixels are resized by Pillow, which needs no copies of them: a PNG file
# of 66 million pixels took 1.05 GB with those for torch, and takes 0.44 GB by Pillow.
_MOST_PIXELS = 2**25

# So much larger are scales, so that rounding does not cost the last row or column.
_BEYOND_ROUNDING = 1 + 1e-9


def resized(
    image: Image.Image,
    size: tuple[int, int],
    box: Iterable[float],
    interpolation: str | None = None,
) -> NDArray[np.uint8]:
    """Resize a box of an image, by default by bicubic interpolation with antialiasing.

    torch computes what Pillow does, in a quarter of the time, with weights of 16 bits;
    images of more than 33 million pixels are Pillow's own, which takes less memory.
    Values differ from Pillow's by at most 1, where an image is enlarged by at most 2;
    along the edges of a box inside the image by more, because Pillow's filter reaches
    beyond them.

    Parameters
    ----------
    image : PIL.Image.Image
        RGB.
    size : (int, int)
        Width and height of the result, in pixels.
    box : iterable of 4 floats
        Left, top, right and bottom in pixels of `image`. Fractions of pixels are for
        boxes that are larger than the result.
    interpolation : str, default=None
        Of Pillow, which then computes all values, such as "bilinear" or "lanczos".

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
        The pixels of the box as they are, if it has this size already.

    Raises
    ------
    MemoryError
        If the result does not fit in memory.
    """
    left, top, right, bottom = map(float, box)
    around = left, top, right, bottom
    if interpolation is not None:
        how = Image.Resampling[interpolation.upper()]
        return np.array(_cut_out_of_resized(image, size, around, how))
    if left % 1 or top % 1 or image.width * image.height > _MOST_PIXELS:
        # torch's pixels begin at whole numbers.
        return np.array(image.resize(size, Image.Resampling.BICUBIC, around))
    covered = int(left), int(top), math.ceil(right), math.ceil(bottom)
    if covered != (0, 0, *image.size):
        image = image.crop(covered)
    # np.array rather than np.asarray: torch warns about arrays it cannot write.
    pixels = np.array(image)
    across, down = right - left, bottom - top
    if (across, down) == size:
        return pixels
    target: dict = {"size": size[::-1]}
    if (across, down) != image.size:
        # The box has a part of the last row or column, of which the scale tells.
        scales = size[1] / down, size[0] / across
        target = {"scale_factor": [scale * _BEYOND_ROUNDING for scale in scales]}
    try:
        small = torch.nn.functional.interpolate(
            torch.from_numpy(pixels).permute(2, 0, 1)[None],
            **target,
            mode="bicubic",
            antialias=True,
        )
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        raise MemoryError(
            f"an image of {size[0]}×{size[1]} pixels does not fit in memory: choose a "
            "smaller image_size."
        ) from None
    return small[0].permute(1, 2, 0).numpy()


def _cut_out_of_resized(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    how: Image.Resampling,
) -> Image.Image:
    """Resize a whole image, and cut a box out, as libraries of networks do.

    To resize the box alone rounds the coordinates of pixels otherwise, and some values
    differ by 1.
    """
    left, top, right, bottom = box
    across = round(image.width * size[0] / (right - left))
    down = round(image.height * size[1] / (bottom - top))
    if across * down > _MOST_CUT_OFF * size[0] * size[1]:
        return image.resize(size, how, box)
    x, y = round(left * across / image.width), round(top * down / image.height)
    whole = image.resize((across, down), how)
    return whole.crop((x, y, x + size[0], y + size[1]))
