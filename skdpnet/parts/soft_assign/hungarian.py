"""One-to-one assignment of regions to parts, and the detectors that follow from it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.preprocessing import normalize

from skdpnet.parts.map_parts import PIECE_BYTES
from skdpnet.utils.batching import slices_within

__all__ = ["assign_one_to_one", "refine_one_to_one"]


def assign_one_to_one(scores: np.ndarray) -> np.ndarray:
    """Assign each part the region of its own, in each image separately.

    Parameters
    ----------
    scores : ndarray of shape (n, P, R)
        How well each of R regions of each of n images matches each of P parts.

    Returns
    -------
    int ndarray of shape (n, P)
        The number of the region of each part, such that the scores of all parts of an
        image have the largest sum (Hungarian algorithm). No two parts have the same
        region: if there are fewer regions than parts, each region has one part, and the
        other parts have −1. It is the limit of `soft_assign` for β → ∞.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.parts.soft_assign.hungarian import assign_one_to_one
    >>> assign_one_to_one(np.array([[[0.9, 0.5, 0.1], [0.9, 0.2, 0.0]]]))
    array([[1, 0]])
    """
    assigned = np.full(scores.shape[:2], -1)
    for of_image, score in zip(assigned, scores, strict=True):
        parts, regions = linear_sum_assignment(score, maximize=True)
        of_image[parts] = regions
    return assigned


def refine_one_to_one(
    regions: np.ndarray, detectors: np.ndarray, n_rounds: int
) -> tuple[np.ndarray, int]:
    """Refine the detectors of a class by alternating assignments and averages.

    It maximises ``J = Σ_p ‖m_p‖²``, where m_p is the average over the images of the
    region that is assigned to part p: a quadratic assignment problem [1]_. J is convex
    in the assignment, so that the best step of Frank and Wolfe's algorithm (and of
    IPFP) goes all the way to the best assignment for the scores ``m_pᵀ x``. J never
    falls from one round to the next.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        Region descriptors of length 1, or 0, of the images of the class.
    detectors : float32 ndarray of shape (q, K)
        Unit rows, with which the first round begins.
    n_rounds : int
        At most so many.

    Returns
    -------
    detectors : float32 ndarray of shape (q, K)
        Unit rows: the directions of m_p. A part whose regions cancel, or that has none,
        keeps its first detector.
    n_rounds : int
        Number of rounds until the assignments did not change any more.

    References
    ----------
    .. [1] R. Sicre, J. Rabin, Y. Avrithis, T. Furon, F. Jurie, E. Kijak, "Automatic
       discovery of discriminative parts as a quadratic assignment problem", 2016,
       arXiv:1611.04413.
    """
    n_images = len(regions)
    means = detectors
    assigned = np.full((n_images, len(detectors)), -1)
    done, changes = 0, True
    while changes and done < n_rounds:
        before, sums = assigned.copy(), np.zeros_like(detectors)
        for images in slices_within(n_images, 4 * regions[0].size, PIECE_BYTES):
            some = regions[images]
            numbers = assign_one_to_one(means @ some.swapaxes(1, 2))
            chosen = np.take_along_axis(some, numbers.clip(0)[..., None], axis=1)
            sums += (chosen * (numbers >= 0)[..., None]).sum(axis=0)
            assigned[images] = numbers
        means = sums / n_images
        changes, done = bool((assigned != before).any()), done + 1
    has_direction = np.linalg.norm(means, axis=1) > 1e-6
    return np.where(has_direction[:, None], normalize(means), detectors), done
