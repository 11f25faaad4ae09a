"""Opening image files, with a clear message if that fails."""

from __future__ import annotations

import io
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from skdpnet.images.conversion import (
    NOT_DECODED,
    RAISE_LIMIT,
    UnusableImage,
    check_header,
    decoding,
)
from skdpnet.images.formats import readable_formats, refused_format

FOLDER_HINT = "list the images in it with load_image_folder"

# A file may have as many bytes as the pixels of its first image need without
# compression, and this many besides, for further images, thumbnails and profiles. It is
# read as a whole, so that a longer one would fill the memory.
_BYTES_BESIDES = 2**28
# Red, green, blue and opacity of 16 bits.
_MOST_BYTES_PER_PIXEL = 8
_TIFF_TILE = 322, 323


@contextmanager
def open_file(path: str) -> Iterator[BinaryIO]:
    """Open a regular, non-empty file for reading.

    Parameters
    ----------
    path : str
        The path; a leading ``~`` stands for the home directory.

    Yields
    ------
    file
        Opened for reading bytes.

    Raises
    ------
    UnusableImage
        If there is no such file or it cannot be read.
    """
    full = os.path.expanduser(path)
    try:
        # Checked before opening, because opening a pipe would wait forever.
        status = os.stat(full)
        if stat.S_ISDIR(status.st_mode):
            raise UnusableImage(f"this is a folder, not a file; {FOLDER_HINT}")
        if not stat.S_ISREG(status.st_mode):
            raise UnusableImage("this is not a regular file (a pipe or a device?)")
        if status.st_size == 0:
            raise UnusableImage("the file is empty (0 bytes); fetch or save it again")
        file = open(full, "rb")
    except UnusableImage:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise UnusableImage(_missing(path, full, error)) from error
    with file:
        yield file


def _missing(path: str, full: str, error: Exception) -> str:
    """Return the message for a file that cannot be opened."""
    if not path:
        return "the path is empty"
    if path.startswith(("http://", "https://")):
        return "this is a web address; download the image and pass its path"
    if isinstance(error, PermissionError):
        return "permission denied; make the file readable for this user"
    if isinstance(error, FileNotFoundError) and os.path.islink(full):
        return f"the link is broken: it points to '{os.readlink(full)}'"
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        for form in ("NFC", "NFD"):
            other = unicodedata.normalize(form, full)
            if other != full and os.path.exists(other):
                return (
                    "there is no such file, but one of that name in another Unicode "
                    f'form; pass unicodedata.normalize("{form}", path)'
                )
        if os.path.isabs(full):
            return "there is no such file; check the path"
        return (
            "there is no such file; relative paths start at the working directory, "
            f"'{os.getcwd()}'"
        )
    reason = getattr(error, "strerror", None) or error
    return f"the file cannot be opened ({reason})"


def read_file(path: str) -> bytes:
    """Read a regular, non-empty file.

    Parameters
    ----------
    path : str
        The path; a leading ``~`` stands for the home directory.

    Returns
    -------
    bytes

    Raises
    ------
    UnusableImage
        If there is no such file or it cannot be read.
    """
    with open_file(path) as file:
        return content_of(file)


def content_of(file: BinaryIO) -> bytes:
    """Read a file whole, unless it is much longer than its image needs.

    Parameters
    ----------
    file : file
        Opened for reading bytes.

    Returns
    -------
    bytes

    Raises
    ------
    UnusableImage
        If it cannot be read, or is too long.
    """
    with decoding():
        n_bytes = file.seek(0, io.SEEK_END)
        if n_bytes > _BYTES_BESIDES:
            with image_in(file):
                pass
        file.seek(0)
        # What is added to the file meanwhile is left out.
        return file.read(n_bytes)


@contextmanager
def open_image(path: str) -> Iterator[Image.Image]:
    """Open an image file and read its header.

    Parameters
    ----------
    path : str
        Path of the file.

    Yields
    ------
    PIL.Image.Image
        As from `image_in`.

    Raises
    ------
    UnusableImage
        If the file cannot be read, is not an image, or is too large.
    """
    with open_file(path) as file, image_in(file) as image:
        yield image


@contextmanager
def image_in(file: BinaryIO) -> Iterator[Image.Image]:
    """Read an image's header from an open file.

    Parameters
    ----------
    file : file
        Opened for reading bytes.

    Yields
    ------
    PIL.Image.Image
        Not decoded yet. Errors of decoding it inside the ``with`` block become
        `UnusableImage` as well.

    Raises
    ------
    UnusableImage
        If the file is not an image, has a format that is not read, or is too large.
    """
    with decoding():
        n_bytes = file.seek(0, io.SEEK_END)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None:
            # Some of Pillow's readers read the whole file before the image's size is
            # known, so the largest that Pillow allows is taken for it.
            _check_length(n_bytes, 2 * limit)
        with opened_image(file) as image:
            check_header(image)
            if limit is not None:
                _check_length(n_bytes, image.width * image.height)
                _check_tiles(image, 2 * limit)
            yield image


def _check_length(n_bytes: int, n_pixels: int) -> None:
    """Refuse a file that is much longer than its image needs."""
    if n_bytes > _BYTES_BESIDES + _MOST_BYTES_PER_PIXEL * n_pixels:
        raise UnusableImage(
            f"the file has {n_bytes / 1e6:.0f} MB, far more than its image can need; "
            "save the first of its images alone or, if you trust the file, set "
            "PIL.Image.MAX_IMAGE_PIXELS = None"
        )


def _check_tiles(image: Image.Image, limit: int) -> None:
    """Refuse a TIFF file whose tiles are far larger than the image that they hold."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return
    width, height = (
        max(side, tags.get(tag, 0))
        for side, tag in zip(image.size, _TIFF_TILE, strict=True)
    )
    if width * height > limit:
        raise UnusableImage(
            f"the file's tiles of {width} x {height} pixels are too large; save the "
            f"image again or, if you trust the file, {RAISE_LIMIT}"
        )


def opened_image(file: BinaryIO) -> Image.Image:
    """Let Pillow recognise the format of a file, among those that are read.

    Parameters
    ----------
    file : file
        Opened for reading bytes.

    Returns
    -------
    PIL.Image.Image
        Not decoded, and of any size and mode.

    Raises
    ------
    UnusableImage
        If the file is not an image, or has a format that is not read.
    """
    # Pillow's plugins for rare formats are imported when no other recognises a file.
    for register in (Image.preinit, Image.init):
        register()
        try:
            file.seek(0)
            return Image.open(file, formats=readable_formats())
        except UnidentifiedImageError as error:
            failure = error
    file.seek(0)
    start = file.read(16)
    refused = refused_format(start)
    if refused is not None:
        problem = f"the file has the format {refused}, {NOT_DECODED}"
    else:
        problem = (
            "the file is not an image that Pillow can read, or its header is "
            f"damaged; it begins with {start[:12]!r}"
        )
    raise UnusableImage(f"{problem}; save the image as JPEG or PNG") from failure
