"""How well regions agree with known parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["pointing_game"]


def pointing_game(boxes: ArrayLike, targets: Sequence[ArrayLike]) -> np.ndarray:
    """Tell for each picture whether a box points at one of its targets.

    A box points at a target in which its centre lies.

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
        (left, top, right, bottom), one a picture.
    targets : sequence of n array-likes of shape (k_i, 4)
        True boxes of each picture, in the same pixels; there may be none.

    Returns
    -------
    bool ndarray of shape (n,)
        Its mean is the pointing game's score.

    Raises
    ------
    ValueError
        If the numbers of boxes and of pictures differ.

    References
    ----------
    J. Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016,
    section 4.1.

    Examples
    --------
    >>> from skdpnet.metrics import pointing_game
    >>> pointing_game([[0, 0, 4, 4], [0, 0, 4, 4]], [[[1, 1, 3, 3]], [[5, 5, 9, 9]]])
    array([ True, False])
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if len(boxes) != len(targets):
        raise ValueError(f"{len(boxes)} boxes but targets of {len(targets)} pictures.")
    hits = np.zeros(len(boxes), dtype=bool)
    for i, (left, top, right, bottom) in enumerate(boxes):
        x, y = (left + right) / 2, (top + bottom) / 2
        true = np.asarray(targets[i], dtype=np.float64).reshape(-1, 4)
        across = (true[:, 0] <= x) & (x <= true[:, 2])
        hits[i] = (across & (true[:, 1] <= y) & (y <= true[:, 3])).any()
    return hits
