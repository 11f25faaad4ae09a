"""The pixels of a page: small JPEGs of images and crops, heat maps as tiny PNGs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from skdpnet.explanations.crops import crop, crops_by_image
from skdpnet.explanations.galleries import PartGallery
from skdpnet.images.collection import Images
from skdpnet.utils.colours import rgb

__all__ = [
    "Bitmaps",
    "cell_image",
    "cut_boxes",
    "cut_crops",
    "heat_image",
    "shrink_images",
]

# Longest sides in pixels.
IMAGE_SIDE = 320
_CROP_SIDE = 80
# Quality of the JPEGs.
_QUALITY = 80
# Opacity of the hottest cell, through which the image must still be visible.
_OPACITY = 0.8


class Bitmaps:
    """The images of a page, each stored once however often the page shows it."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def uris(self) -> list[str]:
        """``data:`` URIs, in the order of the bitmaps' numbers."""
        return list(self._numbers)

    def add(self, image: Image.Image) -> int:
        """Encode an image.

        Parameters
        ----------
        image : PIL.Image.Image
            RGB.

        Returns
        -------
        int
            The bitmap's number; images of the same pixels have the same number.
        """
        file = io.BytesIO()
        image.save(file, "JPEG", quality=_QUALITY, optimize=True)
        return self._numbers.setdefault(_uri("jpeg", file), len(self._numbers))


def shrink_images(
    images: Images, numbers: Iterable[int], bitmaps: Bitmaps, verbose: int = 0
) -> dict[int, tuple[int, tuple[int, int]]]:
    """Encode images, none larger than the page shows it.

    Parameters
    ----------
    images : Images
    numbers : iterable of int
        Numbers of the images to encode.
    bitmaps : Bitmaps
        The images are added to it.
    verbose : int, default=0
        1 or more: a progress bar.

    Returns
    -------
    dict of int to (int, (int, int))
        For each image, its bitmap's number, and its full width and height in pixels.
    """
    shrunk = {}
    for i in tqdm(
        list(numbers), desc="images of X_test", unit="image", disable=not verbose
    ):
        image = images.load(i)
        size = image.size
        image.thumbnail((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.LANCZOS)
        shrunk[i] = bitmaps.add(image), size
    return shrunk


def cut_crops(
    images: Images,
    galleries: Iterable[PartGallery],
    bitmaps: Bitmaps,
    verbose: int = 0,
) -> dict[int, list[int]]:
    """Encode the regions of galleries.

    Parameters
    ----------
    images : Images
        The images that the galleries are from.
    galleries : iterable of PartGallery
        Their boxes are in pixels of the upright images.
    bitmaps : Bitmaps
        The crops are added to it.
    verbose : int, default=0
        1 or more: a progress bar.

    Returns
    -------
    dict of int to list of int
        For each part, the numbers of its bitmaps, strongest region first.
    """
    shown = list(galleries)
    numbers = {gallery.part: [0] * len(gallery.images) for gallery in shown}
    n_images = len({i for gallery in shown for i in gallery.images.tolist()})
    for crops in tqdm(
        crops_by_image(images, shown),
        desc="crops of X_train",
        total=n_images,
        unit="image",
        disable=not verbose,
    ):
        for region, places in crops:
            region.thumbnail((_CROP_SIDE, _CROP_SIDE), Image.Resampling.LANCZOS)
            bitmap = bitmaps.add(region)
            for row, rank in places:
                numbers[shown[row].part][rank] = bitmap
    return numbers


def cut_boxes(
    images: Images, boxes: Mapping[int, np.ndarray], bitmaps: Bitmaps
) -> dict[int, list[int]]:
    """Encode regions of images.

    Parameters
    ----------
    images : Images
    boxes : mapping of int to float ndarray of shape (k, 4)
        For some images, boxes in pixels of the upright image.
    bitmaps : Bitmaps
        The regions are added to it.

    Returns
    -------
    dict of int to list of int
        For each of these images, the numbers of its regions' bitmaps.
    """
    numbers: dict[int, list[int]] = {}
    for i, places in boxes.items():
        image = images.load(i)
        numbers[i] = []
        for box in places:
            region = crop(image, box)
            region.thumbnail((_CROP_SIDE, _CROP_SIDE), Image.Resampling.LANCZOS)
            numbers[i].append(bitmaps.add(region))
    return numbers


def heat_image(heat: np.ndarray, colour: str) -> str | None:
    """Draw the positive cells of a heat map in one colour, the hotter the denser.

    Parameters
    ----------
    heat : float ndarray of shape (H, W)
        1 for the densest cells. The density grows with the root of the heat, so that a
        map with one hot cell does not look empty elsewhere.
    colour : str
        ``#rrggbb``.

    Returns
    -------
    str or None
        ``data:`` URI of a PNG of H×W pixels; None if all of it would be transparent.
    """
    alpha = np.round(255 * _OPACITY * np.sqrt(np.clip(heat, 0, 1))).astype(np.uint8)
    if not alpha.any():
        return None
    pixels = np.empty((*alpha.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = rgb(colour), alpha
    return cell_image(pixels)


def cell_image(pixels: np.ndarray) -> str:
    """Encode an array of colours as a PNG.

    Parameters
    ----------
    pixels : uint8 ndarray of shape (H, W, 4)
        Red, green, blue and opacity.

    Returns
    -------
    str
        ``data:`` URI.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return _uri("png", file)


def _uri(kind: str, file: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
