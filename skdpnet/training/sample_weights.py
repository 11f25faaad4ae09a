"""Which training images count how much, and which are held out."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight

__all__ = ["hold_out_some", "sample_weights"]


def sample_weights(X, y: np.ndarray, sample_weight, class_weight) -> np.ndarray:
    """Weights of mean 1 over the images that count, class weights included.

    Parameters
    ----------
    X : images or array
    y : ndarray of shape (n,)
    sample_weight : array-like of shape (n,), or None
    class_weight : dict, "balanced" or None

    Returns
    -------
    float64 ndarray of shape (n,)

    Raises
    ------
    ValueError
        If the weights are negative, of another length, or leave nothing to learn.
    """
    weights = _check_sample_weight(
        sample_weight, X if hasattr(X, "shape") else y, ensure_non_negative=True
    )
    if class_weight is not None:
        weights = weights * compute_sample_weight(class_weight, y)
        if not (weights > 0).any():
            raise ValueError("class_weight leaves every sample with weight 0.")
    return weights / weights[weights > 0].mean()


def hold_out_some(
    keep: np.ndarray,
    labels: np.ndarray,
    fraction: float,
    random: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Split indices into training and validation, every class in both.

    Parameters
    ----------
    keep : int ndarray
        Indices of the images to split.
    labels : int ndarray of shape (n,)
    fraction : float
        Share that is held out.
    random : RandomState

    Returns
    -------
    train, held : int ndarrays

    Raises
    ------
    ValueError
        If there are too few images for that.
    """
    try:
        train, held = train_test_split(
            keep, test_size=fraction, stratify=labels[keep], random_state=random
        )
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={fraction!r} cannot be held out of {len(keep)} "
            f"images with every class on both sides: {error}"
        ) from error
    return np.sort(train), np.sort(held)
