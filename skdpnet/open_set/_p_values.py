"""Conformal p-values of scores, by the scores of images of known classes."""

from __future__ import annotations

import numpy as np

__all__ = ["conformal_p_values"]


def conformal_p_values(
    calibration: np.ndarray,
    scores: np.ndarray,
    calibration_groups: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Return how usual scores are among those of calibration images.

    The p-value of a score s is ``(1 + k) / (1 + n)``, where k of n calibration scores
    are at most s [1]_. If the image and the calibration images are exchangeable, it is
    at most α with a probability of at most α. With groups, n and k count the
    calibration images of the score's group, and this holds in each group: Mondrian
    conformal prediction [2]_.

    Parameters
    ----------
    calibration : float ndarray of shape (n,)
        The scores of the calibration images.
    scores : float ndarray of shape (m,)
    calibration_groups, groups : int ndarrays of shape (n,) and (m,), default=None
        The group of each image. None: all are in one.

    Returns
    -------
    float64 ndarray of shape (m,)
        In (0, 1]; 1 in a group without calibration images.

    References
    ----------
    .. [1] S. Bates, E. Candès, L. Lei, Y. Romano, M. Sesia, "Testing for outliers with
       conformal p-values", Annals of Statistics 51 (2023), 149-178.
    .. [2] V. Vovk, A. Gammerman, G. Shafer, "Algorithmic Learning in a Random World",
       Springer 2005.
    """
    if calibration_groups is None or groups is None:
        below = np.searchsorted(np.sort(calibration), scores, side="right")
        return (1 + below) / (1 + len(calibration))
    p_values = np.ones(len(scores))
    for group in np.unique(groups):
        members = groups == group
        of_group = calibration[calibration_groups == group]
        p_values[members] = conformal_p_values(of_group, scores[members])
    return p_values
