"""Text that stays legible, whatever the names of the classes."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.explanations.explanation import Explanation

__all__ = ["fitting", "headline", "shorten", "signed", "text_as_is", "wrap"]

# Mean width of DejaVu Sans's characters, in units of the font's size.
_CHARACTER = 0.6


def text_as_is(artist) -> None:
    """Have all text drawn as it is written: names may hold ``$`` and ``_``.

    Parameters
    ----------
    artist : matplotlib Artist
        Axes or figure; the text in it is changed.
    """
    from matplotlib.text import Text

    for text in artist.findobj(Text):
        if text.get_text():
            text.set(parse_math=False, usetex=False)


def fitting(inches: float, fontsize: float) -> int:
    """Count the characters that fit into a width.

    Parameters
    ----------
    inches, fontsize : float
        Width, and size of the font in points.

    Returns
    -------
    int
        8 at least.
    """
    return max(8, int(72 * inches / (_CHARACTER * fontsize)))


def shorten(name: Any, width: int) -> str:
    """Leave out the middle of a long name: its end holds the part's number.

    Parameters
    ----------
    name : label
    width : int
        Number of characters that are left, at most.

    Returns
    -------
    str
        In one line.
    """
    text = " ".join(str(name).split())
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def wrap(text: str, width: int) -> str:
    """Break the lines of a text that are longer than `width` characters.

    Parameters
    ----------
    text : str
    width : int

    Returns
    -------
    str
    """
    lines = [""]
    for number, line in enumerate(text.split("\n")):
        if number:
            lines.append("")
        # Names of files have underscores where others have spaces.
        for piece in re.split(r"(?<=[\s_-])", line):
            if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
                lines.append("")
            while len(piece.rstrip()) > width:
                lines[-1:] = [piece[:width], ""]
                piece = piece[width:]
            lines[-1] += piece
    return "\n".join(line.strip() for line in lines)


def signed(values: ArrayLike) -> list[str]:
    """Write numbers with their signs and as many decimals as their scale needs.

    Parameters
    ----------
    values : array-like of float

    Returns
    -------
    list of str
        All with the same number of decimals.
    """
    numbers = np.ravel(np.asarray(values, np.float64))
    largest = np.abs(numbers).max(initial=0.0)
    decimals = 2
    if largest > 0:
        decimals = max(2 if largest < 100 else 0, 1 - math.floor(math.log10(largest)))
    return [f"{value:+.{decimals}f}".replace("-", "−") for value in numbers]


def headline(why: Explanation) -> str:
    """Say in a line or two which decision is explained.

    Parameters
    ----------
    why : Explanation

    Returns
    -------
    str
    """
    explained, predicted = shorten(why.explained, 60), shorten(why.predicted, 60)
    (score,) = signed(why.score)
    if why.against is not None:
        text = f"{explained}, not {shorten(why.against, 60)}: score difference {score}"
    else:
        text = f"{explained}, score {score}"
    if why.explained == why.predicted:
        return f"predicted {text}"
    (best,) = signed(why.scores.max())
    return f"{text}\n(predicted {predicted}, score {best})"
