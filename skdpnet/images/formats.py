"""Which formats of image files are read: those that Pillow decodes by itself.

Pillow recognises a format by its content, whatever the name of the file is. Some of its
readers start another program, such as Ghostscript for EPS, or cannot decode anything.
"""

from __future__ import annotations

import functools

from PIL import Image

__all__ = ["is_readable", "readable_formats", "readable_suffixes", "refused_format"]

_FORMATS = frozenset(
    """
    AVIF BLP BMP CUR DCX DDS DIB FITS FLI FTEX GBR GIF ICNS ICO IM IMT JPEG JPEG2000
    MCIDAS MPO MSP PCD PCX PIXAR PNG PPM PSD QOI SGI SPIDER SUN TGA TIFF WEBP XBM XPM
    XVTHUMB
    """.split()
)


def is_readable(format: str | None) -> bool:
    """Return whether files of a format are read.

    Parameters
    ----------
    format : str or None
        Pillow's name of the format.

    Returns
    -------
    bool
        True for the formats above, and for those of plugins that the user has
        registered with Pillow.
    """
    if format in _FORMATS:
        return True
    factory = Image.OPEN.get(str(format), (None,))[0]
    module = getattr(factory, "__module__", None) or "PIL."
    return not module.startswith("PIL.")


def readable_formats() -> list[str]:
    """Return the formats that are registered with Pillow so far, and are read.

    Returns
    -------
    list of str
        In the order in which Pillow tries them.
    """
    return list(_readable(tuple(Image.ID)))


@functools.lru_cache(maxsize=8)
def _readable(formats: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(is_readable, formats))


def readable_suffixes() -> list[str]:
    """Return the usual suffixes of the files that are read.

    Returns
    -------
    list of str
        In lower case, with the dot, in alphabetical order.
    """
    registered = Image.registered_extensions()
    return sorted(
        suffix.lower() for suffix, format in registered.items() if is_readable(format)
    )


def refused_format(start: bytes) -> str | None:
    """Return the format of a file that Pillow would open, but that is not read.

    Parameters
    ----------
    start : bytes
        The first 16 bytes of the file.

    Returns
    -------
    str or None
        None if the file has none of these formats.
    """
    for format in Image.ID:
        accept = Image.OPEN[format][1]
        if accept is None or is_readable(format):
            continue
        answer = accept(start)
        # A text in place of the answer says what the format would need.
        if answer and not isinstance(answer, str):
            return format
    return None
