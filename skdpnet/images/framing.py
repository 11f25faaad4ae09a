"""Framing: which box of an image a network sees, and at what size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AUTO",
    "FRAMINGS",
    "STEP",
    "USUAL_SIZE",
    "Framing",
    "View",
    "chosen_framing",
]

FRAMINGS = ("crop", "squash", "pad", "aspect")
# In place of a framing: "aspect" where the network is known to take images of any
# shape, and "crop" elsewhere.
AUTO = "auto"
# The side of images for networks that name no other.
USUAL_SIZE = 224
# For "aspect": sides are multiples of this many pixels, the coarsest stride of most
# networks, so that they have whole cells on all maps.
STEP = 32
# For "aspect": the longest long side as a multiple of the short one, 320 for 224
# pixels. Wider images are squashed to it. On held-out training images of cars61, whose
# median is 1.87, to crop them instead cost 5.6 points of accuracy, and to squash them
# by at most a tenth and crop the rest 4.7.
_LONGEST = 10 / 7


@dataclass(frozen=True)
class View:
    """What a network sees of one image.

    Pairs are width and height in pixels. Boxes of regions are fractions of the canvas,
    which is the same for all images of a framing.

    Parameters
    ----------
    box : tuple of 4 int
        Left, top, right and bottom of what is seen, in pixels of the upright image.
    size : (int, int)
        What this box is resized to.
    offset : (int, int)
        Where its upper left corner lies on the network's input, and on the canvas.
    input_size : (int, int)
        The network's input. It begins at the upper left corner of the canvas.
    canvas_size : (int, int)
    """

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    offset: tuple[int, int]
    input_size: tuple[int, int]
    canvas_size: tuple[int, int]

    @property
    def input_share(self) -> tuple[float, float]:
        """The share of the canvas' width and height that the network's input covers."""
        return (
            self.input_size[0] / self.canvas_size[0],
            self.input_size[1] / self.canvas_size[1],
        )


@dataclass(frozen=True)
class Framing:
    """How images of any size become a network's input.

    Parameters
    ----------
    image_size : int
        S, the side of the network's input in pixels.
    name : {"crop", "squash", "pad", "aspect"}
        "crop": the largest centred square is resized to S×S. "squash": the whole image
        is resized to S×S, whatever its aspect. "pad": the whole image is resized such
        that its long side is S, and lies in the middle of S×S pixels of `fill`.
        "aspect": the whole image is resized such that its short side is S and its long
        side the nearest multiple of 32, at most about 10/7 S (320 for 224). Images of
        other shapes give maps of other shapes, which are laid in the upper left corner
        of a square canvas of zeros, whose side is the longest. A wider image is
        squashed to it.
    fill : tuple of 3 int
        The colour, from 0 to 255, of what "pad" adds: the mean that the network
        subtracts, so that its input is zero there, up to rounding.

    Raises
    ------
    ValueError
        If the image size does not suit the framing.
    """

    image_size: int
    name: str
    fill: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        if self.name == "aspect" and self.image_size % STEP:
            lower = max(1, self.image_size // STEP) * STEP
            raise ValueError(
                f'framing="aspect" needs an image_size that is a multiple of {STEP}, '
                f"so that images of all shapes have whole cells; got {self.image_size}."
                f" Use {lower} or {lower + STEP}, or another framing."
            )

    @property
    def canvas_side(self) -> int:
        """Side in pixels of the canvas; for "aspect" it is the longest side."""
        if self.name != "aspect":
            return self.image_size
        return max(self.image_size, STEP * round(_LONGEST * self.image_size / STEP))

    def view(self, width: int, height: int) -> View:
        """Find what the network sees of an image.

        Parameters
        ----------
        width, height : int
            Of the upright image, in pixels.

        Returns
        -------
        View
        """
        side = self.image_size
        shortest, longest = min(width, height), max(width, height)
        box, square = (0, 0, width, height), (side, side)
        if self.name == "squash":
            return View(box, square, (0, 0), square, square)
        if self.name == "pad":
            across, down = (max(1, round(side * x / longest)) for x in (width, height))
            offset = (side - across) // 2, (side - down) // 2
            return View(box, (across, down), offset, square, square)
        if self.name == "crop":
            # Rounded to whole pixels: an offset of half a pixel would blur an image
            # that already has the size of the network's input.
            left, top = (width - shortest) // 2, (height - shortest) // 2
            box = left, top, left + shortest, top + shortest
            return View(box, square, (0, 0), square, square)
        length = STEP * round(side * longest / shortest / STEP)
        length = min(max(side, length), self.canvas_side)
        size = (length, side) if width > height else (side, length)
        return View(box, size, (0, 0), size, (self.canvas_side,) * 2)

    def keeps(self, width: int, height: int) -> bool:
        """Return whether images of this size are the network's input as they are."""
        view = self.view(width, height)
        whole = (0, 0, width, height)
        return view.box == whole and view.size == view.input_size == (width, height)


def chosen_framing(
    name: str, image_size: int, mean: Sequence[float], *, any_shape: bool
) -> Framing:
    """Return the framing that a name stands for.

    Parameters
    ----------
    name : str
        One of `FRAMINGS`, or "auto": "aspect" for networks that take images of any
        shape, if the image size allows it, "crop" for others.
    image_size : int
    mean : sequence of 3 floats
        The colour that the network sees as zero, in [0, 1].
    any_shape : bool
        Whether the network is known to take images that are not square.

    Returns
    -------
    Framing
    """
    red, green, blue = (round(255 * channel) for channel in mean)
    if name == AUTO:
        name = "aspect" if any_shape and image_size % STEP == 0 else "crop"
    return Framing(int(image_size), name, (red, green, blue))
