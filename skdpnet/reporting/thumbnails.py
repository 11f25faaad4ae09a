"""Pixels for a page: small JPEGs of images and crops, heat maps as tiny PNGs."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from skdpnet.explanations.galleries import PartGallery
from skdpnet.images.collection import Images

__all__ = ["Bitmaps", "cell_image", "cut_crops", "heat_image", "shrink_images"]

IMAGE_SIDE = 320
_CROP_SIDE = 80
_QUALITY = 80
# How opaque the hottest cell is: the image is to be seen through it.
_OPACITY = 0.8


class Bitmaps:
    """Images of a page, each once however often the page shows it."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def uris(self) -> list[str]:
        """``data:`` addresses, by number."""
        return list(self._numbers)

    def add(self, image: Image.Image) -> int:
        """Encode an image.

        Parameters
        ----------
        image : PIL.Image.Image
            In RGB.

        Returns
        -------
        int
            Its number; that of an earlier image of the same pixels.
        """
        file = io.BytesIO()
        image.save(file, "JPEG", quality=_QUALITY, optimize=True)
        return self._numbers.setdefault(_uri("jpeg", file), len(self._numbers))


def shrink_images(
    images: Images, numbers: Iterable[int], bitmaps: Bitmaps, verbose: int = 0
) -> dict[int, tuple[int, tuple[int, int]]]:
    """Encode images, none larger than a page shows it.

    Parameters
    ----------
    images : Images
    numbers : iterable of int
        Which of them.
    bitmaps : Bitmaps
        Takes the images.
    verbose : int, default=0
        1 or more: a progress bar.

    Returns
    -------
    dict of int to (int, (int, int))
        Under each number, that of the bitmap, and the full image's width and height
        in pixels.
    """
    out = {}
    for i in tqdm(
        list(numbers), desc="images of X_test", unit="image", disable=not verbose
    ):
        image = images.load(i)
        size = image.size
        image.thumbnail((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.LANCZOS)
        out[i] = bitmaps.add(image), size
    return out


def cut_crops(
    images: Images,
    galleries: Iterable[PartGallery],
    bitmaps: Bitmaps,
    verbose: int = 0,
) -> dict[int, list[int]]:
    """Cut the regions of galleries out of their images, reading each image once.

    Parameters
    ----------
    images : Images
        That the galleries are of.
    galleries : iterable of PartGallery
        Boxes in pixels of the upright images.
    bitmaps : Bitmaps
        Takes the crops.
    verbose : int, default=0
        1 or more: a progress bar.

    Returns
    -------
    dict of int to list of int
        Of each part, the numbers of its bitmaps, strongest region first.
    """
    told = list(galleries)
    places: dict[int, dict[tuple[int, ...], list[tuple[int, int]]]] = defaultdict(dict)
    out: dict[int, list[int]] = {}
    for own in told:
        out[own.part] = [0] * len(own.images)
        for rank, (i, box) in enumerate(zip(own.images, own.boxes, strict=True)):
            corners = tuple(np.round(box).astype(int).tolist())
            places[int(i)].setdefault(corners, []).append((own.part, rank))
    for i in tqdm(
        sorted(places), desc="crops of X_train", unit="image", disable=not verbose
    ):
        image = images.load(i)
        for corners, users in places[i].items():
            number = bitmaps.add(_crop(image, corners))
            for part, rank in users:
                out[part][rank] = number
    return out


def _crop(image: Image.Image, corners: tuple[int, ...]) -> Image.Image:
    # A region of a tiny image may be rounded to nothing, or reach over the edge.
    left = max(0, min(corners[0], image.width - 1))
    top = max(0, min(corners[1], image.height - 1))
    right = max(left + 1, min(corners[2], image.width))
    bottom = max(top + 1, min(corners[3], image.height))
    crop = image.crop((left, top, right, bottom))
    crop.thumbnail((_CROP_SIDE, _CROP_SIDE), Image.Resampling.LANCZOS)
    return crop


def heat_image(heat: np.ndarray, colour: str) -> str | None:
    """Draw the positive cells of a heat map in one colour, the stronger the denser.

    Parameters
    ----------
    heat : float ndarray of shape (H, W)
        1 for as dense as can be. The density grows with the root, lest a map with one
        hot cell seem empty elsewhere.
    colour : str
        ``#rrggbb``.

    Returns
    -------
    str or None
        ``data:`` address of a PNG of H×W pixels; None where it would be empty.
    """
    alpha = np.round(255 * _OPACITY * np.sqrt(np.clip(heat, 0, 1))).astype(np.uint8)
    if not alpha.any():
        return None
    return cell_image(np.dstack([_plane(colour, alpha.shape), alpha]))


def cell_image(pixels: np.ndarray) -> str:
    """Encode an array of colours as a PNG.

    Parameters
    ----------
    pixels : uint8 ndarray of shape (H, W, 4)
        Red, green, blue and opacity.

    Returns
    -------
    str
        ``data:`` address.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return _uri("png", file)


def _plane(colour: str, shape: tuple[int, ...]) -> np.ndarray:
    rgb = np.array(list(bytes.fromhex(colour.removeprefix("#"))), np.uint8)
    return np.broadcast_to(rgb, (*shape, 3))


def _uri(kind: str, file: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
