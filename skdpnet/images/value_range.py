"""Lists of images whose values use a small part of their range.

X-rays, microscopes and cameras write 10, 12 or 14 bits into 16, and masks hold 0 and 1.
Divided by the largest value of their type, such images are black. A single dark image
is no sign of that, but a list without any brighter one is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["ValueRanges", "is_wide"]

# Images of 12 bits in 16 are not brighter than this share, nor digits of 0 to 16 in 8.
_BLACK = 16 / 255
# Images of 14 bits in 16 are not brighter than this.
_DIM = 1 / 4
_USUAL_BITS = (1, 8, 10, 12, 14)
_WITHOUT_ALPHA = {"L": 1, "LA": 1, "RGB": 3, "RGBA": 3}


def is_wide(image: Image.Image) -> bool:
    """Return whether a PIL image has grey values of 16 bits.

    Parameters
    ----------
    image : PIL.Image.Image
        Decoded or not.

    Returns
    -------
    bool
    """
    return image.mode.startswith("I")


@dataclass
class _Kind:
    """The images of a list whose values have the same type.

    Parameters
    ----------
    name : str
        What to call them.
    full : float
        The largest value of the type.
    enough : float
        A list with a value above this share of it uses its range.
    n_images : int
        How many of them were seen.
    peak : float
        The largest value in these.
    brightest : int
        The position of the image that has it.
    """

    name: str
    full: float
    enough: float
    n_images: int = 0
    peak: float = -1
    brightest: int = -1


class ValueRanges:
    """The largest values of the images of a list, by the type of the values.

    After an image that uses the range of its type, no other of the type is looked at.
    """

    def __init__(self) -> None:
        self._kinds = {
            "uint16": _Kind("16-bit", 65535, _DIM),
            "uint8": _Kind("8-bit", 255, _BLACK),
            "float": _Kind("floating point", 1, _BLACK),
        }

    def see_array(self, i: int, array: NDArray[Any]) -> None:
        """Look at an array.

        Parameters
        ----------
        i : int
            Position of the image.
        array : ndarray
            As from `skdpnet.images.arrays.checked_array`.
        """
        name = "float" if array.dtype.kind == "f" else f"uint{8 * array.dtype.itemsize}"
        colours = array[..., :3] if array.ndim == 3 else array
        self._see(i, name, lambda: float(colours.max()))

    def see_decoded(self, i: int, image: Image.Image) -> None:
        """Look at a decoded PIL image.

        Parameters
        ----------
        i : int
            Position of the image.
        image : PIL.Image.Image
        """
        n_colours = _WITHOUT_ALPHA.get(image.mode)
        if n_colours:
            bands = (image.getchannel(band) for band in range(n_colours))
            self._see(i, "uint8", lambda: max(np.asarray(band).max() for band in bands))
        elif is_wide(image):
            self.see_wide(i, lambda: image)

    def see_wide(self, i: int, decode: Callable[[], Any]) -> None:
        """Decode an image with grey values of 16 bits, if it may still matter.

        Parameters
        ----------
        i : int
            Position of the image.
        decode : callable
            Returns the image, decoded.
        """
        self._see(i, "uint16", lambda: float(np.asarray(decode()).max()))

    def _see(self, i: int, name: str, measure: Callable[[], float]) -> None:
        kind = self._kinds[name]
        if kind.peak > kind.enough * kind.full:
            return
        peak = measure()
        kind.n_images += 1
        if peak > kind.peak:
            kind.peak, kind.brightest = peak, i

    def problem(
        self, describe: Callable[[int], str], *, certain: bool = False
    ) -> str | None:
        """Describe how images use a small part of their range.

        Parameters
        ----------
        describe : callable
            Names the image at a position.
        certain : bool, default=False
            Whether to name only what can hardly be meant: several images that would all
            be seen as black.

        Returns
        -------
        str or None
            None if there is nothing to say.
        """
        for kind in self._kinds.values():
            share = kind.peak / kind.full
            # An image without any light is just that.
            if not 0 < share <= kind.enough:
                continue
            is_black, several = share <= _BLACK, kind.n_images > 1
            # A dark image alone may have 12 bits; photographs of 8 bits may be dark.
            told = is_black and several if certain else several or kind.full > 255
            if told and (is_black or several):
                return _problem(kind, describe(kind.brightest), is_black)
        return None


def _problem(kind: _Kind, brightest: str, is_black: bool) -> str:
    """Return the message about the images of a kind."""
    full, peak = f"{kind.full:g}", f"{kind.peak:g}"
    n_images = f"all {kind.n_images}" if kind.n_images > 1 else "the only"
    plural = "s" if kind.n_images > 1 else ""
    text = (
        f"the values of {n_images} {kind.name} image{plural} are at most {peak} of "
        f"{full} ({brightest} is the brightest), so that the network sees "
        f"{'hardly more than black' if is_black else 'dark images'}; "
    )
    if kind.full == 1:
        return f"{text}divide them by their largest possible value only once"
    bits = int(kind.peak).bit_length()
    bits = next((usual for usual in _USUAL_BITS if usual >= bits), bits)
    if kind.full == 255:
        return f"{text}multiply them by {255 // int(kind.peak)}, for instance"
    return (
        f"{text}if they have {bits} bits, multiply them by {2 ** (16 - bits)}, or pass "
        f"values / {2**bits - 1} as floats"
    )
