"""Images of any size on axes: whole, undistorted, in their own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from skdpnet.explanations.contributions import batch_of_one
from skdpnet.explanations.readout import find_parts
from skdpnet.images.collection import as_images

__all__ = ["ShownImage", "check_images", "crop", "mark_unseen", "one_image"]

# More than a panel shows; keeps a dozen photographs of a camera small in memory.
_LONGEST_SIDE = 1600
# How dark the grey image below a heat map may be, so that tints show on black too.
_DARKEST = 50


@dataclass(frozen=True, eq=False)
class ShownImage:
    """An upright image as a figure needs it.

    Made by `ShownImage.of`.

    Attributes
    ----------
    pixels : uint8 ndarray of shape (h, w, 3)
        Of a large image, fewer than it has.
    size : (int, int)
        Width and height of the image itself, in whose pixels boxes are given.
    """

    pixels: np.ndarray
    size: tuple[int, int]

    @classmethod
    def of(cls, image: Image.Image) -> ShownImage:
        """Take an image, making a large one small.

        Parameters
        ----------
        image : PIL.Image.Image
            Upright and RGB, as ``as_images(X).load(i)`` of
            `skdpnet.images.collection` gives it.

        Returns
        -------
        ShownImage
        """
        shrink = _LONGEST_SIDE / max(image.size)
        small = image
        if shrink < 1:
            width, height = (max(1, round(shrink * side)) for side in image.size)
            small = image.resize((width, height), reducing_gap=2.0)
        return cls(np.array(small), image.size)

    def draw(self, axes, *, grey: bool = False) -> None:
        """Show the image; the axes' units are then its pixels, from the upper left.

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
        # Titles in line, whatever the shapes of the images beside it.
        axes.set_anchor("N")


def check_images(estimator, display: str) -> None:
    """Refuse a model that was fitted on features, of which there are no images.

    Parameters
    ----------
    estimator : fitted classifier
    display : str
        Name of what wants images.

    Raises
    ------
    NotFittedError
    ValueError
    """
    if find_parts(estimator)[0]._takes_features():
        raise ValueError(
            f"{display} draws images, and this model was fitted on "
            'backbone="precomputed", which has none: fit one on images.'
        )


def one_image(estimator, image) -> ShownImage:
    """Read the image of which `skdpnet.explain` takes `image`.

    Parameters
    ----------
    estimator : fitted classifier
    image : image, or list or batch of one

    Returns
    -------
    ShownImage
    """
    batch = batch_of_one(find_parts(estimator)[0], image)
    return ShownImage.of(as_images(batch).load(0))


def crop(image: Image.Image, box: ArrayLike) -> ShownImage:
    """Cut a box out of an image.

    Parameters
    ----------
    image : PIL.Image.Image
    box : array-like of shape (4,)
        (left, top, right, bottom) in pixels; widened to whole ones.

    Returns
    -------
    ShownImage
    """
    left, top, right, bottom = np.asarray(box, np.float64)
    # A region ends on a pixel's edge up to rounding errors.
    edges = (
        max(0, int(np.floor(left + 1e-6))),
        max(0, int(np.floor(top + 1e-6))),
        min(image.width, int(np.ceil(right - 1e-6))),
        min(image.height, int(np.ceil(bottom - 1e-6))),
    )
    return ShownImage.of(image.crop(edges))


def mark_unseen(axes, size: tuple[int, int], seen: ArrayLike):
    """Hatch what the network did not see of an image.

    Parameters
    ----------
    axes : matplotlib Axes
        With the image.
    size : (int, int)
        Width and height of the image.
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
