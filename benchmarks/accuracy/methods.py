"""The methods that are compared, and how each is measured on precomputed maps.

The maps are computed once, by `FeatureMaps`, and passed to the methods, which have
``backbone="precomputed"``. The accuracies are equal to those with ``backbone=<name>``,
and the time of a fit does not include looking up maps in a cache.

The C of the SVM is chosen by stratified cross-validation on the training images, with
the same values and folds for each method. Parts are learned anew in each fold: parts
that were learned on the held-out fold too would separate its images for any C. Nothing
is chosen on test images.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from benchmarks.data.extraction import FRAMING, LAST, PARTS
from benchmarks.data.readers import Split
from skdpnet import DPNetClassifier, DPNetTransformer, GlobalFeatures, SoftAssignParts

__all__ = [
    "C_GRID", "DPNET", "DPNET_SVM", "FIRST_PARTS", "GLOBAL", "GLOBAL_SAME_MAPS",
    "MAX_ITER", "N_FOLDS", "TWO_STAGE", "Method", "check_folds", "choose_svm",
    "measure", "methods", "settings_of",
]  # fmt: skip

C_GRID = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
N_FOLDS = 3
# Dual coordinate descent needs far more than the default of 1000 where C is large.
MAX_ITER = 100_000

GLOBAL = "global descriptor + SVM"
GLOBAL_SAME_MAPS = "global descriptor of the same maps + SVM"
TWO_STAGE = "two-stage parts + SVM"
DPNET = "DP-Net, end to end"
DPNET_SVM = "DP-Net parts + SVM"
FIRST_PARTS = "DP-Net, end to end, first parts"

# Parameters that the results list elsewhere, or that do not affect a fit on maps.
_NOT_SETTINGS = (
    "backbone", "framing", "image_size", "memory", "num_workers", "precision",
    "random_state", "strides", "verbose",
)  # fmt: skip


class Method(NamedTuple):
    """A method that is compared.

    Attributes
    ----------
    estimator : estimator
        Unfitted: a classifier, or a transformer that is followed by a linear SVM.
    maps : str
        The kind of maps that it is fitted on, `LAST` or `PARTS` of `extraction`.
    """

    estimator: BaseEstimator
    maps: str


def methods(seed: int, framing: str = FRAMING) -> dict[str, Method]:
    """Return the methods that are compared, with their default settings.

    Parameters
    ----------
    seed : int
        Random state of the estimators that have one.
    framing : str, default=FRAMING
        The framing that the maps were computed with.

    Returns
    -------
    dict of str to Method
    """
    maps = {"backbone": "precomputed", "framing": framing}
    shared = {**maps, "random_state": seed}
    return {
        GLOBAL: Method(GlobalFeatures(**maps), LAST),
        GLOBAL_SAME_MAPS: Method(GlobalFeatures(**maps), PARTS),
        TWO_STAGE: Method(SoftAssignParts(**shared), PARTS),
        FIRST_PARTS: Method(DPNetClassifier(**shared, max_epochs=0), PARTS),
        DPNET: Method(DPNetClassifier(**shared), PARTS),
        DPNET_SVM: Method(DPNetTransformer(**shared), PARTS),
    }


def settings_of(estimator: BaseEstimator) -> dict:
    """Return the parameters that affect a fit on precomputed maps.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    dict
    """
    params = estimator.get_params()
    return {name: params[name] for name in params if name not in _NOT_SETTINGS}


def choose_svm(
    method: BaseEstimator, train: np.ndarray, y: np.ndarray, seed: int
) -> tuple[LinearSVC, float]:
    """Choose the C of a linear SVM by cross-validation of descriptor and SVM.

    Parameters
    ----------
    method : transformer
        Unfitted; a clone is fitted in each fold.
    train : ndarray of shape (n, ...)
        Feature maps of the training images.
    y : ndarray of shape (n,)
        Labels.
    seed : int
        Random state of the folds and of the solver.

    Returns
    -------
    svm : LinearSVC
        Unfitted, with the best C, or the smallest of equally good ones.
    accuracy : float
        Its accuracy on held-out images, as the mean over the folds.
    """
    svms = [
        LinearSVC(C=C, dual="auto", max_iter=MAX_ITER, random_state=seed)
        for C in C_GRID
    ]
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    scores = np.zeros((N_FOLDS, len(svms)))
    for row, (fit, held) in zip(scores, folds.split(train, y), strict=True):
        transformer = clone(method)
        X_fit = transformer.fit_transform(train[fit], y[fit])
        X_held = transformer.transform(train[held])
        row[:] = [svm.fit(X_fit, y[fit]).score(X_held, y[held]) for svm in svms]
    means = scores.mean(axis=0)
    best = int(means.argmax())
    return clone(svms[best]), float(means[best])


def measure(
    estimator: BaseEstimator,
    train: np.ndarray,
    test: np.ndarray,
    split: Split,
    seed: int,
) -> dict:
    """Fit a method on the training maps and measure it on the test maps.

    Parameters
    ----------
    estimator : estimator
        The estimator of a `Method`.
    train, test : ndarray
        Feature maps, of the kind that the method is fitted on.
    split : Split
        The split, with the labels.
    seed : int
        Random state of the SVM and its folds.

    Returns
    -------
    dict
        ``seed``; ``accuracy``; ``fit_seconds``: from the training maps to the fitted
        classifier, including the choice of C; where there is an SVM, its ``C`` and
        ``cv_accuracy``, the accuracy of this C in the cross-validation.
    """
    start = time.perf_counter()
    if is_classifier(estimator):
        estimator.fit(train, split.train_y)
        seconds = time.perf_counter() - start
        accuracy, choice = estimator.score(test, split.test_y), {}
    else:
        svm, cv_accuracy = choose_svm(estimator, train, split.train_y, seed)
        svm.fit(estimator.fit_transform(train, split.train_y), split.train_y)
        seconds = time.perf_counter() - start
        accuracy = svm.score(estimator.transform(test), split.test_y)
        choice = {"C": svm.C, "cv_accuracy": cv_accuracy}
    return {
        "seed": seed,
        "accuracy": float(accuracy),
        "fit_seconds": seconds,
        **choice,
    }


def check_folds(split: Split) -> None:
    """Exit if a split has too few images for the cross-validation of the SVM's C.

    Parameters
    ----------
    split : Split

    Raises
    ------
    SystemExit
        If a class has fewer images than there are folds, or if there is one class; the
        message names the smallest class.
    """
    counts = np.bincount(split.train_y, minlength=len(split.names))
    if len(counts) < 2 or counts.min() < N_FOLDS:
        raise SystemExit(
            f"error: the cross-validation needs at least 2 classes with {N_FOLDS} "
            f"training images each; there are {len(counts)}, and "
            f"{split.names[int(counts.argmin())]!r} has {counts.min()} images"
        )
