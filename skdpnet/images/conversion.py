"""Conversion of PIL images of all modes to upright 8-bit RGB.

The functions here see single images. They raise `UnusableImage` with a message about
the image, to which `skdpnet.images.collection` adds which image it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image

from skdpnet.images.formats import is_readable
from skdpnet.images.geometry import Geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
NOT_DECODED = "which is not read because Pillow does not decode it by itself"
# What a message about a large image advises; the command line has an option for it.
RAISE_LIMIT = "raise PIL.Image.MAX_IMAGE_PIXELS"


class UnusableImage(ValueError):
    """An image cannot be used; the message says why, but does not name the image."""


@contextmanager
def decoding() -> Iterator[None]:
    """Turn every error of Pillow inside the ``with`` block into `UnusableImage`."""
    try:
        yield
    except (UnusableImage, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = str(error).rstrip(".")
        raise UnusableImage(
            f"the image is too large: {reason}; make it smaller or, if you trust the "
            f"file, {RAISE_LIMIT}"
        ) from error
    except Exception as error:
        # Pillow's readers raise nearly every kind of exception on damaged data,
        # among them SyntaxError, AssertionError and struct.error.
        if "truncated" in str(error).lower() or isinstance(error, EOFError):
            problem = "the file is truncated, part of the image is missing"
        else:
            problem = "the image cannot be decoded"
        reason = str(error) or type(error).__name__
        remedy = "fetch or save it again"
        if "MAX_TEXT_" in reason or reason.lower().startswith("decompressed data"):
            remedy = (
                "save it again without its texts and profiles or, if you trust the "
                "file, raise MAX_TEXT_CHUNK and MAX_TEXT_MEMORY of PIL.PngImagePlugin"
            )
        raise UnusableImage(f"{problem} ({reason}); {remedy}") from error


def check_header(image: Image.Image) -> None:
    """Check the size and the mode of an image, which may not be decoded yet.

    Parameters
    ----------
    image : PIL.Image.Image
        Any image.

    Raises
    ------
    UnusableImage
        If it has no pixels, or floating point values.
    """
    width, height = image.size
    if width < 1 or height < 1:
        raise UnusableImage(f"the image has no pixels (size {width} x {height})")
    if image.mode == "F":
        raise UnusableImage(
            "the image holds floating point numbers of unknown range (mode 'F'); "
            "pass a float array scaled to [0, 1] instead"
        )


def check_image(image: Image.Image) -> None:
    """Check a PIL image that the user passed, without decoding it.

    Parameters
    ----------
    image : PIL.Image.Image
        Any image, decoded or not.

    Raises
    ------
    UnusableImage
        If it is known already that it cannot be converted.
    """
    check_header(image)
    if getattr(image, "tile", None):  # a file that is not decoded yet
        if not is_readable(image.format):
            raise UnusableImage(
                f"the file has the format {image.format}, {NOT_DECODED}; pass "
                "image.convert('RGB') if you trust it"
            )
        if getattr(image, "fp", None) is None:
            raise UnusableImage(
                "the image's file was closed before it was decoded; call its "
                "load() first, or pass the path"
            )
    elif image.mode == "I":
        with decoding():
            _wide_values(image)


def orientation_of(image: Image.Image) -> int:
    """Read the EXIF orientation.

    Parameters
    ----------
    image : PIL.Image.Image
        Any image.

    Returns
    -------
    int
        1 to 8; 1 if there is none or the EXIF data are corrupt.
    """
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        # Damaged EXIF data can raise almost any exception, and are no reason to
        # refuse an image whose pixels are intact.
        return 1
    return value if isinstance(value, int) and value in _TRANSPOSE else 1


def file_geometry(image: Image.Image) -> Geometry:
    """Read size and orientation of an image file that is not decoded yet.

    Parameters
    ----------
    image : PIL.Image.Image
        As yielded by `open_image`.

    Returns
    -------
    Geometry
    """
    size = image.size
    # For TIFF files Pillow reports the size after the orientation is applied.
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        size = (tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT])
    return Geometry(size, orientation_of(image))


def object_geometry(image: Image.Image) -> Geometry:
    """Read size and orientation of a PIL image that the user passed.

    Parameters
    ----------
    image : PIL.Image.Image
        Any image.

    Returns
    -------
    Geometry
        Relative to the pixels that ``numpy.asarray(image)`` shows.
    """
    with decoding():
        image.load()
    return Geometry(image.size, orientation_of(image))


def opened_geometry(image: Image.Image) -> Geometry:
    """Read size and orientation that an opened image will have when it is decoded.

    Parameters
    ----------
    image : PIL.Image.Image
        As yielded by `image_in`.

    Returns
    -------
    Geometry
        As from `object_geometry`.
    """
    geometry = file_geometry(image)
    if hasattr(image, "tag_v2"):
        # Pillow applies the orientation of TIFF files while it decodes them.
        return Geometry(geometry.upright_size, 1)
    return geometry


def upright_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to 8-bit RGB and apply its EXIF orientation.

    Parameters
    ----------
    image : PIL.Image.Image
        Any image; transparent areas become white.

    Returns
    -------
    PIL.Image.Image
        A new image.

    Raises
    ------
    UnusableImage
        If the image cannot be decoded or converted.
    """
    check_header(image)
    with decoding():
        # Decoded before the orientation is read, because Pillow applies that of TIFF
        # files while decoding, and a PNG file may have its EXIF data after the pixels.
        image.load()
        return turned(rgb_of(image), orientation_of(image))


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Rotate and mirror a stored image to be upright.

    Parameters
    ----------
    image : PIL.Image.Image
        As it is stored.
    orientation : int
        EXIF orientation, 1 to 8.

    Returns
    -------
    PIL.Image.Image
        The image itself if it is upright already.
    """
    method = _TRANSPOSE.get(orientation)
    return image if method is None else image.transpose(method)


def rgb_of(image: Image.Image) -> Image.Image:
    """Convert a decoded image to RGB, leaving its orientation as it is.

    Parameters
    ----------
    image : PIL.Image.Image
        Any decoded image; transparent areas become white.

    Returns
    -------
    PIL.Image.Image
        A new image.

    Raises
    ------
    UnusableImage
        If the values of a 32-bit image exceed 16 bits.
    """
    if image.mode.startswith("I"):
        wide = _wide_values(image)
        grey = to_8_bits(wide)
        if "transparency" in image.info:
            grey[wide == image.info["transparency"]] = 255
        return Image.fromarray(grey).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    # Pillow cannot convert premultiplied grey to RGBA directly. Other images are
    # copied, because Pillow changes the palette of an image with a transparent colour
    # when it converts it.
    layer = image.convert("LA") if image.mode == "La" else image.copy()
    layer = layer.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(layer, mask=layer)
    return canvas


def _wide_values(image: Image.Image) -> NDArray[Any]:
    """Return grey values of 16 bits, which Pillow's own conversion would clip."""
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise UnusableImage(
            f"the image's grey values run from {low} to {high}, outside 16 bits; "
            "pass a float array scaled to [0, 1] instead"
        )
    return values


def to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Divide 16-bit values by 257 and round.

    Parameters
    ----------
    values : ndarray
        Integers from 0 to 65535.

    Returns
    -------
    ndarray, uint8
        Of the same shape, from 0 to 255.
    """
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
