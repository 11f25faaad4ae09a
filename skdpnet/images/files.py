"""Opening image files, with a clear message if that fails."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from skdpnet.images.conversion import UnusableImage, check_header, decoding, too_large

FOLDER_HINT = "list the images in it with load_image_folder"


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
    with open_file(path) as file, decoding():
        return file.read()


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
        If the file is not an image, or is too large.
    """
    with decoding():
        try:
            image = Image.open(file)
        except UnidentifiedImageError as error:
            file.seek(0)
            raise UnusableImage(
                "the file is not an image that Pillow can read, or its header is "
                f"damaged; it begins with {file.read(12)!r}; save the image as "
                "JPEG or PNG"
            ) from error
        with image:
            check_header(image)
            # Between its limit and twice its limit Pillow only warns.
            width, height = image.size
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and width * height > limit:
                raise UnusableImage(
                    too_large(f"{width} x {height} pixels exceed the limit of {limit}")
                )
            yield image
