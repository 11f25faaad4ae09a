"""Colours that colour-blind people can tell apart, for signs and for parts."""

from __future__ import annotations

from itertools import cycle, islice

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["AGAINST", "FOR", "diverging", "part_colours", "sign_colours"]

# Okabe and Ito's: two, about equally light, for what speaks for and against a class,
# and the rest to tell parts apart.
FOR, AGAINST = "#D55E00", "#0072B2"
_PARTS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7")


def diverging(strength: float = 1.0):
    """Make a map of colours from against over white to for.

    Parameters
    ----------
    strength : float, default=1.0
        Opacity of the two ends, on white.

    Returns
    -------
    matplotlib Colormap
    """
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    ends = [1 - strength * (1 - np.array(to_rgb(end))) for end in (AGAINST, FOR)]
    return LinearSegmentedColormap.from_list(
        "for_against", np.stack([ends[0], np.ones(3), ends[1]])
    )


def sign_colours(values: ArrayLike) -> list[str]:
    """Choose each value's colour by its sign.

    Parameters
    ----------
    values : array-like of float

    Returns
    -------
    list of str
    """
    return [FOR if value >= 0 else AGAINST for value in np.ravel(values)]


def part_colours(n: int) -> list[str]:
    """Choose the colours of n parts; they repeat, which is why parts have numbers.

    Parameters
    ----------
    n : int

    Returns
    -------
    list of str
    """
    return list(islice(cycle(_PARTS), n))
