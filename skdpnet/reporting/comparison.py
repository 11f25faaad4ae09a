"""Writing a comparison of methods on the same images as one HTML file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skdpnet import __version__
from skdpnet.images.collection import Images
from skdpnet.reporting.compared import Compared
from skdpnet.reporting.intervals import accuracy_interval, difference_interval
from skdpnet.reporting.overlay import View, lay_out
from skdpnet.reporting.page import asset, environment, signed
from skdpnet.reporting.thumbnails import Bitmaps, shrink_images
from skdpnet.storage.atomic_write import replace_file, target_file
from skdpnet.utils.colours import FOR, PARTS

__all__ = ["comparison_rows", "write_comparison"]


def comparison_rows(methods: Sequence[Compared]) -> list[dict[str, Any]]:
    """Compute the rows of the table, with intervals of 95 %.

    Parameters
    ----------
    methods : sequence of Compared
        Measured on the same images.

    Returns
    -------
    list of dict
        In the order of the methods: ``method``, ``accuracy``, ``interval``, a pair;
        ``seconds``; ``parts`` and ``parts_in_decision``, None for methods without;
        ``is_best`` for the first row of the highest accuracy; ``difference`` from it
        and ``difference_interval``, None for itself.
    """
    best = int(np.argmax([method.right.mean() for method in methods]))
    reference = methods[best].right
    rows = []
    for number, method in enumerate(methods):
        right, is_best = method.right, number == best
        rows.append(
            {
                "method": method.title,
                "accuracy": float(right.mean()),
                "interval": accuracy_interval(right),
                "seconds": method.seconds,
                "parts": method.n_parts,
                "parts_in_decision": method.in_decision,
                "is_best": is_best,
                "difference": (
                    None if is_best else float(right.mean() - reference.mean())
                ),
                "difference_interval": (
                    None if is_best else difference_interval(right, reference)
                ),
            }
        )
    return rows


def write_comparison(
    path: str | os.PathLike,
    methods: Sequence[Compared],
    test: Images,
    y_test: np.ndarray,
    *,
    shown: Sequence[int],
    names: Sequence[str],
    title: str,
    facts: Sequence[tuple[str, str, str]],
    split: str,
    verbose: int = 0,
) -> Path:
    """Write the page.

    Parameters
    ----------
    path : str or path
        The file; it appears as a whole or not at all.
    methods : sequence of Compared
    test : Images
        The held-out images.
    y_test : ndarray of shape (n,)
        Their labels.
    shown : sequence of int
        Numbers of the images that are shown.
    names : sequence of n str
        Names of the images.
    title : str
    facts : sequence of (str, str, str)
        What is told above the table: a heading, a value, and a note.
    split : str
        A sentence on how the images were split.
    verbose : int, default=0
        1 or more: a progress bar.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such folder, or if the path is a folder.
    skdpnet.images.ImageError
        If images cannot be read.
    """
    file, bitmaps = target_file(path), Bitmaps()
    bitmap_of = shrink_images(test, shown, bitmaps, verbose)
    images = []
    for number in shown:
        bitmap, size = bitmap_of[number]
        images.append(
            {
                "name": names[number],
                "true": str(y_test[number]),
                "bitmap": bitmap,
                "view": View.of(size),
                "answers": [
                    _answer(method, rank, number, View.of(size))
                    for rank, method in enumerate(methods)
                ],
            }
        )
    template = environment()
    template.filters["points"] = lambda share: signed(1)(100 * share)
    html = template.get_template("comparison.html").render(
        title=title,
        facts=facts,
        split=split,
        rows=comparison_rows(methods),
        images=images,
        uris=bitmaps.uris,
        colours=PARTS,
        colour=FOR,
        n_test=len(y_test),
        n_classes=len(set(y_test.tolist())),
        version=__version__,
        style=asset("style.css") + asset("comparison.css"),
    )
    replace_file(file, html.encode(errors="replace"))
    return file


def _answer(method: Compared, rank: int, number: int, view: View) -> dict[str, Any]:
    """Arrange what a method says of an image."""
    strongest = method.strongest.get(number)
    return {
        "method": method.title,
        "rank": rank % len(PARTS),
        "has_parts": method.n_parts is not None,
        "predicted": str(method.predicted[number]),
        "right": bool(method.right[number]),
        "part": None if strongest is None else strongest.part,
        "frame": None if strongest is None else lay_out(view, [strongest.box], [""])[0],
    }
