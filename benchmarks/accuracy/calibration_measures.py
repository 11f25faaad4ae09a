"""Measures of predicted probabilities: calibration error and log-likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

__all__ = [
    "N_BINS", "Bins", "best_temperature", "calibration_error", "error_of_calibrated",
    "log_probabilities", "measure_probabilities", "negative_log_likelihood",
    "reliability_bins",
]  # fmt: skip

N_BINS = 15
_N_DRAWS = 1000
_LARGEST_FACTOR = 100.0


class Bins(NamedTuple):
    """Sums over the images whose confidence is in each of several bins.

    The bins have equal widths: bin k of K is from k/K up to, but without, (k+1)/K; the
    last one has 1 too. Bins of several sets of images may be added.

    Attributes
    ----------
    counts : ndarray of shape (..., K)
        Number of images.
    confidence : ndarray of shape (..., K)
        Sum of the confidences.
    correct : ndarray of shape (..., K)
        Number of images that are classified correctly.
    """

    counts: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray


def reliability_bins(
    confidence: NDArray[np.float64], correct: np.ndarray, n_bins: int = N_BINS
) -> Bins:
    """Sort images into bins by their confidence.

    Parameters
    ----------
    confidence : float ndarray of shape (n,)
        Probability of the predicted class of each image.
    correct : bool ndarray of shape (..., n)
        Whether the predicted class is the image's, for one or several draws.
    n_bins : int, default=15

    Returns
    -------
    Bins
        The counts and sums of confidences have shape (n_bins,).
    """
    place = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    member = place[:, None] == np.arange(n_bins)
    return Bins(member.sum(axis=0), confidence @ member, correct @ member.astype(float))


def calibration_error(bins: Bins) -> np.ndarray:
    """Average |accuracy − mean confidence| of the bins, weighted by their images.

    It is the expected calibration error of [1]_.

    Parameters
    ----------
    bins : Bins

    Returns
    -------
    ndarray
        For each draw of the bins, or a scalar.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural
       Networks", ICML 2017.
    """
    # The weight of a bin times its means is its sum over the number of images.
    gaps = np.abs(bins.correct - bins.confidence)
    return gaps.sum(axis=-1) / bins.counts.sum(axis=-1)


def error_of_calibrated(
    confidence: NDArray[np.float64],
    n_bins: int = N_BINS,
    n_draws: int = _N_DRAWS,
    seed: int = 0,
) -> float:
    """Return the calibration error that a perfectly calibrated model has by chance.

    With a finite number of images, the accuracy of a bin is not exactly its mean
    confidence even where each confidence is the probability of being correct.

    Parameters
    ----------
    confidence : float ndarray of shape (n,)
        Probability of the predicted class of each image.
    n_bins : int, default=15
    n_draws : int, default=1000
        How often correct images are drawn by these probabilities.
    seed : int, default=0
        Random state of the draws.

    Returns
    -------
    float
        The mean over the draws.
    """
    random = np.random.default_rng(seed)
    correct = random.random((n_draws, len(confidence))) < confidence
    bins = reliability_bins(confidence, correct, n_bins)
    return float(calibration_error(bins).mean())


def log_probabilities(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logarithms, in which a probability of 0 is the smallest normal number.

    Parameters
    ----------
    probabilities : float64 ndarray of shape (n, C)

    Returns
    -------
    float64 ndarray of shape (n, C)
    """
    return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))


def negative_log_likelihood(
    log_p: NDArray[np.float64], y: NDArray[np.int64], factor: float = 1.0
) -> float:
    """Return the mean of −log p of the true class.

    Parameters
    ----------
    log_p : float64 ndarray of shape (n, C)
        Logarithms of probabilities.
    y : int ndarray of shape (n,)
        Class of each image.
    factor : float, default=1
        By which they are multiplied, before they are normalised again.

    Returns
    -------
    float
    """
    return -float(log_softmax(factor * log_p, axis=1)[np.arange(len(y)), y].mean())


def best_temperature(log_p: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Return the temperature with the smallest negative log-likelihood on the images.

    Parameters
    ----------
    log_p : float64 ndarray of shape (n, C)
        Logarithms of probabilities.
    y : int ndarray of shape (n,)
        Class of each image.

    Returns
    -------
    float in [0.01, 100]
        Below 1: the probabilities are too even; above 1: they are too certain.
    """
    limit = float(np.log(_LARGEST_FACTOR))
    found = minimize_scalar(
        lambda log_factor: negative_log_likelihood(log_p, y, float(np.exp(log_factor))),
        bounds=(-limit, limit),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(np.exp(-found.x))


def measure_probabilities(
    probabilities: NDArray[np.float64], y: NDArray[np.int64]
) -> dict:
    """Compare the probabilities of images with their classes.

    Parameters
    ----------
    probabilities : float64 ndarray of shape (n, C)
    y : int ndarray of shape (n,)
        Class of each image, as its column.

    Returns
    -------
    dict
        ``accuracy``; ``confidence``, the mean probability of the predicted class;
        ``overconfidence``, the second minus the first; ``error``, the calibration
        error, and ``error_of_calibrated``, what it would be by chance; ``nll``;
        ``temperature``, the best one in hindsight, and ``nll_best``, with it;
        ``nll_ratio``, of the two; ``bins``, the sums of the reliability diagram.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == y
    bins = reliability_bins(confidence, correct)
    log_p = log_probabilities(probabilities)
    temperature = best_temperature(log_p, y)
    nll = negative_log_likelihood(log_p, y)
    nll_best = negative_log_likelihood(log_p, y, 1 / temperature)
    return {
        "accuracy": float(correct.mean()),
        "confidence": float(confidence.mean()),
        "overconfidence": float(confidence.mean() - correct.mean()),
        "error": float(calibration_error(bins)),
        "error_of_calibrated": error_of_calibrated(confidence),
        "nll": nll,
        "nll_best": nll_best,
        "nll_ratio": nll / nll_best,
        "temperature": temperature,
        "bins": {
            "counts": bins.counts.tolist(),
            "confidence": bins.confidence.round(6).tolist(),
            "correct": bins.correct.astype(int).tolist(),
        },
    }
