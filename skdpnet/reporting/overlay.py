"""Numbered boxes over a small image: where each frame and each badge goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skdpnet.reporting.thumbnails import IMAGE_SIDE

__all__ = ["Frame", "View", "lay_out"]

# Radius of a badge, gap between badges, and distance of frames around the same box, in
# units of the view, whose longer side is IMAGE_SIDE.
BADGE = 11.0
_GAP = 1.0
_OUTSET = 4.0


@dataclass(frozen=True)
class Frame:
    """A box over an image.

    Attributes
    ----------
    mark : str
        The number or letter on its badge.
    x, y, width, height : float
        In units of the view.
    badge_x, badge_y : float
        Centre of the badge, likewise.
    """

    mark: str
    x: float
    y: float
    width: float
    height: float
    badge_x: float
    badge_y: float


@dataclass(frozen=True)
class View:
    """An image as a page shows it.

    Attributes
    ----------
    width, height : float
        The longer side is always the same, so that badges are legible on an image of
        any size.
    scale : float
        Units of the view in a pixel of the image.
    """

    width: float
    height: float
    scale: float

    @classmethod
    def of(cls, size: tuple[int, int]) -> View:
        """Make the view of an image of some width and height in pixels."""
        scale = IMAGE_SIDE / max(size)
        return cls(size[0] * scale, size[1] * scale, scale)


def lay_out(
    view: View, boxes: Sequence[np.ndarray], marks: Sequence[str]
) -> list[Frame]:
    """Place frames and badges so that every badge can be read.

    Frames of the same box surround one another, the first innermost, and each badge
    sits in its frame's upper left corner, or beside the badges that are there already.

    Parameters
    ----------
    view : View
    boxes : sequence of ndarray of shape (4,)
        (left, top, right, bottom) in pixels of the image.
    marks : sequence of str

    Returns
    -------
    list of Frame
        In the order of `boxes`.
    """
    frames: list[Frame] = []
    taken: list[tuple[float, float]] = []
    for rank, (box, mark) in enumerate(zip(boxes, marks, strict=True)):
        same = sum(np.allclose(box, other) for other in boxes[:rank])
        left, top, right, bottom = box * view.scale
        outset = _OUTSET * same
        # The image's edge would cut off half the width of a line on it.
        x0, x1 = np.clip([left - outset, right + outset], 1.5, view.width - 1.5)
        y0, y1 = np.clip([top - outset, bottom + outset], 1.5, view.height - 1.5)
        centre = _free_place(view, left + BADGE, top + BADGE, taken)
        taken.append(centre)
        frames.append(
            Frame(mark, float(x0), float(y0), float(x1 - x0), float(y1 - y0), *centre)
        )
    return frames


def _free_place(
    view: View, x: float, y: float, taken: list[tuple[float, float]]
) -> tuple[float, float]:
    """Find the place nearest to (x, y) that no other badge covers."""
    step = 2 * BADGE + _GAP
    shifts = step * np.stack(np.meshgrid(*[np.arange(-4, 5)] * 2), -1).reshape(-1, 2)
    # Of equally near places, those to the right come first, then those further down.
    order = np.lexsort((-shifts[:, 1], -shifts[:, 0], (shifts**2).sum(1)))
    limit = np.array([view.width, view.height]) - BADGE
    for shift in shifts[order]:
        place = np.clip(np.array([x, y]) + shift, BADGE, np.maximum(limit, BADGE))
        apart = [np.hypot(*(place - other)) for other in taken]
        if all(distance >= step - 1e-6 for distance in apart):
            break
    return float(place[0]), float(place[1])
