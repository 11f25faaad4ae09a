"""Where the evidence for a decision comes from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.metrics._validation import check_finite

__all__ = ["parts_for_evidence", "present_evidence"]


def present_evidence(contributions: ArrayLike, descriptors: ArrayLike) -> np.ndarray:
    """Return the share of the evidence that comes from parts that are present.

    The evidence for a class in an image is the sum of the positive contributions to its
    score. A part can contribute to it in two ways: it is present, and speaks for the
    class; or it is absent, and would have spoken against it. Only the former can be
    shown in the image.

    Parameters
    ----------
    contributions : array-like of shape (n, P)
        Contributions of the parts to the score of the class that is explained, such as
        those of `skdpnet.explain` for the predicted class.
    descriptors : array-like of shape (n, P)
        As from `transform`. A part is present where its number is above 0: it responds
        more than in an average training image.

    Returns
    -------
    float64 ndarray of shape (n,)
        In [0, 1]; NaN for an image without a positive contribution.

    Raises
    ------
    ValueError
        If the shapes differ, or a number is not finite.

    See Also
    --------
    parts_for_evidence : How many parts give most of the evidence.

    Examples
    --------
    >>> from skdpnet.metrics import present_evidence
    >>> present_evidence([[0.6, 0.2, -0.1]], [[1.5, -0.5, 0.3]])
    array([0.75])
    """
    positive = _positive(contributions)
    b = check_finite("descriptors", descriptors, 2)
    if b.shape != positive.shape:
        raise ValueError(
            f"descriptors have the shape {b.shape}, but contributions have "
            f"{positive.shape}: both need a row for each image and a column for each "
            "part."
        )
    total = positive.sum(axis=1)
    present = np.where(b > 0, positive, 0).sum(axis=1)
    return np.divide(present, total, out=np.full(len(total), np.nan), where=total > 0)


def parts_for_evidence(contributions: ArrayLike, *, share: float = 0.8) -> np.ndarray:
    """Count the parts that give a share of the evidence for a class.

    Parameters
    ----------
    contributions : array-like of shape (n, P)
        As in `present_evidence`.
    share : float in (0, 1], default=0.8
        Share of the sum of the positive contributions.

    Returns
    -------
    int ndarray of shape (n,)
        The smallest number of parts whose contributions sum to this share; 0 for an
        image without a positive contribution.

    Raises
    ------
    ValueError
        If a number is not finite, or the share is outside (0, 1].

    See Also
    --------
    parts_to_keep : How many parts are enough for the decision.

    Examples
    --------
    >>> from skdpnet.metrics import parts_for_evidence
    >>> parts_for_evidence([[0.5, 0.3, 0.2, -0.4]])
    array([2])
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share!r}.")
    largest_first = -np.sort(-_positive(contributions), axis=1)
    sums = np.cumsum(largest_first, axis=1)
    total = sums[:, -1:] if sums.shape[1] else np.zeros((len(sums), 1))
    # Rounding of a sum must not add a part.
    missing = sums < share * total * (1 - 1e-12)
    return np.where(total[:, 0] > 0, missing.sum(axis=1) + 1, 0)


def _positive(contributions: ArrayLike) -> np.ndarray:
    return np.maximum(check_finite("contributions", contributions, 2), 0)
