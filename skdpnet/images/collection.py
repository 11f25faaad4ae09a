"""What an image may be: reading and checking images of every kind.

The way from a list of images to the network's input is ::

    images = as_images(X)
    images.check()
    pixels, _ = images.network_input(0, image_size)

and ``images.geometry(0)`` leads back from the network's input to the image.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from skdpnet.exceptions import ImageError
from skdpnet.images.arrays import array_to_rgb, checked_array, is_tensor
from skdpnet.images.containers import checked_items, is_path, path_text
from skdpnet.images.conversion import (
    UnusableImage,
    check_image,
    file_geometry,
    object_geometry,
    upright_rgb,
)
from skdpnet.images.files import image_in, open_image, read_file
from skdpnet.images.geometry import Geometry, preprocess
from skdpnet.images.preprocessing import input_pixels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Images", "as_images"]

_DECODING = threading.Lock()


class Images:
    """A list of images, none of which is read before it is asked for.

    Made by :func:`as_images`. Holds references to what the user passed and copies
    nothing.

    Parameters
    ----------
    items : sequence
        The images: a list or a stacked array or tensor.
    numbers : ndarray of shape (n,), int
        Which of the items this view shows, and in which order.
    """

    def __init__(self, items: Any, numbers: np.ndarray) -> None:
        self._items = items
        self._numbers = numbers

    def __len__(self) -> int:
        """Count the images.

        Returns
        -------
        int
        """
        return len(self._numbers)

    def take(self, indices: ArrayLike) -> Images:
        """Select images.

        Parameters
        ----------
        indices : array-like of int
            Positions in this view, in the order wanted.

        Returns
        -------
        Images
            A view; its errors name the items by their number in the original list.
        """
        chosen = np.asarray(indices)
        if chosen.size == 0:
            chosen = chosen.astype(np.intp)
        return Images(self._items, self._numbers[chosen])

    def describe(self, i: int) -> str:
        """Name an image for a message.

        Parameters
        ----------
        i : int
            Position in this view.

        Returns
        -------
        str
            For instance ``item 3 ('photos/a.jpg')``.
        """
        item = self._items[self._numbers[i]]
        if is_path(item):
            path = path_text(item)
            # Names with line breaks or undecodable bytes would spoil the message.
            what = f"'{path}'" if path.isprintable() else repr(path)
        elif isinstance(item, Image.Image):
            what = f"PIL image of size {item.width} x {item.height}, mode {item.mode}"
        elif isinstance(item, np.ndarray):
            what = f"array of shape {item.shape}"
        elif is_tensor(item):
            what = f"tensor of shape {tuple(item.shape)}"
        else:
            what = type(item).__name__
        return f"item {self._numbers[i]} ({what})"

    def check(self) -> None:
        """Check every image before any work is done.

        Looks at existence, header, size, shape, dtype and range of values; the
        pixels of files are not decoded, so that a truncated file is found by
        :meth:`load` only.

        Raises
        ------
        ImageError
            For the first image that cannot be used.
        """
        for i in range(len(self)):
            with self._named(i) as item:
                if is_path(item):
                    with open_image(path_text(item)):
                        pass
                elif isinstance(item, Image.Image):
                    check_image(item)
                else:
                    checked_array(item)

    def load(self, i: int) -> Image.Image:
        """Read an image.

        Files with several frames are represented by the first one, transparent
        parts become white, and 16-bit values are scaled to 8 bits.

        Parameters
        ----------
        i : int
            Position in this view.

        Returns
        -------
        PIL.Image.Image
            Upright (EXIF orientation applied), RGB, 8 bits.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        with self._named(i) as item:
            if is_path(item):
                with open_image(path_text(item)) as image:
                    return upright_rgb(image)
            if isinstance(item, Image.Image):
                # Pillow decodes late, and one image not in two threads at once; while
                # it does, the image looks like one whose file was closed.
                with _DECODING:
                    check_image(item)
                    return upright_rgb(item)
            return array_to_rgb(checked_array(item))

    def content_key(self, i: int) -> str:
        """Identify an image by its content, whatever its name.

        Parameters
        ----------
        i : int
            Position in this view.

        Returns
        -------
        str
            32 hexadecimal digits; of the bytes for a file, of the upright RGB
            pixels for everything else, so that the same image has two keys.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        with self._named(i) as item:
            if is_path(item):
                return _key_of_file(read_file(path_text(item)))
        return _key_of_pixels(self.load(i))

    def network_input(
        self, i: int, image_size: int, *, keyed: bool = False
    ) -> tuple[NDArray[np.uint8], str]:
        """Read an image, once, as the network's input.

        Parameters
        ----------
        i : int
            Position in this view.
        image_size : int
            Side S of the network's input in pixels.
        keyed : bool, default=False
            Whether to tell the content key of just what was read.

        Returns
        -------
        pixels : ndarray of shape (S, S, 3), uint8
            Of files, as `skdpnet.images.preprocessing.input_pixels` decodes them.
        key : str
            As from :meth:`content_key`; empty without `keyed`.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        with self._named(i) as item:
            if is_path(item):
                content = read_file(path_text(item))
                with image_in(io.BytesIO(content)) as image:
                    pixels = input_pixels(image, image_size)
                return pixels, _key_of_file(content) if keyed else ""
        loaded = self.load(i)
        key = _key_of_pixels(loaded) if keyed else ""
        return preprocess(loaded, image_size), key

    def geometry(self, i: int) -> Geometry:
        """Tell where the network's input lies in an image.

        Parameters
        ----------
        i : int
            Position in this view.

        Returns
        -------
        Geometry
            For a file read from its header.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        with self._named(i) as item:
            if is_path(item):
                with open_image(path_text(item)) as image:
                    return file_geometry(image)
            if isinstance(item, Image.Image):
                check_image(item)
                return object_geometry(item)
            height, width = checked_array(item).shape[:2]
            return Geometry((width, height), 1)

    @contextmanager
    def _named(self, i: int) -> Iterator[Any]:
        """Yield an item, and put its name in front of what is wrong with it."""
        item = self._items[self._numbers[i]]
        try:
            yield item
        except UnusableImage as error:
            raise ImageError(
                f"{self.describe(i)}: {error}",
                int(self._numbers[i]),
                path_text(item) if is_path(item) else None,
            ) from error.__cause__


# The persons keep a file from having the key of somebody's pixels.
def _key_of_file(content: bytes) -> str:
    digest = hashlib.blake2b(content, digest_size=16, person=b"skdpnet file")
    return digest.hexdigest()


def _key_of_pixels(image: Image.Image) -> str:
    digest = hashlib.blake2b(digest_size=16, person=b"skdpnet pixels")
    digest.update(f"{image.width}x{image.height}:".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def as_images(X: Any) -> Images:
    """Check that X is a list of images, without looking at the images.

    Parameters
    ----------
    X : list, tuple, array, tensor, Series or single-column DataFrame
        One image per item. Each may be a path, a PIL image, a NumPy array of
        shape (height, width), (height, width, 1), (height, width, 3) or
        (height, width, 4), or a torch tensor of shape (height, width),
        (1, height, width), (3, height, width) or (4, height, width). Arrays and
        tensors hold uint8 (0 to 255), uint16 (0 to 65535) or float (0 to 1).
        Arrays of one size may be stacked to n x height x width x channels or
        n x height x width, tensors to n x channels x height x width.

    Returns
    -------
    Images

    Raises
    ------
    TypeError
        If X is a single image or no list at all.
    ValueError
        If X is empty or has the wrong shape.
    """
    items = checked_items(X)
    return Images(items, np.arange(len(items)))
