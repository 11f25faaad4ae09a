"""Which parts speak for a class, on average over images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skdpnet.explanations.readout import read_model
from skdpnet.utils.validation import class_number

__all__ = ["ClassExplanation", "explain_class"]


@dataclass(frozen=True, eq=False)
class ClassExplanation:
    """How much each part takes part in a class.

    Made by `explain_class`.

    Attributes
    ----------
    explained : label
    n_images : int
        Number of images that the means are taken over.
    score : float
        Mean score of the class, ``contributions.sum() + bias``.
    bias : float
    contributions : float64 ndarray of shape (P,)
        Mean of each part's contribution to the class's score, ``V_cp · b_p`` where
        the classifier is linear.
    weights : float64 ndarray of shape (P,), or None
        V_cp, on the descriptor that the parts' `transform` returns; any
        standardisation between that and the classifier is folded in. None where the
        decision is not linear in the descriptor.
    order : int ndarray of shape (P,)
        Numbers of the parts, largest mean contribution first.
    part_names : object ndarray of shape (P,)
    part_classes, part_maps : int ndarrays of shape (P,)
        Class that each part was learned for, as an index into the classes that the
        parts were learned with, −1 for a part that classes share; and the map that it
        responds on.
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


def explain_class(estimator, class_, X) -> ClassExplanation:
    """Find which parts speak for a class, on average over images.

    Parameters
    ----------
    estimator : fitted classifier
        As in `explain`.
    class_ : label
    X : images, or array for ``backbone="precomputed"``
        The images to average over, for instance those of the class.

    Returns
    -------
    ClassExplanation

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If `class_` is no class, or if the model has no parts or its classifier is not
        linear.
    skdpnet.images.ImageError
        Names the first item of X that is no readable image.

    See Also
    --------
    explain : Which parts decided about one image.

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
    (50, (6,))
    """
    parts, readout = read_model(estimator)
    c = class_number(readout.classes, class_)
    contributions, n_images = np.zeros(len(parts.part_maps_)), 0
    first_bias, difference = 0.0, 0.0
    for responses in parts.iter_responses(X):
        descriptors = parts.descriptor(responses).astype(np.float64)
        contributions += readout.contributions(descriptors, c).sum(axis=0)
        biases = readout.biases(descriptors, c)
        first_bias = first_bias if n_images else float(biases[0])
        # Summed as differences, so that the mean of equal biases is exact.
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
        part_names=parts.get_feature_names_out(),
        part_classes=parts.part_classes_,
        part_maps=parts.part_maps_,
    )
