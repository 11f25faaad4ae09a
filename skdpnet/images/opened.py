"""PIL images that are opened but not decoded yet, which are read like their files.

Pillow decodes an opened image when its pixels are first needed, and keeps them. A list
of many opened images would so fill the memory with pixels that nobody needs again.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from PIL import Image

from skdpnet.images.conversion import UnusableImage, orientation_of
from skdpnet.images.files import content_of, image_in
from skdpnet.utils.forks import ForkSafeLock

__all__ = ["DECODING", "content_of_opened", "is_undecoded"]

# Pillow decodes when pixels are first needed, and not in two threads at once; meanwhile
# the image looks as if its file were closed. Threads also share the position in a file.
DECODING = ForkSafeLock()


def is_undecoded(image: Image.Image) -> bool:
    """Return whether an image was opened from a file, and not decoded yet.

    Parameters
    ----------
    image : PIL.Image.Image

    Returns
    -------
    bool
    """
    attributes = vars(image)
    # The property `im` of recent versions raises an error while there are no pixels.
    pixels = attributes.get("_im", attributes.get("im"))
    return pixels is None and attributes.get("fp") is not None


def content_of_opened(image: Image.Image) -> bytes | None:
    """Read the file of an image that is opened, but not decoded yet.

    Parameters
    ----------
    image : PIL.Image.Image
        Its position in the file stays as it is.

    Returns
    -------
    bytes or None
        The whole file. None if the image is decoded; if its file cannot be read from
        the start; or if the user has changed the image since it was opened, so that
        decoding the file would give another.

    Raises
    ------
    UnusableImage
        If the file has a format that is not read, or is too large.
    """
    with DECODING:
        if not is_undecoded(image):
            return None
        content = _read(image.fp)  # type: ignore[attr-defined]
    if content is None:
        return None
    with image_in(io.BytesIO(content)) as again:
        return content if _same(image, again) else None


def _read(file: BinaryIO) -> bytes | None:
    """Read a file from the start, and return to where it was."""
    try:
        position = file.tell()
        try:
            return content_of(file)
        finally:
            file.seek(position)
    except UnusableImage:
        raise
    except (OSError, ValueError, AttributeError):
        return None  # it is closed, or cannot be read twice


def _same(image: Image.Image, again: Image.Image) -> bool:
    """Return whether an opened image is as its file describes it."""
    if image.tell() != 0 or type(image) is not type(again):
        return False
    if (image.size, image.mode) != (again.size, again.mode):
        return False
    if image.info != again.info:
        return False
    # EXIF data that nobody has asked for cannot have been changed.
    asked = getattr(image, "_exif", None) is not None
    return not asked or orientation_of(image) == orientation_of(again)
