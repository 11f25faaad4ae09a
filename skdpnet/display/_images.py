"""Images of any size on axes: whole, undistorted, with their pixels as the unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.explanations.model_steps import find_parts

__all__ = ["ShownImage", "mark_unseen", "parts_on_images"]

# A strip of fewer pixels cannot be seen: it is an error of rounding.
_LEAST_STRIP = 0.5

# Longer than a panel is on a screen; keeps a dozen large photographs small in memory.
_LONGEST_SIDE = 1600
# Darkest level of the grey image below a heat map, so that tints show on black too.
_DARKEST = 50


@dataclass(frozen=True, eq=False)
class ShownImage:
    """An upright image as a figure needs it.

    Made by `ShownImage.of`.

    Attributes
    ----------
    pixels : uint8 ndarray of shape (h, w, 3)
        For a large image, fewer pixels than it has.
    size : (int, int)
        Width and height of the image itself, in whose pixels boxes are given.
    """

    pixels: np.ndarray
    size: tuple[int, int]

    @classmethod
    def of(cls, image: Image.Image) -> ShownImage:
        """Convert an image, reducing a large one.

        Parameters
        ----------
        image : PIL.Image.Image
            Upright and RGB, as `skdpnet.images.collection.Images.load` returns it.

        Returns
        -------
        ShownImage
        """
        shrink = _LONGEST_SIDE / max(image.size)
        reduced = image
        if shrink < 1:
            width, height = (max(1, round(shrink * side)) for side in image.size)
            reduced = image.resize((width, height), reducing_gap=2.0)
        return cls(np.array(reduced), image.size)

    def draw(self, axes, *, grey: bool = False) -> None:
        """Draw the image; the axes' units are then its pixels, from the upper left.

        Parameters
        ----------
        axes : matplotlib Axes
        grey : bool, default=False
            True: without colours, and with its dark parts lightened.
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
        # Titles are then in line, whatever the shapes of the images beside it.
        axes.set_anchor("N")


def parts_on_images(estimator, display: str) -> PartEstimator:
    """Return a model's parts; refuse a model fitted on features, which has no images.

    Parameters
    ----------
    estimator : fitted classifier
    display : str
        Name of the Display, for the message.

    Returns
    -------
    PartEstimator

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If the model has no parts or was fitted on features.
    """
    parts, _ = find_parts(estimator)
    if parts.is_precomputed:
        raise ValueError(
            f"{display} draws images, and this model was fitted on "
            'backbone="precomputed", which has none: fit one on images.'
        )
    return parts


def mark_unseen(axes, size: tuple[int, int], seen: ArrayLike):
    """Hatch what the network did not see of an image.

    Parameters
    ----------
    axes : matplotlib Axes
        The image is drawn on it.
    size : (int, int)
        Width and height of the image.
    seen : array-like of shape (4,)
        (left, top, right, bottom) of what the network saw, in pixels.

    Returns
    -------
    matplotlib Patch or None
        One of the hatched rectangles, for a legend; None if the network saw all of
        the image.
    """
    from matplotlib.patches import Rectangle

    (width, height), (left, top, right, bottom) = size, np.asarray(seen, np.float64)
    strips = [
        (0, 0, width, top),
        (0, bottom, width, height),
        (0, top, left, bottom),
        (right, top, width, bottom),
    ]
    hatched = None
    for x, y, x_end, y_end in strips:
        if min(x_end - x, y_end - y) > _LEAST_STRIP:
            hatched = Rectangle(
                (x, y),
                x_end - x,
                y_end - y,
                facecolor=(1, 1, 1, 0.7),
                edgecolor="0.35",
                hatch="///",
                linewidth=0,
            )
            axes.add_patch(hatched)
    return hatched
