"""The methods that are compared, and how one of them is measured on given maps.

The maps are computed once, by `FeatureMaps`, and handed to the methods as
``backbone="precomputed"``: the numbers are those that ``backbone=<name>`` gives, and
the time of a fit holds no search for maps in the cache.

The SVM's C is chosen by stratified cross-validation of the training images, over the
same values and folds for each method. Parts are learned anew in each fold: those that
have seen the fold held out separate its images whatever C is, so that nothing could
be chosen. Nothing is chosen on test images.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from benchmarks.data.extraction import LAST, PARTS
from benchmarks.data.readers import Split
from skdpnet import DPNetClassifier, DPNetTransformer, GlobalFeatures, SoftAssignParts

__all__ = [
    "C_GRID", "DPNET", "DPNET_SVM", "GLOBAL", "GLOBAL_SAME_MAPS", "MAX_ITER", "N_FOLDS",
    "TWO_STAGE", "Method", "check_folds", "choose_svm", "measure", "methods",
    "settings_of",
]  # fmt: skip

C_GRID = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
N_FOLDS = 3
# Dual coordinate descent needs far more than the default 1000 where C is large.
MAX_ITER = 100_000

GLOBAL = "global descriptor + SVM"
GLOBAL_SAME_MAPS = "global descriptor of the same maps + SVM"
TWO_STAGE = "two-stage parts + SVM"
DPNET = "DP-Net, end to end"
DPNET_SVM = "DP-Net parts + SVM"

# What the results say elsewhere, or what has no part in a fit on given maps.
_NOT_SETTINGS = (
    "backbone", "image_size", "memory", "num_workers", "precision", "random_state",
    "strides", "verbose",
)  # fmt: skip


class Method(NamedTuple):
    """A method that is compared.

    Attributes
    ----------
    estimator : estimator
        Unfitted: a classifier, or a transformer that a linear SVM follows.
    maps : str
        Which maps it sees, `LAST` or `PARTS` of `extraction`.
    """

    estimator: BaseEstimator
    maps: str


def methods(seed: int) -> dict[str, Method]:
    """Make the methods that are compared, with their default settings.

    Parameters
    ----------
    seed : int
        Random state of each that has one.

    Returns
    -------
    dict of str to Method
    """
    given = {"backbone": "precomputed", "random_state": seed}
    return {
        GLOBAL: Method(GlobalFeatures("precomputed"), LAST),
        GLOBAL_SAME_MAPS: Method(GlobalFeatures("precomputed"), PARTS),
        TWO_STAGE: Method(SoftAssignParts(**given), PARTS),
        DPNET: Method(DPNetClassifier(**given), PARTS),
        DPNET_SVM: Method(DPNetTransformer(**given), PARTS),
    }


def settings_of(estimator: BaseEstimator) -> dict:
    """Return the parameters that decide what a fit on given maps gives.

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
        Unfitted; each fold fits a copy.
    train : ndarray of n images' feature maps
    y : ndarray of shape (n,)
        Labels.
    seed : int
        Of the folds and of the solver.

    Returns
    -------
    svm : LinearSVC
        Unfitted, with the C that is best, the smallest of several.
    accuracy : float
        Its accuracy on the images held out, mean over the folds.
    """
    svms = [
        LinearSVC(C=C, dual="auto", max_iter=MAX_ITER, random_state=seed)
        for C in C_GRID
    ]
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    scores = np.zeros((N_FOLDS, len(svms)))
    for row, (fit, held) in zip(scores, folds.split(train, y), strict=True):
        descriptor = clone(method)
        seen = descriptor.fit_transform(train[fit], y[fit])
        unseen = descriptor.transform(train[held])
        row[:] = [svm.fit(seen, y[fit]).score(unseen, y[held]) for svm in svms]
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
        Of a `Method`.
    train, test : ndarray of feature maps
        Those that the method sees.
    split : Split
        The labels.
    seed : int
        Of the SVM and its folds.

    Returns
    -------
    dict
        ``seed``; ``accuracy``; ``fit_seconds``: from the training maps to the fitted
        classifier, the choice of C included; and of the SVM, where there is one,
        ``C`` and ``cv_accuracy``, that C's in the cross-validation.
    """
    start = time.perf_counter()
    if is_classifier(estimator):
        estimator.fit(train, split.train_y)
        seconds = time.perf_counter() - start
        accuracy, chosen = estimator.score(test, split.test_y), {}
    else:
        svm, cv_accuracy = choose_svm(estimator, train, split.train_y, seed)
        svm.fit(estimator.fit_transform(train, split.train_y), split.train_y)
        seconds = time.perf_counter() - start
        accuracy = svm.score(estimator.transform(test), split.test_y)
        chosen = {"C": svm.C, "cv_accuracy": cv_accuracy}
    return {
        "seed": seed,
        "accuracy": float(accuracy),
        "fit_seconds": seconds,
        **chosen,
    }


def check_folds(split: Split) -> None:
    """Stop where a split has too few images to choose the SVM's C on.

    Parameters
    ----------
    split : Split

    Raises
    ------
    SystemExit
        Names the class with the fewest images.
    """
    counts = np.bincount(split.train_y, minlength=len(split.names))
    if len(counts) < 2 or counts.min() < N_FOLDS:
        raise SystemExit(
            f"error: the cross-validation needs at least 2 classes with {N_FOLDS} "
            f"training images each; there are {len(counts)}, and "
            f"{split.names[int(counts.argmin())]!r} has {counts.min()} images"
        )
