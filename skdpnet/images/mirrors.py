"""What a network sees of images in a mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skdpnet.images.collection import Images
from skdpnet.images.digest import digest_of_mirror
from skdpnet.images.framing import Framing

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Mirrors", "mirrors_of"]


class Mirrors(Images):
    """Images whose network's input is mirrored, left to right.

    The network's input is mirrored rather than the image, so that the mirror shows the
    same pixels on the same grid, whatever framing and rounding did before. Everything
    else is that of the images: their errors, names and geometry.

    Parameters
    ----------
    items, numbers, left_out, is_for_fit
        As of `Images`.

    See Also
    --------
    mirrors_of : Create it from images.
    """

    def _view(self, *arguments: Any) -> Mirrors:
        return Mirrors(self._items, *arguments)

    def checked(self) -> Mirrors:
        """Return the mirrors: their images were checked, and doubts told, before."""
        return self

    def content_key(self, i: int) -> str:
        """Return a key of a mirror's content, which no image has.

        Parameters
        ----------
        i : int
            Position in this view.

        Returns
        -------
        str
            32 hexadecimal digits.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        return digest_of_mirror(super().content_key(i))

    def network_input(
        self, i: int, framing: Framing, *, keyed: bool = False
    ) -> tuple[NDArray[np.uint8], str]:
        """Read the network's input for an image, and mirror it.

        Parameters
        ----------
        i, framing, keyed
            As of `Images.network_input`.

        Returns
        -------
        pixels : ndarray of shape (H, W, 3), uint8
        key : str
            As returned by :meth:`content_key`; empty if `keyed` is False.

        Raises
        ------
        ImageError
            If the image cannot be read.
        """
        pixels, key = super().network_input(i, framing, keyed=keyed)
        mirrored = np.ascontiguousarray(pixels[:, ::-1])
        return mirrored, digest_of_mirror(key) if keyed else ""


def mirrors_of(images: Images) -> Mirrors:
    """Return the mirrors of images that were checked.

    Parameters
    ----------
    images : Images

    Returns
    -------
    Mirrors
    """
    return Mirrors(images._items, images._numbers, images.left_out)
