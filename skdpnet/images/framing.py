"""Framing: which box of an image a network sees, and at what size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AUTO",
    "CENTER",
    "FRAMINGS",
    "STEP",
    "USUAL_SIZE",
    "Framing",
    "ModelCrop",
    "View",
    "chosen_framing",
]

# What the library that a network comes from does when it measures the network.
CENTER = "center"
FRAMINGS = ("crop", "squash", "pad", "aspect", CENTER)
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
    box : tuple of 4 numbers
        Left, top, right and bottom of what is seen, in pixels of the upright image;
        with fractions of pixels for "center".
    size : (int, int)
        What this box is resized to.
    offset : (int, int)
        Where its upper left corner lies on the network's input, and on the canvas.
    input_size : (int, int)
        The network's input. It begins at the upper left corner of the canvas.
    canvas_size : (int, int)
    """

    box: tuple[float, float, float, float]
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
class ModelCrop:
    """What of an image a network's library passes to it when it measures the network.

    The image is resized so that the network's input is a share of it, and its middle
    is cut out.

    Parameters
    ----------
    share : float > 0
        Side of the input, as a share of the resized image's. Above 1 the input is
        larger than the image, with borders around it.
    mode : {"center", "squash", "border"}, default="center"
        Which side of the resized image that is: the shorter one; both, whatever the
        image's aspect; or the longer one.
    interpolation : str, default="bicubic"
        Of Pillow: "bicubic", "bilinear", "lanczos", "nearest", "box" or "hamming".
    """

    share: float
    mode: str = "center"
    interpolation: str = "bicubic"

    def view(self, width: int, height: int, side: int) -> View:
        """Find what the network sees of an image, as timm and torchvision do.

        Parameters
        ----------
        width, height : int
            Of the upright image, in pixels.
        side : int
            Of the network's input, in pixels.

        Returns
        -------
        View
        """
        scaled = self._resized_size(width, height, math.floor(side / self.share))
        # Along each axis: edges in the image, extent on the input, and place there.
        edges, extents, places = [], [], []
        for whole, small in zip((width, height), scaled, strict=True):
            start = round((small - side) / 2) if small > side else 0
            extent = min(side, small)
            pixel = whole / small
            edges.append((start * pixel, min((start + extent) * pixel, whole)))
            extents.append(extent)
            places.append((side - extent) // 2)
        (left, right), (top, bottom) = edges
        square = side, side
        size, offset = (extents[0], extents[1]), (places[0], places[1])
        return View((left, top, right, bottom), size, offset, square, square)

    def _resized_size(self, width: int, height: int, side: int) -> tuple[int, int]:
        if self.mode == "squash":
            return side, side
        if self.mode == "border":
            longest = max(width, height)
            across, down = (round(x * side / longest) for x in (width, height))
            return max(1, across), max(1, down)
        shortest = min(width, height)
        return width * side // shortest, height * side // shortest


@dataclass(frozen=True)
class Framing:
    """How images of any size become a network's input.

    Parameters
    ----------
    image_size : int
        S, the side of the network's input in pixels.
    name : {"crop", "squash", "pad", "aspect", "center"}
        "crop": the largest centred square is resized to S×S. "squash": the whole image
        is resized to S×S, whatever its aspect. "pad": the whole image is resized such
        that its long side is S, and lies in the middle of S×S pixels of `fill`.
        "aspect": the whole image is resized such that its short side is S and its long
        side the nearest multiple of 32, at most about 10/7 S (320 for 224). Images of
        other shapes give maps of other shapes, which are laid in the upper left corner
        of a square canvas of zeros, whose side is the longest. A wider image is
        squashed to it. "center": what `crop` says.
    fill : tuple of 3 int
        The colour, from 0 to 255, of what "pad" adds: the mean that the network
        subtracts, so that its input is zero there, up to rounding.
    crop : ModelCrop, default=ModelCrop(0.875)
        The network's own, for "center".

    Raises
    ------
    ValueError
        If the image size does not suit the framing.
    """

    image_size: int
    name: str
    fill: tuple[int, int, int] = (0, 0, 0)
    crop: ModelCrop = ModelCrop(0.875)

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

    @property
    def interpolation(self) -> str | None:
        """How images are resized by Pillow; None: as all framings but "center" do."""
        return self.crop.interpolation if self.name == CENTER else None

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
        if self.name == CENTER:
            return self.crop.view(width, height, side)
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
    name: str,
    image_size: int,
    mean: Sequence[float],
    *,
    any_shape: bool,
    crop: ModelCrop | None = None,
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
    crop : ModelCrop, default=None
        The network's own, if its library has one.

    Returns
    -------
    Framing

    Raises
    ------
    ValueError
        If the image size does not suit the framing, or if a network without a crop of
        its own is to have "center".
    """
    red, green, blue = (round(255 * channel) for channel in mean)
    fill = red, green, blue
    if name == AUTO:
        name = "aspect" if any_shape and image_size % STEP == 0 else "crop"
    if name != CENTER:
        return Framing(int(image_size), name, fill)
    if crop is None:
        raise ValueError(
            'framing="center" is the crop that a library has for its network, and this '
            'backbone has none: use framing="crop", the largest centred square, or '
            'another framing. The networks of timm and torchvision, and "efficientnet_'
            'lite0" and "efficientnet_lite2", have one.'
        )
    # Only borders have the colour of the mean.
    if crop.mode != "border":
        fill = 0, 0, 0
    return Framing(int(image_size), name, fill, crop)
