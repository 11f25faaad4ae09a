"""Which value of an item, as data sets give them, is its image."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from skdpnet.images.arrays import is_tensor
from skdpnet.images.conversion import UnusableImage, decoding
from skdpnet.images.files import opened_image

__all__ = ["IMAGE_KEYS", "image_in_item", "joined", "only_key"]

# The keys of dicts, and the columns of tables, under which an image is looked for.
IMAGE_KEYS = ("image", "img", "pixel_values")
# The keys of an image that Hugging Face's data sets have not decoded.
_ENCODED = {"bytes", "path"}
_NAME_IT = "name its key by skdpnet.datasets.images_of(data_set, key=...)"


def image_in_item(item: Any, key: Any = None) -> Any:
    """Return the image in an item of a data set.

    Parameters
    ----------
    item : object
        An image; a tuple that begins with one, (image, label); a dict; or a dict of
        ``"bytes"`` and ``"path"``, as Hugging Face keeps an encoded image.
    key : object, default=None
        Of the image in a dict. None: the only one of `IMAGE_KEYS` that it has or, if it
        has none of them, the only key of a PIL image, an encoded image, or an array or
        tensor of at least two axes.

    Returns
    -------
    object
        The image. What is no such item is returned as it is, to be refused as other
        things are.

    Raises
    ------
    UnusableImage
        If it is not clear which value is the image.
    """
    if isinstance(item, tuple):
        return _first_of(item)
    if not isinstance(item, Mapping):
        return item
    if item.keys() == _ENCODED:
        return _opened(item["bytes"], item["path"])
    if key is None:
        key = only_key(item, [name for name in item if _has_pixels(item[name])])
    elif key not in item:
        raise UnusableImage(f"it has no key {key!r}, but {joined(item)}")
    value = item[key]
    is_encoded = isinstance(value, Mapping) and value.keys() == _ENCODED
    return _opened(value["bytes"], value["path"]) if is_encoded else value


def only_key(keys: Any, with_pixels: list) -> Any:
    """Return the key of the image among several.

    Parameters
    ----------
    keys : iterable
        All keys of an item, or the columns of a table.
    with_pixels : list
        Those of them that are known to hold images.

    Returns
    -------
    object
        The only one of `IMAGE_KEYS` or, without any of them, of `with_pixels`.

    Raises
    ------
    UnusableImage
        If there is none, or more than one.
    """
    found = [name for name in IMAGE_KEYS if name in keys] or with_pixels
    if len(found) == 1:
        return found[0]
    if found:
        raise UnusableImage(
            f"there may be an image under each of {joined(found)}; {_NAME_IT}"
        )
    raise UnusableImage(
        f"it has no image: of the keys ({joined(keys)}) none is {_usual_names()}, and "
        f"none holds pixels; {_NAME_IT}"
    )


def joined(keys: Any) -> str:
    """Return names for a message.

    Parameters
    ----------
    keys : iterable

    Returns
    -------
    str
    """
    return ", ".join(map(repr, keys))


def _usual_names() -> str:
    return f"{joined(IMAGE_KEYS[:-1])} or {IMAGE_KEYS[-1]!r}"


def _first_of(item: tuple) -> Any:
    """Return the first value of a tuple if it is an image, or else the tuple."""
    if not item:
        return item
    first = item[0]
    n_images = sum(map(_has_pixels, item))
    if isinstance(first, (str, os.PathLike)) or _has_pixels(first):
        if n_images > _has_pixels(first):
            raise UnusableImage(
                f"a tuple with several images; make it (image, label), or {_NAME_IT} "
                "of a data set of dicts"
            )
        return image_in_item(first) if isinstance(first, Mapping) else first
    if n_images:
        raise UnusableImage(
            f"a tuple that begins with a value of type {type(first).__name__}, not "
            "with its image; make it (image, label)"
        )
    return item


def _has_pixels(value: Any) -> bool:
    """Return whether a value can be an image, and hardly anything else."""
    if isinstance(value, np.ndarray) or is_tensor(value):
        return value.ndim >= 2
    is_encoded = isinstance(value, Mapping) and value.keys() == _ENCODED
    return is_encoded or isinstance(value, Image.Image)


def _opened(content: bytes | None, path: str | None) -> Any:
    """Open an encoded image, or return the path of its file."""
    if content is None:
        return path
    with decoding():
        return opened_image(io.BytesIO(content))
