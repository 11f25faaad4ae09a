"""Colours of signs, as matplotlib takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.utils.colours import AGAINST, FOR

__all__ = ["diverging", "sign_colours"]


def diverging(strength: float = 1.0):
    """Make a colour map from AGAINST over white to FOR.

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
    """Return the colour of each value's sign.

    Parameters
    ----------
    values : array-like of float

    Returns
    -------
    list of str
    """
    return [FOR if value >= 0 else AGAINST for value in np.ravel(values)]
