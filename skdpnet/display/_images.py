"""Pictures of any size on axes: whole, undistorted, in their own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from skdpnet.explanations.contributions import batch_of_one
from skdpnet.explanations.readout import find_parts
from skdpnet.images.collection import as_images

__all__ = ["Picture", "check_pictures", "crop", "mark_unseen", "one_picture"]

# More than a panel shows; keeps a dozen photographs of a camera small in memory.
_LONGEST_SIDE = 1600
# How dark the grey picture below a heat map may be, so that tints show on black too.
_DARKEST = 50


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright picture as a figure needs it.

    Made by `Picture.of`.

    Attributes
    ----------
    pixels : uint8 ndarray of shape (h, w, 3)
        Of a large picture, fewer than it has.
    size : (int, int)
        Width and height of the picture itself, in whose pixels boxes are given.
    """

    pixels: np.ndarray
    size: tuple[int, int]

    @classmethod
    def of(cls, image: Image.Image) -> Picture:
        """Take a picture, making a large one small.

        Parameters
        ----------
        image : PIL.Image.Image
            Upright and RGB, as ``as_images(X).load(i)`` of
            `skdpnet.images.collection` gives it.

        Returns
        -------
        Picture
        """
        shrink = _LONGEST_SIDE / max(image.size)
        small = image
        if shrink < 1:
            width, height = (max(1, round(shrink * side)) for side in image.size)
            small = image.resize((width, height), reducing_gap=2.0)
        return cls(np.array(small), image.size)

    def draw(self, axes, *, grey: bool = False) -> None:
        """Show the picture; the axes' units are then its pixels, from the upper left.

        Parameters
        ----------
        axes : matplotlib Axes
        grey : bool, default=False
            Without colours, and with its dark parts lightened.
        """
        pixels = self.pixels
        if grey:
            luminance = np.asarray(Image.fromarray(pixels).convert("L"))
            pixels = _DARKEST + luminance * ((255 - _DARKEST) / 255)
        width, height = self.size
        axes.imshow(
            pixels,
            cmap="gray",
            vmin=0,
            vmax=255,
            origin="upper",
            aspect="equal",
            extent=(0, width, height, 0),
        )
        axes.set_axis_off()
        # Titles in line, whatever the shapes of the pictures beside it.
        axes.set_anchor("N")


def check_pictures(estimator, display: str) -> None:
    """Refuse a model that was fitted on features, of which there are no pictures.

    Parameters
    ----------
    estimator : fitted classifier
    display : str
        Name of what wants pictures.

    Raises
    ------
    NotFittedError
    ValueError
    """
    if find_parts(estimator)[0]._takes_features():
        raise ValueError(
            f"{display} draws pictures, and this model was fitted on "
            'backbone="precomputed", which has none: fit one on pictures.'
        )


def one_picture(estimator, image) -> Picture:
    """Read the picture of which `skdpnet.explain` takes `image`.

    Parameters
    ----------
    estimator : fitted classifier
    image : picture, or list or batch of one

    Returns
    -------
    Picture
    """
    batch = batch_of_one(find_parts(estimator)[0], image)
    return Picture.of(as_images(batch).load(0))


def crop(image: Image.Image, box: ArrayLike) -> Picture:
    """Cut a box out of a picture.

    Parameters
    ----------
    image : PIL.Image.Image
    box : array-like of shape (4,)
        (left, top, right, bottom) in pixels; widened to whole ones.

    Returns
    -------
    Picture
    """
    left, top, right, bottom = np.asarray(box, np.float64)
    # A region ends on a pixel's edge up to rounding errors.
    edges = (
        max(0, int(np.floor(left + 1e-6))),
        max(0, int(np.floor(top + 1e-6))),
        min(image.width, int(np.ceil(right - 1e-6))),
        min(image.height, int(np.ceil(bottom - 1e-6))),
    )
    return Picture.of(image.crop(edges))


def mark_unseen(axes, size: tuple[int, int], seen: ArrayLike):
    """Hatch what the network did not see of a picture.

    Parameters
    ----------
    axes : matplotlib Axes
        With the picture.
    size : (int, int)
        Width and height of the picture.
    seen : array-like of shape (4,)
        (left, top, right, bottom) of what it saw, in pixels.

    Returns
    -------
    matplotlib Patch or None
        For a legend; None if it saw all.
    """
    from matplotlib.patches import Rectangle

    (width, height), (left, top, right, bottom) = size, np.asarray(seen, np.float64)
    strips = [
        (0, 0, width, top),
        (0, bottom, width, height),
        (0, top, left, bottom),
        (right, top, width, bottom),
    ]
    marked = None
    for x, y, x_end, y_end in strips:
        if x_end - x > 0 and y_end - y > 0:
            marked = Rectangle(
                (x, y),
                x_end - x,
                y_end - y,
                facecolor=(1, 1, 1, 0.7),
                edgecolor="0.35",
                hatch="///",
                linewidth=0,
            )
            axes.add_patch(marked)
    return marked
