"""Selection of parts that are pure, and that cover what others leave."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Cover", "Selected", "cover_of", "greedy_coverage", "overlaps"]

# Published: detections that overlap by more than this are of the same thing.
_MOST_OVERLAP = 0.5
# A share of detections that is a fraction may be a rounding error below it.
_ROUNDING = 1e-9


class Cover(NamedTuple):
    """What each of E parts of a class detects in images that it was not trained on.

    Attributes
    ----------
    kept : bool ndarray of shape (E, n)
        The images of the class whose detection is kept.
    purities : float32 ndarray of shape (E,)
        Share of the class among a part's best detections, as many as images of the
        class were looked at.
    coverages : float32 ndarray of shape (E,)
        Share of the images of the class that were looked at whose detection is kept.
    """

    kept: np.ndarray
    purities: np.ndarray
    coverages: np.ndarray


class Selected(NamedTuple):
    """Parts in the order of their selection.

    Attributes
    ----------
    parts : int ndarray of shape (n_selected,)
    gains : float ndarray of shape (n_selected,)
        The gain of each at its selection; they never increase.
    """

    parts: np.ndarray
    gains: np.ndarray


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute how much boxes overlap: their intersection over their union.

    Parameters
    ----------
    boxes, others : ndarrays of shape (..., 4)
        Top, left, bottom and right, as in `RegionGrid.cells`; they are broadcast.

    Returns
    -------
    float ndarray of shape (...)

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.parts.selection_coverage import overlaps
    >>> boxes = np.array([[0, 0, 2, 2], [0, 2, 2, 4]])
    >>> overlaps(boxes, np.array([0, 1, 2, 3])).round(2)
    array([0.33, 0.33])
    """
    shared = np.minimum(boxes, others)[..., 2:] - np.maximum(boxes, others)[..., :2]
    intersection = shared.clip(min=0).prod(axis=-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
    of_others = (others[..., 2:] - others[..., :2]).prod(axis=-1)
    return intersection / (areas + of_others - intersection)


def cover_of(scores: np.ndarray, in_class: np.ndarray, purity: float) -> Cover:
    """Find the detections of parts that are mostly of their class.

    The detections of a part are ranked by their scores. Those are kept down to the last
    rank at which at least a share `purity` of all detections so far is of the class.

    Parameters
    ----------
    scores : ndarray of shape (E, n)
        The score of each part's detection in each image; −∞ where it did not look.
    in_class : bool ndarray of shape (n,)
        Whether the image is of the class of the parts.
    purity : float in (0, 1]

    Returns
    -------
    Cover

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.parts.selection_coverage import cover_of
    >>> scores = np.array([[4.0, 3.0, 2.0, 1.0]])
    >>> in_class = np.array([True, False, True, True])
    >>> cover = cover_of(scores, in_class, purity=0.7)
    >>> cover.kept.tolist(), cover.purities.round(2)
    ([[True, False, True, True]], array([0.67], dtype=float32))
    """
    looked = np.isfinite(scores)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.arange(1, scores.shape[1] + 1)
    n_own = in_class[order].cumsum(axis=1)
    pure = (n_own >= purity * ranks - _ROUNDING) & np.take_along_axis(looked, order, 1)
    last = (pure * ranks).max(axis=1, keepdims=True)
    kept = np.zeros(scores.shape, bool)
    np.put_along_axis(kept, order, ranks <= last, axis=1)
    kept &= in_class
    n_looked = (looked & in_class).sum(axis=1, keepdims=True)
    at_least_one = n_looked.clip(min=1)
    n_best = np.where(n_looked > 0, np.take_along_axis(n_own, at_least_one - 1, 1), 0)
    return Cover(
        kept,
        (n_best / at_least_one)[:, 0].astype(np.float32),
        (kept.sum(axis=1) / at_least_one[:, 0]).astype(np.float32),
    )


def greedy_coverage(kept: np.ndarray, boxes: np.ndarray, n_selected: int) -> Selected:
    """Select parts one after another, each for what it covers that others do not.

    The gain of a part is the sum of ``1 / (1 + number of selected parts whose detection
    overlaps)`` over its detections, as in Doersch et al. (NIPS 2013).

    Parameters
    ----------
    kept : bool ndarray of shape (E, n)
        The images in which each part has a detection.
    boxes : ndarray of shape (E, n, 4)
        The detection's top, left, bottom and right.
    n_selected : int
        At most E.

    Returns
    -------
    Selected
        Of parts with equal gains the first is selected.
    """
    n_covering = np.zeros(kept.shape, np.int64)
    left = np.ones(len(kept), bool)
    parts, gains = [], []
    for _ in range(n_selected):
        all_gains = (kept / (1 + n_covering)).sum(axis=1)
        best = int(np.argmax(np.where(left, all_gains, -1.0)))
        parts.append(best)
        gains.append(all_gains[best])
        left[best] = False
        covered = overlaps(boxes, boxes[best]) > _MOST_OVERLAP
        n_covering += kept[best] & covered
    return Selected(np.array(parts, np.int64), np.array(gains, np.float64))
