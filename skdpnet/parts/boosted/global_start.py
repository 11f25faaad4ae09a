"""The classifier of whole images that boosting starts from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from skdpnet.training.linear_fits import fit_sigmoids
from skdpnet.utils.indicators import memberships

__all__ = ["GlobalStart", "assign_folds", "fit_global_start"]

_N_FOLDS = 5
_C_GRID = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4)


class GlobalStart(NamedTuple):
    """A logistic regression of each class against the rest.

    Parameters
    ----------
    coef : float32 ndarray of shape (C, K)
    intercept : float32 ndarray of shape (C,)
        Fitted on all images.
    scores : float64 ndarray of shape (n, C)
        The log-odds of each training image, by classifiers that were fitted on others.
    """

    coef: np.ndarray
    intercept: np.ndarray
    scores: np.ndarray


def fit_global_start(
    whole: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    random: np.random.RandomState,
) -> GlobalStart:
    """Fit the classes against the rest, and score each image by a fit on others.

    The strength of the ridge is that of the smallest log loss in cross-validation, and
    is the same for all classes.

    Parameters
    ----------
    whole : float32 ndarray of shape (n, K)
        Descriptors of whole images, of length 1 or 0.
    labels : int ndarray of shape (n,)
    n_classes : int
    random : RandomState
        Draws the folds.

    Returns
    -------
    GlobalStart
    """
    n, targets = len(labels), memberships(labels, n_classes)
    folds = assign_folds(labels, min(_N_FOLDS, n), random)

    def fit(rows: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray]:
        ridge = 1 / (2 * C * len(rows))
        return fit_sigmoids(
            whole[rows], targets[rows], np.ones(len(rows)), n_classes, ridge
        )

    best, best_loss = _C_GRID[0], np.inf
    scores = np.zeros((n, n_classes))
    for C in _C_GRID:
        tried = np.empty((n, n_classes))
        for fold in range(folds.max() + 1):
            held_out = folds == fold
            coef, intercept = fit(np.flatnonzero(~held_out), C)
            tried[held_out] = whole[held_out] @ coef.T + intercept
        loss = np.logaddexp(0, np.where(targets, -tried, tried)).mean()
        if loss < best_loss:
            best, best_loss, scores = C, loss, tried
    return GlobalStart(*fit(np.arange(n), best), scores)


def assign_folds(
    labels: np.ndarray, n_folds: int, random: np.random.RandomState
) -> np.ndarray:
    """Assign images to folds at random, those of each class evenly.

    Unlike scikit-learn's folds, they exist for classes of any size.

    Parameters
    ----------
    labels : int ndarray of shape (n,)
    n_folds : int
    random : RandomState

    Returns
    -------
    int ndarray of shape (n,)
        Numbers of images of one class differ by 1 at most between folds, and so do
        those of all images.
    """
    order = np.lexsort([random.permutation(len(labels)), labels])
    folds = np.empty(len(labels), np.intp)
    folds[order] = np.arange(len(labels)) % n_folds
    return folds
