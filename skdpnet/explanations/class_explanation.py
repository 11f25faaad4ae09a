"""The mean contribution of each part to the score of a class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skdpnet.explanations.readout import read_model

__all__ = ["ClassExplanation", "explain_class"]


@dataclass(frozen=True, eq=False)
class ClassExplanation:
    """The mean contribution of each part to the score of a class.

    `explain_class` returns it. There are P parts.

    Attributes
    ----------
    explained : label
        The class; of a regressor, the number of the target.
    n_images : int
        Number of images that the means are over.
    score : float
        Mean score of the class, ``contributions.sum() + bias``.
    bias : float
        Mean of the part of the score that no part of the model contributes.
    contributions : float64 ndarray of shape (P,)
        Mean contribution of each part to the score of the class: of ``V_cp · b_p``, if
        the classifier is linear.
    weights : float64 ndarray of shape (P,), or None
        The weights V_cp of the descriptor that the parts' `transform` returns. A
        standardisation between the parts and the classifier is included. None if the
        decision is not linear in the descriptor.
    order : int ndarray of shape (P,)
        Numbers of the parts, largest mean contribution first.
    part_names : object ndarray of shape (P,)
        Names of the parts, as from `get_part_names`.
    part_classes, part_maps : int ndarrays of shape (P,)
        The class that each part was learned for, as an index into the classes that the
        parts were learned with, −1 for a part that classes share; and the number of the
        map that it responds on.
    outcome : {"class", "labels", "target"}, default="class"
        What scores decide; see `skdpnet.explanations.readout.Readout`.

    See Also
    --------
    Explanation : The contributions to the score of one image.
    """

    explained: Any
    n_images: int
    score: float
    bias: float
    contributions: np.ndarray = field(repr=False)
    weights: np.ndarray | None = field(repr=False)
    order: np.ndarray = field(repr=False)
    part_names: np.ndarray = field(repr=False)
    part_classes: np.ndarray = field(repr=False)
    part_maps: np.ndarray = field(repr=False)
    outcome: str = field(default="class", repr=False)


def explain_class(estimator, class_, X) -> ClassExplanation:
    """Compute the mean contribution of each part to the score of a class.

    Parameters
    ----------
    estimator : fitted classifier
        As in `explain`.
    class_ : label
        The class that is explained.
    X : images, or array for ``backbone="precomputed"``
        The images that the means are over, for instance those of the class.

    Returns
    -------
    ClassExplanation

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If `class_` is not a class of the model, or if the model cannot be explained;
        see `explain`.
    skdpnet.images.ImageError
        If images cannot be read; the message names all.

    See Also
    --------
    explain : The contributions to the score of one image.
    skdpnet.display.ParticipationDisplay : Draws the contributions and weights.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetClassifier, explain_class
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> model = DPNetClassifier(
    ...     "precomputed", n_parts_per_class=2, random_state=0
    ... ).fit(X, y)
    >>> setosa = explain_class(model, 0, X[y == 0])
    >>> setosa.n_images, setosa.contributions.shape
    (50, (9,))
    """
    parts, readout = read_model(estimator)
    c = readout.number_of(class_)
    contributions, n_images = np.zeros(len(parts.part_maps_)), 0
    first_bias, difference = 0.0, 0.0
    for _, descriptors in parts.iter_described(X):
        contributions += readout.contributions(descriptors, c).sum(axis=0)
        biases = readout.biases(descriptors, c)
        first_bias = first_bias if n_images else float(biases[0])
        # The differences are summed, so that the mean of equal biases is exact.
        difference += float((biases - first_bias).sum())
        n_images += len(descriptors)
    contributions, bias = contributions / n_images, first_bias + difference / n_images
    return ClassExplanation(
        explained=readout.classes.tolist()[c],
        n_images=n_images,
        score=float(contributions.sum()) + bias,
        bias=bias,
        contributions=contributions,
        weights=readout.weights(c),
        order=np.argsort(-contributions, kind="stable"),
        part_names=parts.get_part_names(),
        part_classes=parts.part_classes_,
        part_maps=parts.part_maps_,
        outcome=readout.outcome,
    )
