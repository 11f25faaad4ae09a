"""Fits of a linear readout of numbers: ridge regression, with a further penalty."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve

from skdpnet.training.linear_fits import Classifier, ClassifierPenalty, minimise

__all__ = ["fit_least_squares"]


def fit_least_squares(
    descriptor: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    ridge: float,
    penalty: ClassifierPenalty | None = None,
    start: Classifier | None = None,
) -> Classifier:
    """Minimise the mean squared error + ridge·‖V‖² + penalty(V).

    Without a penalty, it is scikit-learn's `Ridge` with ``alpha = ridge * n``.

    Parameters
    ----------
    descriptor : float ndarray of shape (n, P)
    targets : float ndarray of shape (n, T)
        The error of an image is the sum of those of its targets.
    weights : float ndarray of shape (n,)
        Weights of the images, with a mean of 1.
    ridge : float > 0
    penalty : ClassifierPenalty, default=None
    start : tuple of two ndarrays, default=None
        Coefficients (T, P) and intercepts (T,) that the search with a penalty starts
        from. None: zeros.

    Returns
    -------
    coef : float32 ndarray of shape (T, P)
    intercept : float32 ndarray of shape (T,)
    """
    d, y = descriptor.astype(np.float64), targets.astype(np.float64)
    w = weights.astype(np.float64) / weights.sum(dtype=np.float64)
    d_mean, y_mean = w @ d, w @ y
    d, y = d - d_mean, y - y_mean
    products, moments = (d.T * w) @ d, (y.T * w) @ d
    if penalty is None:
        system = products + ridge * np.eye(len(products))
        coef = solve(system, moments.T, assume_a="pos").T
    else:
        # The intercepts are known for any V, so that V alone is searched for.
        def mean_loss(V: np.ndarray, intercept: np.ndarray):
            fitted = V @ products
            value = (V * (fitted - 2 * moments)).sum()
            return float(value), 2 * (fitted - moments), np.zeros_like(intercept)

        coef, _ = minimise(mean_loss, moments.shape, ridge, penalty, start)
        coef = coef.astype(np.float64)
    intercept = y_mean - coef @ d_mean
    return coef.astype(np.float32), intercept.astype(np.float32)
