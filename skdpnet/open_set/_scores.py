"""Scores of how well an image fits the class that is predicted for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.explanations.localisation import strongest_regions
from skdpnet.explanations.readout import Readout, read_model

__all__ = ["SCORES", "Scored", "evidence_scores", "score_images"]


class Scored(NamedTuple):
    """Images with a predicted class.

    Attributes
    ----------
    classes : int ndarray of shape (n,)
        The predicted class of each image, as an index into the classes of the model.
    values : float64 ndarray of shape (n,)
        The score; it is large where an image looks like one of the class.
    """

    classes: np.ndarray
    values: np.ndarray


def _evidence(contributions: np.ndarray, presence: np.ndarray) -> np.ndarray:
    return np.maximum(contributions, 0).sum(axis=1)


def _present_evidence(contributions: np.ndarray, presence: np.ndarray) -> np.ndarray:
    return _evidence(np.where(presence > 0, contributions, 0), presence)


def _strongest_part(contributions: np.ndarray, presence: np.ndarray) -> np.ndarray:
    present = np.where(presence > 0, contributions, 0)
    return np.maximum(present, 0).max(axis=1)


_OF_PARTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "evidence": _evidence,
    "present_evidence": _present_evidence,
    "strongest_part": _strongest_part,
}
SCORES = (*_OF_PARTS, "logit", "probability")


def evidence_scores(
    score: str, contributions: np.ndarray, presence: np.ndarray
) -> np.ndarray:
    """Score images by the evidence of parts for the predicted class.

    Parameters
    ----------
    score : str
        ``"evidence"``: the sum of the positive contributions. ``"present_evidence"``:
        of the parts that are present, which respond more than in an average training
        image. ``"strongest_part"``: the largest contribution of a part that is present.
    contributions : float ndarray of shape (n, P)
        The contributions of the parts to the score of the predicted class.
    presence : float ndarray of shape (n, P)
        A part is present where its number is above 0.

    Returns
    -------
    float ndarray of shape (n,)
        Numbers of at least 0.
    """
    return _OF_PARTS[score](contributions, presence)


def score_images(model: Any, X: Any, score: str) -> Scored:
    """Predict the class of each image, and score how well the image fits it.

    Parameters
    ----------
    model : fitted classifier
    X : images, or what else the classifier takes
    score : str
        One of `SCORES`.

    Returns
    -------
    Scored

    Raises
    ------
    ValueError
        If the score needs something that the model does not have: parts,
        probabilities, or a decision function.
    sklearn.exceptions.NotFittedError, skdpnet.images.ImageError
        As the methods of the model.
    """
    if score in _OF_PARTS:
        return _by_parts(model, X, score)
    method = "predict_proba" if score == "probability" else "decision_function"
    if not hasattr(model, method):
        raise ValueError(
            f"conformity_score={score!r} needs a classifier with {method}, which "
            f"{type(model).__name__} does not have."
        )
    values = np.asarray(getattr(model, method)(X), dtype=np.float64)
    if values.ndim == 1:
        values = np.column_stack([-values, values])
    return Scored(values.argmax(axis=1), values.max(axis=1))


def _by_parts(model: Any, X: Any, score: str) -> Scored:
    try:
        parts, readout = read_model(model)
    except ValueError as error:
        raise ValueError(
            f"conformity_score={score!r} needs parts whose contributions are known: "
            f'{error} Otherwise take conformity_score="probability" or "logit".'
        ) from error
    pieces = [
        _score_some(readout, score, descriptors, presence)
        for descriptors, presence in _iter_described(parts, X)
    ]
    classes, values = (np.concatenate(of) for of in zip(*pieces, strict=True))
    return Scored(classes, values)


def _score_some(
    readout: Readout, score: str, descriptors: np.ndarray, presence: np.ndarray
) -> Scored:
    classes = readout.scores(descriptors).argmax(axis=1)
    values = np.zeros(len(classes))
    for number in np.unique(classes):
        images = classes == number
        contributions = readout.contributions(descriptors[images], int(number))
        values[images] = evidence_scores(score, contributions, presence[images])
    return Scored(classes, values)


def _iter_described(
    parts: PartEstimator, X: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Iterate over descriptors (n', F), and numbers (n', P): above 0 of parts in it.

    They are the parts' numbers in the descriptor, or their largest responses, if they
    have several numbers there, which are too many to keep of all images.
    """
    if parts.describes_by_responses_:
        descriptors = np.asarray(parts.transform(X), dtype=np.float64)
        yield descriptors, descriptors
        return
    for responses, descriptors in parts.iter_described(X):
        yield descriptors, strongest_regions(parts, responses)[0]
