"""Digests by which the cache and saved models recognise an image again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["digest_of_file", "digest_of_mirror", "digest_of_pixels"]

_N_BYTES = 16
# BLAKE2's personalisation makes the digests of files, pixels and mirrors different
# functions. Without it, a file made of the very bytes that are hashed for an image's
# pixels would have the digest of that image, and would be given its feature maps.
_FILE = b"skdpnet file"
_PIXELS = b"skdpnet pixels"
_MIRROR = b"skdpnet mirror"


def digest_of_file(content: bytes) -> str:
    """Digest an image file, regardless of its name and place.

    Parameters
    ----------
    content : bytes
        The file's bytes.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    return hashlib.blake2b(content, digest_size=_N_BYTES, person=_FILE).hexdigest()


def digest_of_pixels(image: Image.Image) -> str:
    """Digest the size and the pixels of an image.

    Parameters
    ----------
    image : PIL.Image.Image
        An upright RGB image, as returned by ``Images.load``.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=_N_BYTES, person=_PIXELS)
    digest.update(f"{image.width}x{image.height}:".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def digest_of_mirror(key: str) -> str:
    """Digest an image in a mirror, without reading it again.

    Parameters
    ----------
    key : str
        The digest of the image's file or pixels.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(key.encode(), digest_size=_N_BYTES, person=_MIRROR)
    return digest.hexdigest()
