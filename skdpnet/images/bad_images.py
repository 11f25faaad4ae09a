"""Finding all images of a list that cannot be used, with and without decoding them."""

from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from PIL import Image

from skdpnet.exceptions import ImageError
from skdpnet.images.arrays import checked_array
from skdpnet.images.containers import is_path, path_text
from skdpnet.images.conversion import check_image
from skdpnet.images.files import image_in, open_image
from skdpnet.images.framing import Framing
from skdpnet.images.opened import content_of_opened, is_undecoded
from skdpnet.images.value_range import ValueRanges, is_wide
from skdpnet.utils.cores import AUTO_WORKERS, decoding_threads

if TYPE_CHECKING:
    from skdpnet.images.collection import Images

__all__ = ["check_ranges", "decoding_errors", "header_errors", "raise_all"]

# Decodes with little work for the rest.
_SMALL = Framing(8, "squash")


def header_errors(
    images: Images, ranges: ValueRanges | None = None
) -> dict[int, ImageError]:
    """Return the errors that are found without decoding.

    Parameters
    ----------
    images : Images
    ranges : ValueRanges, default=None
        Where to note the largest values of images. Files with grey values of 16 bits
        are decoded for that, until one uses its range.

    Returns
    -------
    dict of int to ImageError
        By position in `images`.
    """
    errors = {}
    for i in range(len(images)):
        try:
            with images.item(i) as item:
                _check_item(i, item, ranges)
        except ImageError as error:
            errors[i] = error
    return errors


def decoding_errors(images: Images, n_threads: int | None = None) -> list[ImageError]:
    """Decode every image, and return the errors.

    Parameters
    ----------
    images : Images
    n_threads : int, default=None
        Number of threads; None: as many as ``num_workers="auto"`` stands for.

    Returns
    -------
    list of ImageError
        Of the images that cannot be used, in their order.
    """

    def decode(i: int) -> ImageError | None:
        try:
            images.network_input(i, _SMALL)
        except ImageError as error:
            return error
        return None

    with ThreadPoolExecutor(n_threads or decoding_threads(AUTO_WORKERS)) as pool:
        found = pool.map(decode, range(len(images)))
        return [error for error in found if error is not None]


def raise_all(images: Images, errors: dict[int, ImageError]) -> None:
    """Raise errors that were found, and those that only decoding the others shows.

    Parameters
    ----------
    images : Images
    errors : dict of int to ImageError
        As from `header_errors`. If there are none, nothing is decoded.

    Raises
    ------
    ImageError
        For all images that cannot be used.
    """
    if errors:
        others = images.take([i for i in range(len(images)) if i not in errors])
        found = [*errors.values(), *decoding_errors(others)]
        raise ImageError.of_all(found, len(images))


def check_ranges(images: Images, ranges: ValueRanges, *, for_fit: bool) -> None:
    """Refuse or warn of images whose values use a small part of their range.

    Parameters
    ----------
    images : Images
    ranges : ValueRanges
        As `header_errors` filled it.
    for_fit : bool
        Whether the images are to be learned from.

    Raises
    ------
    ValueError
        If images to be learned from would all be seen as black.

    Warns
    -----
    UserWarning
        If values may have been meant otherwise.
    """
    refused = ranges.problem(images.describe, certain=True) if for_fit else None
    if refused is not None:
        raise ValueError(refused)
    doubt = ranges.problem(images.describe)
    if doubt is not None:
        warnings.warn(doubt, UserWarning, stacklevel=3)


def _check_item(i: int, item: Any, ranges: ValueRanges | None) -> None:
    """Check an item, and note its largest value if that is known or matters."""
    if is_path(item):
        with open_image(path_text(item)) as image:
            if ranges and is_wide(image):
                ranges.see_wide(i, lambda: image)
    elif not isinstance(item, Image.Image):
        array = checked_array(item)
        if ranges:
            ranges.see_array(i, array)
    else:
        check_image(item)
        if ranges and not is_undecoded(item):
            ranges.see_decoded(i, item)
        elif ranges and is_wide(item):
            content = content_of_opened(item)
            if content is not None:
                with image_in(io.BytesIO(content)) as image:
                    ranges.see_wide(i, lambda: image)
