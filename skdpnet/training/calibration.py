"""Calibration of scores: logits whose softmax can serve as probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from skdpnet.utils.indicators import memberships

__all__ = [
    "best_factor",
    "label_factor",
    "label_spread",
    "leave_one_out_scores",
    "logit_factor",
    "spread",
]

_LARGEST_FACTOR = 1e3
# The intercept is not penalised. As the weight of a constant this large in the
# descriptor it hardly is.
_CONSTANT = 100.0


def leave_one_out_scores(
    descriptor: np.ndarray,
    left_out: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    coef: np.ndarray,
    intercept: np.ndarray,
    ridge: float,
) -> np.ndarray:
    """Score each image by the SVM that is fitted on all other images.

    Instead of n fits, one step of Newton's method from the SVM of all images, as in
    approximate leave-one-out cross-validation [1]_. An image outside the margin of a
    class has no influence on the scores of that class. The Hessian of a class is a sum
    over the images inside its margin. Here it is the sum over all images times the
    share of them that is inside, so that one eigendecomposition serves all classes.

    Parameters
    ----------
    descriptor : float ndarray of shape (n, P)
        What the SVM was fitted on.
    left_out : float ndarray of shape (n, P)
        The descriptor of each image as that of a new image, which is scored.
    labels, weights
        As in `fit_svm`.
    coef, intercept : ndarrays of shape (C, P) and (C,)
        The SVM, as from `fit_svm` without a penalty.
    ridge : float > 0
        As in `fit_svm`.

    Returns
    -------
    float64 ndarray of shape (n, C)

    References
    ----------
    .. [1] K. Rahnama Rad, A. Maleki, "A scalable estimate of the out-of-sample
       prediction error via approximate leave-one-out cross-validation", JRSS B 82
       (2020), 965-996.
    """
    n = len(descriptor)
    constant = np.full((n, 1), _CONSTANT)
    fitted = np.hstack([descriptor.astype(np.float64), constant])
    new = np.hstack([left_out.astype(np.float64), constant])
    V = np.hstack([coef, intercept[:, None] / _CONSTANT]).astype(np.float64)
    side = np.where(memberships(labels, len(V)), 1.0, -1.0)
    margin = np.maximum(1 - side * (fitted @ V.T), 0)
    curvature = 2 * weights[:, None] / n
    slope = -curvature * side * margin
    inside = (margin > 0).mean(axis=0)

    eigenvalues, directions = np.linalg.eigh((fitted.T * curvature.T) @ fitted)
    inverse = 1 / (np.maximum(eigenvalues, 0)[:, None] * inside + 2 * ridge)
    fitted, scores, new = fitted @ directions, new @ V.T, new @ directions
    leverage = fitted**2 @ inverse
    influence = (new * fitted) @ inverse
    # The Hessian without the image itself, by the formula of Sherman and Morrison.
    # Rounding must not make the remainder 0.
    eps = np.finfo(np.float64).eps
    remainder = np.maximum(1 - inside * curvature * leverage, eps)
    return scores + slope * influence / remainder


def logit_factor(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Return the factor of the scores that minimises the cross-entropy.

    It is the inverse of the temperature in temperature scaling [1]_. One image is
    added whose class is unknown, because even if n images are classified correctly the
    next may not be: otherwise the factor would be infinite, and all probabilities 0
    or 1.

    Parameters
    ----------
    scores : float ndarray of shape (n, C)
        Scores of images that they were not fitted on.
    labels : int ndarray of shape (n,)
    weights : float ndarray of shape (n,)
        Weights of the images.

    Returns
    -------
    float

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural
       Networks", ICML 2017.
    """
    images = np.arange(len(labels))
    unknown = 1 / (len(labels) + 1)

    def entropy(factor: float) -> float:
        log_p = log_softmax(factor * scores, axis=1)
        known = (1 - unknown) * log_p[images, labels]
        return -float((weights * (known + unknown * log_p.mean(axis=1))).mean())

    return best_factor(entropy)


def label_factor(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Return the factor of the scores that minimises the binary cross-entropies.

    As in `logit_factor`, one image is added of which nothing is known: the factor is
    finite even if all n images are on the right side of all classes.

    Parameters
    ----------
    scores : float ndarray of shape (n, C)
        Scores of images that they were not fitted on.
    labels : int ndarray of shape (n, C)
        An indicator matrix.
    weights : float ndarray of shape (n,)
        Weights of the images.

    Returns
    -------
    float
    """
    unknown = 1 / (len(labels) + 1)
    targets = (1 - unknown) * memberships(labels, labels.shape[1]) + unknown / 2

    def entropy(factor: float) -> float:
        logits = factor * scores
        of_images = (np.logaddexp(0, logits) - targets * logits).sum(axis=1)
        return float((weights * of_images).mean())

    return best_factor(entropy)


def best_factor(objective: Callable[[float], float]) -> float:
    """Return the factor of scores, between 0.001 and 1000, that minimises a function.

    Parameters
    ----------
    objective : callable
        Function of the factor, which has one minimum.

    Returns
    -------
    float
    """
    limit = float(np.log(_LARGEST_FACTOR))
    found = minimize_scalar(
        lambda log_factor: objective(float(np.exp(log_factor))),
        bounds=(-limit, limit),
        method="bounded",
    )
    return float(np.exp(found.x))


def spread(scores: np.ndarray) -> float:
    """Return the standard deviation of scores (n, C) from their mean in each image."""
    return float((scores - scores.mean(axis=1, keepdims=True)).std())


def label_spread(scores: np.ndarray) -> float:
    """Return the standard deviation of scores (n, C) from the mean of each class."""
    return float((scores - scores.mean(axis=0)).std())
