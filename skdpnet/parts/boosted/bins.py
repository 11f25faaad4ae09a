"""Numbers of parts in bins between quantiles, so that splits are searched quickly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from skdpnet.utils.batching import slices_within

__all__ = ["Bins"]

# Bytes of the sorted numbers that are in memory at once.
_PIECE_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class Bins:
    """The maxima of some parts in some images, in bins.

    The bins of a part have about the same number of images. If there are no more images
    than bins, each distinct number has a bin of its own.

    Attributes
    ----------
    thresholds : float32 ndarray of shape (P, B - 1)
        The limits of the bins of each part, in ascending order. A number x is in the
        bin ``k`` if k of the thresholds are below x. They lie halfway between numbers
        of the training images. Where many images have the same number, thresholds are
        equal, and the bins between them are empty; that before the smallest number is
        −∞.
    codes : int16 ndarray of shape (P, n)
        The bin of each number.

    See Also
    --------
    bin_maxima : Make them.
    """

    thresholds: np.ndarray
    codes: np.ndarray
    _members: csr_matrix

    @classmethod
    def of(cls, maxima: np.ndarray, n_bins: int) -> Bins:
        """Put maxima into bins.

        Parameters
        ----------
        maxima : float32 ndarray of shape (n, P)
        n_bins : int
            Largest number B of bins of a part, at least 2.

        Returns
        -------
        Bins
        """
        n, n_parts = maxima.shape
        ranks = _ranks(n, n_bins)
        thresholds = np.empty((n_parts, len(ranks)), np.float32)
        codes = np.empty((n_parts, n), np.int16)
        for parts in slices_within(n_parts, 8 * n, _PIECE_BYTES):
            numbers = np.ascontiguousarray(maxima[:, parts].T)
            thresholds[parts] = _thresholds(np.sort(numbers, axis=1), ranks)
            for part, row in enumerate(numbers, parts.start):
                codes[part] = np.searchsorted(thresholds[part], row)
        return cls(thresholds, codes, _membership(codes, len(ranks) + 1))

    def histograms(self, weights: np.ndarray) -> np.ndarray:
        """Add up the weights of the images in each bin of each part.

        Parameters
        ----------
        weights : float64 ndarray of shape (n,)

        Returns
        -------
        float64 ndarray of shape (P, B)
        """
        return (self._members @ weights).reshape(len(self.codes), -1)


def _ranks(n: int, n_bins: int) -> np.ndarray:
    """Return how many of n sorted numbers are below each limit of the bins."""
    if n <= n_bins:
        return np.arange(1, n)
    return np.arange(1, n_bins) * n // n_bins


def _thresholds(ascending: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return the limits (P, B - 1) below the numbers of certain ranks.

    Parameters
    ----------
    ascending : float32 ndarray of shape (P, n)
    ranks : int ndarray of shape (B - 1,)
    """
    is_new = np.zeros(ascending.shape, np.int32)
    is_new[:, 1:] = np.where(
        ascending[:, 1:] > ascending[:, :-1], np.arange(1, ascending.shape[1]), 0
    )
    # A limit lies where the number of its rank occurs first.
    first = np.maximum.accumulate(is_new, axis=1)[:, ranks]
    above = np.take_along_axis(ascending, first, 1)
    below = np.take_along_axis(ascending, np.maximum(first - 1, 0), 1)
    halfway = ((above.astype(np.float64) + below) / 2).astype(np.float32)
    # Rounding must not move a limit onto the number above it.
    limits = np.where(halfway < above, halfway, below)
    return np.where(first > 0, limits, np.float32(-np.inf))


def _membership(codes: np.ndarray, n_bins: int) -> csr_matrix:
    """Return a matrix (P * B, n) with a 1 for the bin of each number."""
    n_parts, n = codes.shape
    counts = np.zeros(n_parts * n_bins + 1, np.int64)
    order = np.argsort(codes, axis=1, kind="stable").astype(np.int32)
    flat = (np.arange(n_parts)[:, None] * n_bins + codes).ravel()
    counts[1:] = np.bincount(flat, minlength=n_parts * n_bins)
    ones = np.ones(n_parts * n)
    return csr_matrix(
        (ones, order.ravel(), counts.cumsum()), shape=(n_parts * n_bins, n)
    )
