"""Weights of the training images, and the images held out for validation."""

from __future__ import annotations

import numpy as np
from sklearn import config_context
from sklearn.model_selection import train_test_split
from sklearn.utils import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight

__all__ = ["hold_out_images", "sample_weights"]


def sample_weights(X, y: np.ndarray, sample_weight, class_weight) -> np.ndarray:
    """Return the weights of the images, with a mean of 1 over those above 0.

    Parameters
    ----------
    X : images or array
        Its length is compared with that of `sample_weight`, if it has a shape.
    y : ndarray of shape (n,)
        Labels.
    sample_weight : array-like of shape (n,), or None
        None: all images have the same weight.
    class_weight : dict, "balanced" or None
        Weights of the classes, as in scikit-learn, by which the images' weights are
        multiplied; None: all classes have the same weight.

    Returns
    -------
    float64 ndarray of shape (n,)

    Raises
    ------
    ValueError
        If weights are negative, if their number is not n, or if all are 0.
    """
    # Whatever the settings of scikit-learn are: a weight that is not finite would leave
    # no number of the model finite, and X may be a tensor.
    with config_context(assume_finite=False, array_api_dispatch=False):
        weights = _check_sample_weight(
            sample_weight, X if hasattr(X, "shape") else y, ensure_non_negative=True
        )
    if not (weights > 0).any():
        raise ValueError("sample_weight needs at least one non-zero number.")
    if class_weight is not None:
        weights = weights * compute_sample_weight(class_weight, y)
        if not (weights > 0).any():
            raise ValueError("class_weight leaves every sample with weight 0.")
    return weights / weights[weights > 0].mean()


def hold_out_images(
    images: np.ndarray,
    labels: np.ndarray,
    fraction: float,
    random: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Split images into a training and a validation set, with all classes in both.

    If images have several targets, they are split at random.

    Parameters
    ----------
    images : int ndarray
        Numbers of the images to split.
    labels : int ndarray of shape (n,), or ndarray of shape (n, C)
        Classes of all images, which are split in the same proportions; or the targets
        of all images.
    fraction : float
        Share of the images in the validation set.
    random : RandomState

    Returns
    -------
    train, valid : int ndarrays
        Numbers of the images, in ascending order.

    Raises
    ------
    ValueError
        If there are too few images for that.
    """
    try:
        train, valid = train_test_split(
            images,
            test_size=fraction,
            stratify=labels[images] if labels.ndim == 1 else None,
            random_state=random,
        )
    except ValueError as error:
        raise ValueError(
            f"validation_fraction={fraction!r} cannot be held out of {len(images)} "
            f"images with every class on both sides: {error}"
        ) from error
    return np.sort(train), np.sort(valid)
