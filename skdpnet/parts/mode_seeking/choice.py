"""Which elements of a class become parts: pure ones that cover what others leave."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from skdpnet.parts.mode_seeking.boxes import overlaps
from skdpnet.parts.selection import pure_heads, select_covering

__all__ = ["Choice", "choose_elements"]

# Published: detections that overlap by more than this are of the same thing.
_MOST_OVERLAP = 0.5


class Choice(NamedTuple):
    """Elements in the order of their selection.

    Attributes
    ----------
    elements : int ndarray of shape (n_parts,)
    purities, coverages : float32 ndarrays of shape (n_parts,)
        As `ModeSeeking` has them.
    gains : float64 ndarray of shape (n_parts,)
        The gain of each at its selection; they never increase.
    """

    elements: np.ndarray
    purities: np.ndarray
    coverages: np.ndarray
    gains: np.ndarray


def choose_elements(
    scores: np.ndarray,
    boxes: np.ndarray,
    in_class: np.ndarray,
    n_parts: int,
    purity: float,
) -> Choice:
    """Choose elements of a class by their detections, of which each image has one.

    Detections count down to the last rank at which at least a share `purity` is of the
    class.

    Parameters
    ----------
    scores : ndarray of shape (E, n)
        The score of each element's detection in each image; −∞ where it did not look.
    boxes : ndarray of shape (E, n', 4)
        Top, left, bottom and right of its detections in the n' images of the class.
    in_class : bool ndarray of shape (n,)
    n_parts : int
        At most E.
    purity : float in (0, 1]

    Returns
    -------
    Choice
    """
    looked = np.isfinite(scores)
    own = looked & in_class
    n_own = own.sum(axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1)
    n_counting = pure_heads(scores.T, own.T, purity)
    counts = own & (ranks < n_counting[:, None])
    at_least_one = n_own.clip(min=1)
    purities = (own & (ranks < n_own[:, None])).sum(axis=1) / at_least_one
    # Of elements with the same gain, which is 0 where no detection counts, the purest
    # comes first.
    best_first = np.argsort(-purities, kind="stable")
    of_class = counts[best_first][:, in_class]
    owners, images = np.nonzero(of_class)
    covering, gains = select_covering(
        owners,
        _overlapping(boxes[best_first][owners, images], images),
        len(scores),
        n_parts,
    )
    chosen = best_first[covering]
    return Choice(
        chosen,
        purities[chosen].astype(np.float32),
        (counts.sum(axis=1) / at_least_one)[chosen].astype(np.float32),
        gains,
    )


def _overlapping(boxes: np.ndarray, images: np.ndarray) -> csr_array:
    """Mark the detections that overlap: a symmetric array (m, m).

    Parameters
    ----------
    boxes : ndarray of shape (m, 4)
    images : int ndarray of shape (m,)
        The image of each detection.
    """
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for image in np.unique(images):
        here = np.flatnonzero(images == image)
        shares = overlaps(boxes[here][:, None], boxes[here])
        first, second = np.nonzero(shares > _MOST_OVERLAP)
        rows.append(here[first])
        columns.append(here[second])
    places = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.ones(len(places[0])), places), shape=(len(boxes), len(boxes)))
