"""Which of many candidate parts to keep: distinct, telling, and covering ones."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, sparray

__all__ = ["entropy_areas", "pure_heads", "select_covering", "select_distinct"]

# Candidates are ranked some at a time, so that the tables of their counts stay small.
_NUMBERS_AT_ONCE = 2**21


def select_distinct(
    detectors: np.ndarray, merit: np.ndarray, n_selected: int, max_cosine: float
) -> np.ndarray:
    """Select the best detectors that are not near-duplicates of better ones.

    Parameters
    ----------
    detectors : ndarray of shape (K, D)
        Unit rows.
    merit : ndarray of shape (K,)
        Score of each detector; larger is better.
    n_selected : int
        Number of detectors to select, at most K.
    max_cosine : float
        Two detectors with a larger cosine are near-duplicates.

    Returns
    -------
    int ndarray of shape (n_selected,)
        The numbers of the detectors, best first. If too few are distinct, the best of
        the near-duplicates follow.
    """
    order = np.argsort(-merit, kind="stable")
    cosines = detectors @ detectors.T
    distinct: list[int] = []
    duplicates: list[int] = []
    for k in order:
        is_duplicate = bool((cosines[k, distinct] > max_cosine).any())
        (duplicates if is_duplicate else distinct).append(int(k))
    return np.array((distinct + duplicates)[:n_selected])


def entropy_areas(scores: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Compute the areas under the entropy-rank curves of parts [1]_.

    The images are sorted by the score of the part, best first. ``H(r)`` is the entropy,
    in bits, of the classes of the first r of them, and the area under it is taken by
    the trapezoid rule over ``r = 1 … n``. It is small where the images of few classes,
    whichever they are, come first.

    Parameters
    ----------
    scores : ndarray of shape (n, P)
        The response of each of P parts to each of n images.
    labels : int ndarray of shape (n,)
        The class of each image, in 0 … n_classes - 1.
    n_classes : int

    Returns
    -------
    float64 ndarray of shape (P,)
        Smaller is better; between 0 and ``(n - 1) log2(n_classes)``.

    Notes
    -----
    Among images of equal score the first of each class come first, then the second, and
    so on, so that a part that responds alike to all images has a large area.

    References
    ----------
    .. [1] M. Juneja, A. Vedaldi, C. V. Jawahar, A. Zisserman, "Blocks that shout:
       distinctive parts for scene classification", CVPR 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.parts.selection import entropy_areas
    >>> scores = np.array([[4, 4], [3, 1], [2, 3], [1, 2]])
    >>> entropy_areas(scores, np.array([0, 0, 1, 1]), 2).round(2)
    array([1.42, 2.42])
    """
    n, n_parts = scores.shape
    is_of = labels[:, None] == np.arange(n_classes)
    turn = (np.cumsum(is_of, axis=0) * is_of).sum(axis=1)
    # Sorted by turn first, a stable sort by score leaves images of equal score so.
    by_turn = np.argsort(turn, kind="stable")
    ranks = np.arange(1, n + 1)[:, None, None]
    areas = np.empty(n_parts)
    at_once = max(1, _NUMBERS_AT_ONCE // (n * n_classes))
    for first in range(0, n_parts, at_once):
        some = slice(first, first + at_once)
        order = np.argsort(-scores[by_turn, some], axis=0, kind="stable")
        counts = np.cumsum(is_of[by_turn[order]], axis=0, dtype=np.int32)
        shares = counts / ranks
        bits = np.log2(shares, out=np.zeros_like(shares), where=counts > 0)
        entropies = -(shares * bits).sum(axis=2)
        areas[some] = np.trapezoid(entropies, axis=0)
    return areas


def pure_heads(scores: np.ndarray, positive: np.ndarray, purity: float) -> np.ndarray:
    """Count how many of the best detections of parts are pure enough.

    Parameters
    ----------
    scores : ndarray of shape (n, P)
        The response of each of P parts to each of n detections.
    positive : bool ndarray of shape (n,) or (n, P)
        Which detections are of the part's class.
    purity : float in (0, 1]

    Returns
    -------
    int ndarray of shape (P,)
        The largest r for which a share of at least `purity` of the r best detections is
        positive; 0 if there is none. Among detections of equal score those that are not
        positive come first.
    """
    positive = np.broadcast_to(
        positive if positive.ndim == 2 else positive[:, None], scores.shape
    )
    order = np.lexsort((positive, -scores), axis=0)
    counts = np.cumsum(np.take_along_axis(positive, order, axis=0), axis=0)
    ranks = np.arange(1, len(scores) + 1)[:, None]
    # Counts are compared, because a share such as 0.7 is rounded.
    is_pure = counts >= purity * ranks - 1e-9
    return (is_pure * ranks).max(axis=0, initial=0)


def select_covering(
    owners: np.ndarray, overlaps: sparray, n_parts: int, n_selected: int
) -> tuple[np.ndarray, np.ndarray]:
    """Select parts one by one that detect what those before them have not [1]_.

    Each time the part is selected that gains most: ``Σ_d 1 / (1 + n_d)`` over its
    detections d, where ``n_d`` is the number of detections of selected parts that
    overlap d. Gains diminish from one to the next.

    Parameters
    ----------
    owners : int ndarray of shape (m,)
        The part that each of m detections is of, in 0 … n_parts - 1.
    overlaps : sparse array of shape (m, m)
        Not zero where two detections overlap; symmetric.
    n_parts : int
    n_selected : int
        At most `n_parts`.

    Returns
    -------
    selected : int ndarray of shape (n_selected,)
        Best first; parts without detections come last.
    gains : float64 ndarray of shape (n_selected,)
        In descending order.

    References
    ----------
    .. [1] C. Doersch, A. Gupta, A. A. Efros, "Mid-level visual element discovery as
       discriminative mode seeking", NIPS 2013.

    Examples
    --------
    Parts 0 and 1 detect the same two things, and part 2 a third:

    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from skdpnet.parts.selection import select_covering
    >>> things = np.array([0, 1, 0, 1, 2])
    >>> overlaps = csr_array(things[:, None] == things)
    >>> select_covering(np.array([0, 0, 1, 1, 2]), overlaps, 3, 3)
    (array([0, 1, 2]), array([2., 1., 1.]))
    """
    neighbours = csr_array(overlaps != 0, dtype=np.float64)
    n_overlapping = np.zeros(len(owners))
    is_free = np.ones(n_parts, bool)
    selected, gains = np.empty(n_selected, np.intp), np.empty(n_selected)
    for step in range(n_selected):
        gain = np.bincount(owners, 1 / (1 + n_overlapping), minlength=n_parts)
        best = int(np.where(is_free, gain, -np.inf).argmax())
        selected[step], gains[step], is_free[best] = best, gain[best], False
        n_overlapping += neighbours @ (owners == best)
    return selected, gains
