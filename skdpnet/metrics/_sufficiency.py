"""How many parts a decision rests on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.metrics._validation import check_finite
from skdpnet.utils.batching import slices_within

__all__ = ["parts_to_flip", "parts_to_keep"]

# The partial sums of a batch of images take at most this many bytes.
_BATCH_BYTES = 1 << 25


def parts_to_keep(
    coef: ArrayLike,
    intercept: ArrayLike,
    descriptors: ArrayLike,
    *,
    order: ArrayLike | None = None,
) -> np.ndarray:
    """Count the parts that are enough for a decision.

    All other parts are set to 0 in the descriptor, which is their value in an average
    training image. Parts are kept in the order of their contribution to the difference
    between the scores of the predicted class and of the runner-up, the largest first,
    until the predicted class has a larger score than every other class.

    Parameters
    ----------
    coef : array-like of shape (C, P)
    intercept : array-like of shape (C,)
        The scores are ``descriptors @ coef.T + intercept``, with the coefficients of
        `skdpnet.explanations.readout.linear_readout`.
    descriptors : array-like of shape (n, P)
    order : int array-like of shape (n, P), default=None
        Another order of each image's parts. For the chance level, pass a random one:
        ``np.argsort(random.random(descriptors.shape))``.

    Returns
    -------
    int ndarray of shape (n,)
        0 where the bias alone decides for the predicted class. A smaller set of parts
        may be enough if it does not come first in this order.

    Raises
    ------
    ValueError
        If the shapes do not fit, a number is not finite, there are fewer than two
        classes, or a row of `order` does not hold each part once.

    See Also
    --------
    parts_to_flip : How many parts must be removed to change the decision.

    Notes
    -----
    Compare the sufficient parts of R. Hesse et al., "FunnyBirds: A Synthetic Vision
    Dataset for a Part-Based Analysis of Explainable AI Methods", ICCV 2023. Here the
    parts are those of the model, and no image is redrawn.

    Examples
    --------
    >>> from skdpnet.metrics import parts_to_keep
    >>> parts_to_keep([[2, 1, 1], [0, 0, 0]], [-1, 0], [[1, 1, 1]])
    array([1])
    """
    counts = []
    for margins in _margins(coef, intercept, descriptors, order, removed=False):
        wins = margins > 0
        # Where scores are equal to the end, no number of parts decides: all are kept.
        wins[:, -1] = True
        counts.append(wins.argmax(axis=1))
    return np.concatenate([np.empty(0, np.intp), *counts])


def parts_to_flip(
    coef: ArrayLike,
    intercept: ArrayLike,
    descriptors: ArrayLike,
    *,
    order: ArrayLike | None = None,
) -> np.ndarray:
    """Count the parts whose removal changes a decision.

    Parts are set to 0 in the descriptor, which is their value in an average training
    image, in the order of `parts_to_keep`, until the predicted class no longer has a
    larger score than every other class.

    Parameters
    ----------
    coef, intercept, descriptors, order
        As in `parts_to_keep`.

    Returns
    -------
    int ndarray of shape (n,)
        At least 1; P + 1 where the decision does not change even without any part.

    Raises
    ------
    ValueError
        As in `parts_to_keep`.

    See Also
    --------
    parts_to_keep : How many parts are enough for the decision.

    Examples
    --------
    >>> from skdpnet.metrics import parts_to_flip
    >>> parts_to_flip([[2, 1, 1], [0, 0, 0]], [-1, 0], [[1, 1, 1]])
    array([2])
    """
    counts = []
    for margins in _margins(coef, intercept, descriptors, order, removed=True):
        lost = margins[:, 1:] <= 0
        n_parts = lost.shape[1]
        counts.append(np.where(lost.any(1), 1 + lost.argmax(1), n_parts + 1))
    return np.concatenate([np.empty(0, np.intp), *counts])


def _margins(
    coef: ArrayLike,
    intercept: ArrayLike,
    descriptors: ArrayLike,
    order: ArrayLike | None,
    *,
    removed: bool,
) -> Iterator[np.ndarray]:
    """Yield the predicted class's margin over all others, (n', P + 1), batch by batch.

    Column k is the margin with the first k parts alone, or without them if `removed`.
    """
    V, bias, b, orders = _checked(coef, intercept, descriptors, order)
    n_classes, n_parts = V.shape
    bytes_per_image = 8 * (n_parts + 1) * n_classes
    for batch in slices_within(len(b), bytes_per_image, _BATCH_BYTES):
        descriptor = b[batch]
        scores = descriptor @ V.T + bias
        rows = np.arange(len(descriptor))
        predicted = scores.argmax(axis=1)
        if orders is None:
            scores[rows, predicted] = -np.inf
            differences = (V[predicted] - V[scores.argmax(axis=1)]) * descriptor
            ranked = np.argsort(-differences, axis=1, kind="stable")
        else:
            ranked = orders[batch]
        # Removal is summed up from the last part, so that without any part exactly the
        # bias remains.
        ranked = ranked[:, ::-1] if removed else ranked
        sums = np.empty((len(descriptor), n_parts + 1, n_classes))
        sums[:, 0] = bias
        sums[:, 1:] = V.T[ranked]
        sums[:, 1:] *= np.take_along_axis(descriptor, ranked, axis=1)[..., None]
        np.cumsum(sums, axis=1, out=sums)
        predicted_sums = sums[rows, :, predicted]
        sums[rows, :, predicted] = -np.inf
        margins = predicted_sums - sums.max(axis=2)
        yield margins[:, ::-1] if removed else margins


def _checked(
    coef: ArrayLike,
    intercept: ArrayLike,
    descriptors: ArrayLike,
    order: ArrayLike | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    V = check_finite("coef", coef, 2)
    b = check_finite("descriptors", descriptors, 2)
    bias = check_finite("intercept", intercept, 1)
    if len(V) < 2 or V.shape[1] == 0:
        raise ValueError(
            "coef must have a row for each of at least two classes, and a column for "
            f"each part, got the shape {V.shape}; "
            "skdpnet.explanations.readout.linear_readout makes two rows of "
            "scikit-learn's single one."
        )
    if bias.shape != (len(V),):
        raise ValueError(f"intercept must have {len(V)} numbers, got {len(bias)}.")
    if b.shape[1] != V.shape[1]:
        raise ValueError(
            f"descriptors have {b.shape[1]} parts, but coef has {V.shape[1]}."
        )
    if order is None:
        return V, bias, b, None
    orders, parts = np.asarray(order), np.arange(b.shape[1])
    if orders.shape != b.shape or (np.sort(orders, axis=1) != parts).any():
        raise ValueError(
            f"order must have the shape {b.shape} and hold each part once a row."
        )
    return V, bias, b, orders
