"""The scale of the descriptor: each part standardised on the training set."""

from __future__ import annotations

import numpy as np

from skdpnet.utils.batching import slices_within

__all__ = ["standardisation"]

# A response that varies less over the training set is constant but for rounding.
_LEAST_DEVIATION = 1e-6
# Numbers of double precision are in memory for some of the columns at a time.
_EXACT_BYTES = 128 * 2**20


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
    n_columns = maxima.shape[1]
    mean, deviation = np.empty((2, n_columns), np.float32)
    for columns in slices_within(n_columns, 8 * len(maxima), _EXACT_BYTES):
        exact = maxima[:, columns].astype(np.float64)
        mean[columns], deviation[columns] = exact.mean(axis=0), exact.std(axis=0)
    varies = deviation > _LEAST_DEVIATION
    length = np.where(varies, deviation, np.inf) * np.sqrt(len(deviation))
    return mean, (1 / length).astype(np.float32)
