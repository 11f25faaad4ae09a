"""The scale of the descriptor: each part standardised on the training set."""

from __future__ import annotations

import numpy as np

__all__ = ["standardisation"]

# A response that varies less over the training set is constant but for rounding.
_LEAST_DEVIATION = 1e-6


def standardisation(maxima: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the shift and scale that standardise the parts' maxima.

    The descriptor ``(b - shift) * scale`` has mean 0 and variance 1/P in each part, so
    that its length is about 1 whatever the number of parts, and the regularisation of
    a linear classifier keeps its meaning.

    Parameters
    ----------
    maxima : float ndarray of shape (n, P)
        b of the training images.

    Returns
    -------
    shift, scale : float32 ndarrays of shape (P,)
        The scale of a part that responds alike to all images is 0: it is switched off
        rather than its rounding blown up.
    """
    exact = maxima.astype(np.float64)
    mean = exact.mean(axis=0).astype(np.float32)
    deviation = exact.std(axis=0).astype(np.float32)
    varies = deviation > _LEAST_DEVIATION
    length = np.where(varies, deviation, np.inf) * np.sqrt(len(deviation))
    return mean, (1 / length).astype(np.float32)
