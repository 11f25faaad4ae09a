"""The colours of figures and pages, which colour-blind readers can distinguish.

They are those of Okabe and Ito: two that are about equally light, for what speaks for
and against a class, and the others, with a grey, for the parts.
"""

from __future__ import annotations

from itertools import cycle, islice

__all__ = ["AGAINST", "FOR", "PARTS", "RIGHT", "part_colours", "rgb"]

# Vermilion, blue and bluish green. Wrong predictions have the colour of FOR.
FOR, AGAINST, RIGHT = "#D55E00", "#0072B2", "#009E73"
PARTS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#BBBBBB")


def part_colours(n: int) -> list[str]:
    """Return the colours of n parts; they repeat, which is why parts have numbers.

    Parameters
    ----------
    n : int

    Returns
    -------
    list of n str
        ``#rrggbb``.

    Examples
    --------
    >>> from skdpnet.utils.colours import part_colours
    >>> part_colours(2)
    ['#E69F00', '#56B4E9']
    """
    return list(islice(cycle(PARTS), n))


def rgb(colour: str) -> tuple[int, int, int]:
    """Return the red, green and blue of a colour, each from 0 to 255.

    Parameters
    ----------
    colour : str
        ``#rrggbb``.

    Returns
    -------
    (int, int, int)

    Examples
    --------
    >>> from skdpnet.utils.colours import rgb
    >>> rgb("#0072B2")
    (0, 114, 178)
    """
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue
