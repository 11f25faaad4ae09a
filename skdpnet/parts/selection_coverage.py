"""Selection of parts that are pure and cover what others leave."""

from __future__ import annotations

import numpy as np

__all__ = ["greedy_coverage", "pure_ranks"]


def pure_ranks(scores: np.ndarray, in_class: np.ndarray, purity: float) -> np.ndarray:
    """Count the detections of each part that are mostly of its class.

    The detections of a part are ranked by their scores. Those are kept down to the last
    rank at which at least a share `purity` of all detections so far is of the class.

    Parameters
    ----------
    scores : ndarray of shape (E, n)
        The score of each part's detection in each image; −∞ where it has none.
    in_class : bool ndarray of shape (n,)
        Whether the image is of the class of the parts.
    purity : float in (0, 1]

    Returns
    -------
    int ndarray of shape (E,)
        Number of detections that are kept, of images of any class.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.parts.selection_coverage import pure_ranks
    >>> scores, in_class = np.array([[4, 3, 2, 1]]), np.array([True, False, True, False])
    >>> pure_ranks(scores, in_class, purity=0.6)
    array([3])
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.arange(1, scores.shape[1] + 1)
    pure = in_class[order].cumsum(axis=1) >= purity * ranks - 1e-9
    pure &= np.isfinite(np.take_along_axis(scores, order, axis=1))
    return (pure * ranks).max(axis=1, initial=0)


def greedy_coverage(
    kept: np.ndarray, regions: np.ndarray, overlapping: np.ndarray, n_selected: int
) -> tuple[np.ndarray, np.ndarray]:
    """Select parts one after another, each for what it covers that others do not.

    The gain of a part is the sum of ``1 / (1 + number of selected parts with an
    overlapping detection)`` over its detections [1]_.

    Parameters
    ----------
    kept : bool ndarray of shape (E, n)
        The images in which each part has a detection.
    regions : int ndarray of shape (E, n)
        The region of the detection.
    overlapping : bool ndarray of shape (R, R)
        Whether two regions overlap.
    n_selected : int
        At most E.

    Returns
    -------
    selected : int ndarray of shape (n_selected,)
        Of equal parts the first is selected.
    gains : float ndarray of shape (n_selected,)
        Gain of each at its selection; they never increase.

    References
    ----------
    .. [1] C. Doersch, A. Gupta, A. A. Efros, "Mid-level visual element discovery as
       discriminative mode seeking", NIPS 2013.
    """
    covered = np.zeros(kept.shape, np.int64)
    left = np.ones(len(kept), bool)
    selected = np.empty(n_selected, np.int64)
    gains = np.empty(n_selected)
    for i in range(n_selected):
        all_gains = (kept / (1 + covered)).sum(axis=1)
        best = int(np.argmax(np.where(left, all_gains, -1.0)))
        selected[i], gains[i], left[best] = best, all_gains[best], False
        covered += kept[best] & overlapping[regions, regions[best]]
    return selected, gains
