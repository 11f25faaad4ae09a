"""What is measured of part learners besides accuracy, order by order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import LinearSVC

from benchmarks.explanations.image_sets import ImageSet

__all__ = ["Fitted", "boosted_shares", "negative_weights", "nothing", "part_purity",
           "purities"]  # fmt: skip


class Fitted(NamedTuple):
    """What was fitted on all training images.

    Attributes
    ----------
    learners : list of fitted estimators
    svm : fitted LinearSVC, or None
        None: the learner is a classifier.
    """

    learners: list
    svm: LinearSVC | None


def nothing(fitted: Fitted, data: ImageSet) -> dict:
    """Return nothing."""
    return {}


def part_purity(fitted: Fitted, data: ImageSet) -> dict:
    """Measure how pure the parts of classes are on test images.

    Parameters
    ----------
    fitted : Fitted
    data : ImageSet

    Returns
    -------
    dict
        ``purity``, the mean of `purities` over the parts, and ``chance``, that of parts
        that respond at random. Nothing for learners without parts.
    """
    (learner,) = fitted.learners
    if not hasattr(learner, "part_classes_"):
        return {}
    labels = np.searchsorted(learner.classes_, data.test_y)
    # Standardisation leaves the order of a part's responses as it is.
    of_parts = purities(learner.transform(data.test), labels, learner.part_classes_)
    shares = np.bincount(labels, minlength=len(learner.classes_)) / len(labels)
    chance = shares[learner.part_classes_].mean()
    return {"purity": float(of_parts.mean()), "chance": float(chance)}


def purities(
    responses: NDArray[np.floating],
    labels: NDArray[np.int64],
    part_classes: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Measure the purity of each part.

    Of the images to which a part responds most, as many as there are of its class, the
    purity is the share that are of its class.

    Parameters
    ----------
    responses : ndarray of shape (n, P)
        The largest response of each part to each image, or what grows with it.
    labels : int ndarray of shape (n,)
    part_classes : int ndarray of shape (P,)
        All of classes that some image is of.

    Returns
    -------
    ndarray of shape (P,)
        Where several images share the last places, each counts as the share of these
        places, so that the order of the images does not matter.
    """
    out = np.empty(len(part_classes))
    for part, c in enumerate(part_classes):
        values, is_own = responses[:, part], labels == c
        n_best = int(is_own.sum())
        last = np.partition(values, -n_best)[-n_best]
        above, equal = values > last, values == last
        share_of_places = (n_best - above.sum()) / equal.sum()
        own = is_own[above].sum() + share_of_places * is_own[equal].sum()
        out[part] = own / n_best
    return out


def negative_weights(fitted: Fitted, data: ImageSet) -> dict:
    """Measure how often parts speak against a class.

    Parameters
    ----------
    fitted : Fitted
    data : ImageSet

    Returns
    -------
    dict
        ``parts``; ``negative``, the share of the SVM's weights that are below 0.
        Nothing for learners without parts.
    """
    (learner,) = fitted.learners
    if not hasattr(learner, "part_classes_") or fitted.svm is None:
        return {}
    weights = fitted.svm.coef_
    return {
        "parts": len(learner.part_classes_),
        "negative": float((weights < 0).mean()),
    }


def boosted_shares(fitted: Fitted, data: ImageSet) -> dict:
    """Measure by whose parts classes decide.

    Parameters
    ----------
    fitted : Fitted
    data : ImageSet

    Returns
    -------
    dict
        ``parts``, those that some tree asks for; means over the classes: ``own``, the
        share of a class's own parts in its decisions, and ``background``, that of
        parts beside objects. Nothing for other learners.
    """
    (learner,) = fitted.learners
    if not hasattr(learner, "part_shares_"):
        return {}
    return {
        "parts": len(np.unique(learner.tree_parts_[learner.tree_parts_ >= 0])),
        "own": float(np.diagonal(learner.part_shares_).mean()),
        "background": float(learner.background_shares_.mean()),
    }
