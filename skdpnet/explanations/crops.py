"""Crops: regions cut out of images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from skdpnet.explanations.galleries import PartGallery
from skdpnet.images.collection import Images

__all__ = ["crop", "crops_by_image"]


def crop(image: Image.Image, box: ArrayLike) -> Image.Image:
    """Cut a box out of an image.

    Parameters
    ----------
    image : PIL.Image.Image
    box : array-like of shape (4,)
        (left, top, right, bottom) in pixels. It is clipped to the image, and enlarged
        to whole pixels, at least one in each direction.

    Returns
    -------
    PIL.Image.Image

    Examples
    --------
    >>> from PIL import Image
    >>> from skdpnet.explanations.crops import crop
    >>> crop(Image.new("RGB", (50, 40)), (10, 5.2, 20, 39.9)).size
    (10, 35)
    """
    left, top, right, bottom = np.asarray(box, np.float64)
    left, right = _whole_pixels(left, right, image.width)
    top, bottom = _whole_pixels(top, bottom, image.height)
    return image.crop((left, top, right, bottom))


def _whole_pixels(start: float, end: float, size: int) -> tuple[int, int]:
    """Return the first pixel of an interval, and the one after its last."""
    # The edges of regions lie on whole pixels only up to rounding errors.
    first = min(max(0, int(np.floor(start + 1e-6))), size - 1)
    last = min(int(np.ceil(end - 1e-6)), size)
    return first, max(first + 1, last)


def crops_by_image(
    images: Images, galleries: Sequence[PartGallery]
) -> Iterator[list[tuple[Image.Image, list[tuple[int, int]]]]]:
    """Cut the regions of galleries out of their images, reading each image once.

    Parameters
    ----------
    images : Images
        The images that the galleries are from.
    galleries : sequence of PartGallery
        Their boxes are in pixels of the upright images.

    Yields
    ------
    list of (PIL.Image.Image, list of (int, int))
        The crops of the next image, each with a list of its positions: the index of the
        gallery in `galleries`, and that of the region in the gallery. Galleries with
        the same region of an image share a crop.
    """
    positions: dict = defaultdict(lambda: defaultdict(list))
    for row, gallery in enumerate(galleries):
        for column, (i, box) in enumerate(
            zip(gallery.images.tolist(), gallery.boxes.tolist(), strict=True)
        ):
            positions[i][tuple(box)].append((row, column))
    for i in sorted(positions):
        image = images.load(i)
        yield [(crop(image, box), shared) for box, shared in positions[i].items()]
