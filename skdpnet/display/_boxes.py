"""Parts on an image: their boxes, even if several coincide, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skdpnet.display._text import shorten, signed
from skdpnet.utils.colours import part_colours

__all__ = ["badge_places", "badges", "draw_box", "draw_boxes", "part_legend"]

# Least distance of the centres of two numbers, as a share of the image's longer side.
_DISTANCE = 0.09


def draw_boxes(axes, boxes: np.ndarray) -> None:
    """Draw the frames of some boxes, the first on top.

    Equal boxes share one frame, whose dashes have their colours in turn.

    Parameters
    ----------
    axes : matplotlib Axes
    boxes : ndarray of shape (n, 4)
        (left, top, right, bottom) in pixels.
    """
    same = (boxes[:, None] == boxes[None]).all(axis=-1)
    for rank in reversed(range(len(boxes))):
        sharers = np.flatnonzero(same[rank])
        turn, dash = int(np.searchsorted(sharers, rank)), 3.0
        dashed: Any = (turn * dash, (dash, (len(sharers) - 1) * dash))
        colour = part_colours(len(boxes))[rank]
        style = dashed if len(sharers) > 1 else "-"
        _draw_frame(axes, boxes[rank], colour, style, rank == sharers[-1])


def draw_box(axes, box: np.ndarray, colour: str) -> None:
    """Draw the frame of one box.

    Parameters
    ----------
    axes : matplotlib Axes
    box : ndarray of shape (4,)
        (left, top, right, bottom) in pixels.
    colour : str
    """
    _draw_frame(axes, box, colour, "-", True)


def _draw_frame(axes, box: np.ndarray, colour: str, style: Any, edged: bool) -> None:
    """Draw a frame, on a wider black one if it is `edged`."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = box
    lines = [(4.2, "black", "-")] if edged else []
    for width, line_colour, line_style in [*lines, (2.2, colour, style)]:
        axes.add_patch(
            Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                linewidth=width,
                linestyle=line_style,
                edgecolor=line_colour,
            )
        )


def badge_places(
    boxes: np.ndarray, size: tuple[int, int], *, centred: bool = False
) -> np.ndarray:
    """Find a place in each box where its number covers no other number.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4)
        (left, top, right, bottom) in pixels. Earlier boxes choose first.
    size : (int, int)
        Width and height of the image.
    centred : bool, default=False
        True: the middle of the box is tried before its corners.

    Returns
    -------
    float64 ndarray of shape (n, 2)
        (x, y) of the numbers' centres. In a box without a free place, the place that
        is farthest from other numbers.
    """
    distance = _DISTANCE * max(size)
    sides = np.array(size)
    shares = np.array([0.0, 1.0, 0.5, 0.25, 0.75])
    across, down = np.meshgrid(shares, shares)
    grid = np.column_stack([across.ravel(), down.ravel()])
    if centred:
        order = np.abs(grid - 0.5).max(axis=1)
        grid = grid[np.argsort(order, kind="stable")]
    taken = np.empty((0, 2))
    for box in boxes:
        # The number is inside the frame, unless it would hide the frame.
        fits = (box[2:] - box[:2]).min() > 0.8 * distance
        inset = distance / 2 if fits else -distance / 2
        start, end = box[:2] + inset, box[2:] - inset
        places = start + grid * np.maximum(0, end - start)
        places = np.clip(
            places, distance / 2, np.maximum(distance / 2, sides - distance / 2)
        )
        distances = np.linalg.norm(places[:, None] - taken[None], axis=-1)
        nearest = distances.min(axis=1, initial=np.inf)
        free = np.flatnonzero(nearest >= distance)
        chosen = free[0] if len(free) else nearest.argmax()
        taken = np.vstack([taken, places[chosen]])
    return taken


def badges(axes, places: np.ndarray) -> None:
    """Write 1, 2, ... at some places, on the colours of the boxes.

    Parameters
    ----------
    axes : matplotlib Axes
    places : ndarray of shape (n, 2)
        (x, y) of the centres, in pixels.
    """
    for rank, (colour, (x, y)) in enumerate(
        zip(part_colours(len(places)), places, strict=True)
    ):
        axes.text(
            x,
            y,
            str(rank + 1),
            fontsize=8,
            weight="bold",
            ha="center",
            va="center",
            color="black",
            # The strongest part's number is on top.
            zorder=5 - rank / 100,
            bbox={"facecolor": colour, "edgecolor": "black", "pad": 1.5},
        )


def part_legend(
    axes, names: Sequence, contributions: np.ndarray, width: int, unseen=None
) -> None:
    """List the numbered parts below their image.

    Parameters
    ----------
    axes : matplotlib Axes
        The image is drawn on it.
    names : sequence of n names
    contributions : ndarray of shape (n,)
        Contributions to the score, written behind the names.
    width : int
        Number of characters that fit into a line.
    unseen : matplotlib Patch, default=None
        As `mark_unseen` returns it.
    """
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=c, edgecolor="black") for c in part_colours(len(names))]
    labels = [
        f"{rank + 1}  {shorten(name, max(8, width - 15))}  {contribution}"
        for rank, (name, contribution) in enumerate(
            zip(names, signed(contributions), strict=True)
        )
    ]
    if unseen is not None:
        handles.append(unseen)
        labels.append("not seen by the network")
    if labels:
        axes.legend(
            handles,
            labels,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.01),
            frameon=False,
            fontsize=9,
            handlelength=1.2,
        )
