"""Parts on an image: boxes, also where several lie in one place, and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skdpnet.display._colours import part_colours
from skdpnet.display._text import shorten, signed

__all__ = ["badge_places", "badges", "draw_boxes", "part_legend"]

# Between the centres of two numbers, as a share of the image's longer side.
_APART = 0.09


def draw_boxes(axes, boxes: np.ndarray) -> None:
    """Draw the frames of some boxes, the first on top.

    Those of the same place share one frame, whose dashes have their colours in turn.

    Parameters
    ----------
    axes : matplotlib Axes
    boxes : ndarray of shape (n, 4)
        (left, top, right, bottom) in pixels.
    """
    from matplotlib.patches import Rectangle

    same = (boxes[:, None] == boxes[None]).all(axis=-1)
    for rank in reversed(range(len(boxes))):
        left, top, right, bottom = boxes[rank]
        sharers = np.flatnonzero(same[rank])
        turn, dash = int(np.searchsorted(sharers, rank)), 3.0
        dashed: Any = (turn * dash, (dash, (len(sharers) - 1) * dash))
        colour = part_colours(len(boxes))[rank]
        lines = [(2.2, colour, dashed if len(sharers) > 1 else "-")]
        if rank == sharers[-1]:
            lines.insert(0, (4.2, "black", "-"))
        for width, colour, style in lines:
            axes.add_patch(
                Rectangle(
                    (left, top),
                    right - left,
                    bottom - top,
                    fill=False,
                    linewidth=width,
                    linestyle=style,
                    edgecolor=colour,
                )
            )


def badge_places(
    boxes: np.ndarray, size: tuple[int, int], *, centred: bool = False
) -> np.ndarray:
    """Find a place in each box where its number covers no other number.

    Parameters
    ----------
    boxes : ndarray of shape (n, 4)
        (left, top, right, bottom), in the order in which they choose.
    size : (int, int)
        Width and height of the image.
    centred : bool, default=False
        True: the middle of the box is tried before its corners.

    Returns
    -------
    float64 ndarray of shape (n, 2)
        (x, y) of the numbers' centres. Of a box without a free place, the one
        that is farthest from other numbers.
    """
    apart = _APART * max(size)
    sides = np.array(size)
    shares = np.array([0.0, 1.0, 0.5, 0.25, 0.75])
    across, down = np.meshgrid(shares, shares)
    grid = np.column_stack([across.ravel(), down.ravel()])
    if centred:
        order = np.abs(grid - 0.5).max(axis=1)
        grid = grid[np.argsort(order, kind="stable")]
    taken = np.empty((0, 2))
    for box in boxes:
        # Inside the frame; outside of one that would disappear below its number.
        inset = apart / 2 if (box[2:] - box[:2]).min() > 0.8 * apart else -apart / 2
        start, end = box[:2] + inset, box[2:] - inset
        places = start + grid * np.maximum(0, end - start)
        places = np.clip(places, apart / 2, np.maximum(apart / 2, sides - apart / 2))
        distances = np.linalg.norm(places[:, None] - taken[None], axis=-1)
        nearest = distances.min(axis=1, initial=np.inf)
        free = np.flatnonzero(nearest >= apart)
        chosen = free[0] if len(free) else nearest.argmax()
        taken = np.vstack([taken, places[chosen]])
    return taken


def badges(axes, places: np.ndarray) -> None:
    """Write 1, 2, ... at some places, in the colours of the boxes.

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
            # The strongest on top.
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
        With the image.
    names : sequence of n names
    contributions : ndarray of shape (n,)
        To the score; written behind the names.
    width : int
        Characters that fit into a line.
    unseen : matplotlib Patch or None
        What marks the places that the network did not see, if any.
    """
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=c, edgecolor="black") for c in part_colours(len(names))]
    labels = [
        f"{rank + 1}  {shorten(name, max(8, width - 15))}  {added}"
        for rank, (name, added) in enumerate(
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
