"""The convex fit of the last layer of prototype networks, W."""

from __future__ import annotations

import numpy as np
import torch

from skdpnet.losses import off_class_weights
from skdpnet.training.linear_fits import ClassifierPenalty, fit_logistic

__all__ = ["fit_last_layer", "initial_last_layer"]


def initial_last_layer(own: np.ndarray, off_class: float) -> np.ndarray:
    """Return the last layer that prototypes are learned with.

    Parameters
    ----------
    own : bool ndarray of shape (C, P)
        Which prototypes are a class's own.
    off_class : float
        The weight of the prototypes of other classes; that of its own is 1.

    Returns
    -------
    float32 ndarray of shape (C, P)
    """
    return np.where(own, 1.0, off_class).astype(np.float32)


def fit_last_layer(
    similarities: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    own: np.ndarray,
    off_class: float,
    off_class_weight: float,
    ridge: float,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Fit the last layer on fixed prototypes.

    It minimises the mean cross-entropy of the logits ``W s``, which have no intercepts,
    plus ``off_class_weight · Σ |W_cp|`` over prototypes p of other classes than c, plus
    ``ridge · ‖W‖²``. This is the convex stage of ProtoPNet (Chen et al., 2019, equation
    4), solved to its minimum; without the ridge there is none where the classes of the
    training images are separated.

    Parameters
    ----------
    similarities : float ndarray of shape (n, P)
        The descriptors s of the training images.
    labels : int ndarray of shape (n,)
    weights : float ndarray of shape (n,)
        Weights of the images.
    own : bool ndarray of shape (C, P)
        Which prototypes are a class's own.
    off_class : float
        As in `initial_last_layer`, from which the search starts.
    off_class_weight : float >= 0
    ridge : float > 0
    start : float ndarray of shape (C, P), default=None
        Another W that the search starts from.

    Returns
    -------
    float32 ndarray of shape (C, P)
        W.
    """
    n_classes = len(own)
    first = initial_last_layer(own, off_class) if start is None else start
    mask = torch.from_numpy(own)
    penalty = ClassifierPenalty(
        lambda V: off_class_weight * off_class_weights(V, mask), sparse=True
    )
    coef, _ = fit_logistic(
        similarities,
        labels,
        weights,
        n_classes,
        ridge,
        penalty if off_class_weight else None,
        start=(first, np.zeros(n_classes)),
        fit_intercept=False,
    )
    return coef
