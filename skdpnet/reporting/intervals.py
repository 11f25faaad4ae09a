"""Intervals of 95 % around accuracies and around their differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest, norm

__all__ = ["accuracy_interval", "difference_interval"]

_CONFIDENCE = 0.95


def accuracy_interval(right: ArrayLike) -> tuple[float, float]:
    """Return the interval of an accuracy by Wilson's score method.

    Parameters
    ----------
    right : array-like of bool, of shape (n,)
        Whether each image was recognised; n is at least 1.

    Returns
    -------
    low, high : float
        Shares between 0 and 1.
    """
    values = np.asarray(right, bool)
    test = binomtest(int(values.sum()), len(values))
    interval = test.proportion_ci(_CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def difference_interval(right: ArrayLike, reference: ArrayLike) -> tuple[float, float]:
    """Return the interval of the difference between two accuracies on the same images.

    Bonett and Price's adjusted Wald interval [1]_ for paired proportions. It depends on
    the images that one method alone recognised, and it has a width even where both
    recognised the same images.

    Parameters
    ----------
    right, reference : array-like of bool, of shape (n,)
        Whether the two methods recognised each image.

    Returns
    -------
    low, high : float
        Of the accuracy of the first minus that of the second, between −1 and 1.

    References
    ----------
    .. [1] D. G. Bonett, R. M. Price, "Adjusted Wald Confidence Interval for a
       Difference of Binomial Proportions Based on Paired Data", Journal of Educational
       and Behavioral Statistics 37(4), 2012.
    """
    first, second = np.asarray(right, bool), np.asarray(reference, bool)
    n = len(first) + 2
    gained = (np.sum(first & ~second) + 1) / n
    lost = (np.sum(second & ~first) + 1) / n
    centre = gained - lost
    half = norm.ppf((1 + _CONFIDENCE) / 2) * np.sqrt((gained + lost - centre**2) / n)
    return float(max(centre - half, -1)), float(min(centre + half, 1))
