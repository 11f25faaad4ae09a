"""Lists of images of all accepted kinds, each read only when it is needed.

A list of images becomes the network's input by ::

    images = as_images(X)
    images.check()
    pixels, _ = images.network_input(0, framing)

and ``images.geometry(0)`` leads back from the network's input to the image.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from skdpnet.exceptions import ImageError
from skdpnet.images.arrays import array_to_rgb, checked_array
from skdpnet.images.bad_images import check_ranges, header_errors, raise_all
from skdpnet.images.containers import checked_items, is_path, name_of, path_text
from skdpnet.images.conversion import (
    UnusableImage,
    check_image,
    file_geometry,
    object_geometry,
    opened_geometry,
    upright_rgb,
)
from skdpnet.images.data_sets import image_of
from skdpnet.images.digest import digest_of_file, digest_of_pixels
from skdpnet.images.files import image_in, open_image, read_file
from skdpnet.images.framing import Framing
from skdpnet.images.geometry import Geometry, preprocess
from skdpnet.images.opened import DECODING, content_of_opened
from skdpnet.images.pillow_settings import CarriesPillowSettings
from skdpnet.images.preprocessing import input_pixels
from skdpnet.images.value_range import ValueRanges

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Images", "as_images"]


class Images(CarriesPillowSettings):
    """A list of images, none of which is read before it is needed.

    Created by :func:`as_images`. Refers to the items that the user passed, without
    copying them.

    Parameters
    ----------
    items : sequence
        The images: a list or a stacked array or tensor.
    numbers : ndarray of shape (n,), int
        Positions in `items` of the images of this view, in its order.
    left_out : list of ImageError, default=None
        Where to keep the errors of images that cannot be used. They are then left out,
        so that there are fewer results than images. None: such images are errors.
    is_for_fit : bool, default=False
        Whether values that use a small part of their range are an error.
    """

    def __init__(
        self,
        items: Any,
        numbers: np.ndarray,
        left_out: list[ImageError] | None = None,
        is_for_fit: bool = False,
    ) -> None:
        self._items = items
        self._numbers = numbers
        self.left_out = left_out
        self._is_for_fit = is_for_fit

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._numbers)

    def take(self, indices: ArrayLike) -> Images:
        """Select images.

        Parameters
        ----------
        indices : array-like of int
            Positions in this view, in the order of the result.

        Returns
        -------
        Images
            A view. Its error messages give each item's number in the original list.
        """
        chosen = np.asarray(indices)
        if chosen.size == 0:
            chosen = chosen.astype(np.intp)
        return self._view(self._numbers[chosen], self.left_out, self._is_for_fit)

    def skipping(self) -> Images:
        """Return a view of the same images without those that cannot be used.

        Which these are is known when the images are read: each use of the view adds
        their errors to its `left_out`.

        Returns
        -------
        Images
        """
        return self._view(self._numbers, [], self._is_for_fit)

    def for_fit(self) -> Images:
        """Return a view of the same images, which are to be learned from.

        Returns
        -------
        Images
            Its :meth:`checked` refuses images that can hardly be meant.
        """
        return self._view(self._numbers, self.left_out, True)

    def _view(self, *arguments: Any) -> Images:
        return Images(self._items, *arguments)

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
        name = name_of(self._items[self._numbers[i]])
        return f"item {self._numbers[i]} ({name})"

    def check(self) -> None:
        """Check every image as far as possible without decoding it.

        Files must exist and have a valid header; shapes, dtypes and ranges of values
        must be right. A truncated file is only found by :meth:`load`. If any image is
        bad, the others are decoded too, so that the error names all bad ones.

        Raises
        ------
        ImageError
            For all images that cannot be used.
        """
        raise_all(self, header_errors(self))

    def checked(self) -> Images:
        """Check every image as :meth:`check` does, and leave out what is to be skipped.

        Returns
        -------
        Images
            The images whose headers are good.

        Raises
        ------
        ImageError
            As :meth:`check`; of a view that skips images, if all of them are bad.
        ValueError
            As `skdpnet.images.bad_images.check_ranges`, which also warns.
        """
        ranges = ValueRanges()
        errors = header_errors(self, ranges)
        good = self
        if self.left_out is None:
            raise_all(self, errors)
        elif len(errors) == len(self):
            raise ImageError.of_all(errors.values(), len(self))
        elif errors:
            self.left_out += errors.values()
            good = self.take([i for i in range(len(self)) if i not in errors])
        check_ranges(self, ranges, for_fit=self._is_for_fit)
        return good

    def load(self, i: int) -> Image.Image:
        """Read an image.

        Of a file with several frames the first is read. Transparent areas become
        white, and 16-bit values are scaled to 8 bits.

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
        with self.item(i) as item:
            if is_path(item):
                with open_image(path_text(item)) as image:
                    return upright_rgb(image)
            if isinstance(item, Image.Image):
                content = content_of_opened(item)
                if content is not None:
                    with image_in(io.BytesIO(content)) as image:
                        return upright_rgb(image)
                with DECODING:
                    check_image(item)
                    return upright_rgb(item)
            return array_to_rgb(checked_array(item))

    def content_key(self, i: int) -> str:
        """Return a key of an image's content, regardless of its name.

        Parameters
        ----------
        i : int
            Position in this view.

        Returns
        -------
        str
            32 hexadecimal digits: a digest of the bytes of a file, also of one that is
            opened as a PIL image and not decoded, and of the upright RGB pixels of all
            other items. A file and an array of the same image therefore have different
            keys.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        with self.item(i) as item:
            content = _file_content(item)
            if content is not None:
                return digest_of_file(content)
        return digest_of_pixels(self.load(i))

    def network_input(
        self, i: int, framing: Framing, *, keyed: bool = False
    ) -> tuple[NDArray[np.uint8], str]:
        """Read an image as the network's input.

        Parameters
        ----------
        i : int
            Position in this view.
        framing : Framing
            What the network sees of an image.
        keyed : bool, default=False
            Whether to return the content key as well. The image is read once for both,
            so that they belong together even if the file changes.

        Returns
        -------
        pixels : ndarray of shape (H, W, 3), uint8
            Files are decoded by `skdpnet.images.preprocessing.input_pixels`. An array
            of 8-bit RGB pixels that already is the input is returned itself.
        key : str
            As returned by :meth:`content_key`; empty if `keyed` is False.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        with self.item(i) as item:
            content = _file_content(item)
            if content is not None:
                with image_in(io.BytesIO(content)) as image:
                    pixels = input_pixels(image, framing)
                return pixels, digest_of_file(content) if keyed else ""
            if not keyed and not isinstance(item, Image.Image):
                array = checked_array(item)
                is_rgb = array.dtype == np.uint8 and array.shape[2:] == (3,)
                if is_rgb and framing.keeps(array.shape[1], array.shape[0]):
                    return array, ""
        image = self.load(i)
        key = digest_of_pixels(image) if keyed else ""
        return preprocess(image, framing), key

    def geometry(self, i: int) -> Geometry:
        """Return size and orientation of an image, from which boxes get to its pixels.

        Parameters
        ----------
        i : int
            Position in this view.

        Returns
        -------
        Geometry
            Files are not decoded; their header is enough.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        with self.item(i) as item:
            if is_path(item):
                with open_image(path_text(item)) as image:
                    return file_geometry(image)
            if isinstance(item, Image.Image):
                check_image(item)
                content = content_of_opened(item)
                if content is not None:
                    with image_in(io.BytesIO(content)) as image:
                        return opened_geometry(image)
                return object_geometry(item)
            height, width = checked_array(item).shape[:2]
            return Geometry((width, height), 1)

    @contextmanager
    def item(self, i: int) -> Iterator[Any]:
        """Use an item; whatever makes it unusable becomes an error that names it.

        Parameters
        ----------
        i : int
            Position in this view.

        Yields
        ------
        object
            The item as the user passed it; of a data set, the image in its item.

        Raises
        ------
        ImageError
            In place of an `UnusableImage` that is raised inside the ``with`` block.
        """
        item = self._items[self._numbers[i]]
        try:
            item = image_of(item)
            yield item
        except UnusableImage as error:
            raise ImageError(
                f"{self.describe(i)}: {error}",
                int(self._numbers[i]),
                path_text(item) if is_path(item) else None,
            ) from error.__cause__


def _file_content(item: Any) -> bytes | None:
    """Read the file of an item; None if it is not one, or decoded already."""
    if is_path(item):
        return read_file(path_text(item))
    return content_of_opened(item) if isinstance(item, Image.Image) else None


def as_images(X: Any) -> Images:
    """Check that X is a list of images, without checking the images themselves.

    Parameters
    ----------
    X : list, tuple, array, tensor, Series, single-column DataFrame, data set or Images
        One image per item, or a tuple that begins with it, or a dict that holds it
        (`skdpnet.images.item_values`); items of data sets are fetched one by one.
        Each image may be a path, a PIL image, a NumPy array of shape (height, width),
        (height, width, 1), (height, width, 3) or (height, width, 4), or a torch tensor
        of shape (height, width), (1, height, width), (3, height, width) or
        (4, height, width). Arrays and tensors hold uint8 (0 to 255), uint16 (0 to
        65535) or float (0 to 1).
        Arrays of one size may be stacked to n x height x width x channels or
        n x height x width, tensors to n x channels x height x width.

    Returns
    -------
    Images
        X itself if it is an `Images` already.

    Raises
    ------
    TypeError
        If X is a single image or not a list.
    ValueError
        If X is empty or has the wrong shape.
    """
    if isinstance(X, Images):
        return X
    items = checked_items(X)
    return Images(items, np.arange(len(items)))
