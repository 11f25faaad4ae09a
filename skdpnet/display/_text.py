"""Text of figures that stays legible, whatever the names of the classes are."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.explanations.explanation import Explanation

__all__ = [
    "explained_name",
    "fitting",
    "headline",
    "score_noun",
    "shorten",
    "signed",
    "text_as_is",
    "wrap",
]

# Mean width of the characters of DejaVu Sans, in units of the font size.
_CHARACTER = 0.6


def text_as_is(artist) -> None:
    """Turn mathematical typesetting off: names may contain ``$`` and ``_``.

    Parameters
    ----------
    artist : matplotlib Artist
        Axes or figure, all of whose text is changed.
    """
    from matplotlib.text import Text

    for text in artist.findobj(Text):
        if text.get_text():
            text.set(parse_math=False, usetex=False)


def fitting(inches: float, fontsize: float) -> int:
    """Return the number of characters that fit into a width.

    Parameters
    ----------
    inches : float
        Width.
    fontsize : float
        Size of the font in points.

    Returns
    -------
    int
        At least 8.
    """
    return max(8, int(72 * inches / (_CHARACTER * fontsize)))


def shorten(name: Any, width: int) -> str:
    """Leave out the middle of a long name, whose end is the number of the part.

    Parameters
    ----------
    name : label
    width : int
        Largest number of characters of the result.

    Returns
    -------
    str
        One line.
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
        Largest number of characters of a line.

    Returns
    -------
    str
    """
    lines = [""]
    for number, line in enumerate(text.split("\n")):
        if number:
            lines.append("")
        # Names that come from files have underscores in place of spaces.
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
        All have the same number of decimals.
    """
    numbers = np.ravel(np.asarray(values, np.float64))
    largest = np.abs(numbers).max(initial=0.0)
    decimals = 2
    if largest > 0:
        decimals = max(2 if largest < 100 else 0, 1 - math.floor(math.log10(largest)))
    return [f"{value:+.{decimals}f}".replace("-", "−") for value in numbers]


def score_noun(outcome: str) -> str:
    """Return what figures call a score, by the `outcome` of its readout."""
    return "prediction" if outcome == "target" else "score"


def explained_name(explained: Any, outcome: str) -> str:
    """Return what figures call the class, or the target of a regressor.

    Parameters
    ----------
    explained : label
    outcome : str
        As `skdpnet.explanations.readout.Readout` has it.

    Returns
    -------
    str
    """
    return shorten(f"target {explained}" if outcome == "target" else explained, 60)


def headline(why: Explanation) -> str:
    """Return a title of one or two lines that says which decision is explained.

    Parameters
    ----------
    why : Explanation

    Returns
    -------
    str
    """
    explained, predicted = shorten(why.explained, 60), shorten(why.predicted, 60)
    (score,) = signed(why.score)
    if why.readout.outcome == "target":
        name = "" if len(why.classes) == 1 else f"target {why.explained}, "
        return f"{name}prediction {score}"
    if why.against is not None:
        text = f"{explained}, not {shorten(why.against, 60)}: score difference {score}"
    else:
        text = f"{explained}, score {score}"
    if why.readout.outcome == "labels":
        is_predicted = why.scores[why.classes.tolist().index(why.explained)] > 0
        return f"{text} ({'predicted' if is_predicted else 'not predicted'})"
    if why.explained == why.predicted:
        return f"predicted {text}"
    (best,) = signed(why.scores.max())
    return f"{text}\n(predicted {predicted}, score {best})"
