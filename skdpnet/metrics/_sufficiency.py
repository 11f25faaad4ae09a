"""How many parts a decision rests on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.metrics._validation import finite

__all__ = ["parts_to_flip", "parts_to_keep"]

# Sums of some images are in memory at a time: as many of these numbers, 32 MB.
_AT_ONCE = 1 << 22


def parts_to_keep(
    coef: ArrayLike,
    intercept: ArrayLike,
    descriptors: ArrayLike,
    *,
    order: ArrayLike | None = None,
) -> np.ndarray:
    """Count the parts that are enough for a decision.

    All parts but these are as present as in an average training image, where the
    descriptor is 0. Parts are kept in the order of their contribution to what the
    predicted class's score is larger by than the runner-up's, largest first, until
    the predicted class has a larger score than every other.

    Parameters
    ----------
    coef : array-like of shape (C, P)
    intercept : array-like of shape (C,)
        The scores are ``descriptors @ coef.T + intercept``, as
        `skdpnet.explanations.readout.linear_readout` gives them.
    descriptors : array-like of shape (n, P)
    order : int array-like of shape (n, P), default=None
        Another order of each image's parts, such as one by chance:
        ``np.argsort(random.random(descriptors.shape))``.

    Returns
    -------
    int ndarray of shape (n,)
        0 where the bias alone gives the class. There may be smaller sets of parts
        that are enough, which do not come first in this order.

    Raises
    ------
    ValueError
        If the shapes do not fit, a number is not finite, there are fewer than two
        classes, or a row of `order` does not hold each part once.

    See Also
    --------
    parts_to_flip : How many must go for the decision to change.

    Notes
    -----
    Compare the sufficient parts of R. Hesse et al., "FunnyBirds: A Synthetic Vision
    Dataset for a Part-Based Analysis of Explainable AI Methods", ICCV 2023; here no
    image is redrawn: the parts are the model's own.

    Examples
    --------
    >>> from skdpnet.metrics import parts_to_flip, parts_to_keep
    >>> coef, intercept = [[2, 1, 1], [0, 0, 0]], [-1, 0]
    >>> parts_to_keep(coef, intercept, [[1, 1, 1]])
    array([1])
    >>> parts_to_flip(coef, intercept, [[1, 1, 1]])
    array([2])
    """
    counts = []
    for sums in _cumulated(coef, intercept, descriptors, order, removed=False):
        wins = sums > 0
        # Of equal scores, which no number of parts tells apart, all parts are kept.
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
    """Count the parts without which a decision changes.

    Parts are set to what they are in an average training image, where the
    descriptor is 0, in the order of `parts_to_keep`, until the predicted class no
    longer has a larger score than every other.

    Parameters
    ----------
    coef, intercept, descriptors, order
        As in `parts_to_keep`, which also tells the errors.

    Returns
    -------
    int ndarray of shape (n,)
        From 1; P + 1 where none does: the bias alone, and all on the way to it, gives
        the class.
    """
    counts = []
    for sums in _cumulated(coef, intercept, descriptors, order, removed=True):
        lost = sums[:, 1:] <= 0
        n_parts = lost.shape[1]
        counts.append(np.where(lost.any(1), 1 + lost.argmax(1), n_parts + 1))
    return np.concatenate([np.empty(0, np.intp), *counts])


def _cumulated(
    coef: ArrayLike,
    intercept: ArrayLike,
    descriptors: ArrayLike,
    order: ArrayLike | None,
    *,
    removed: bool,
) -> Iterator[np.ndarray]:
    """Yield what the predicted class leads all others by, (n', P + 1).

    Of some images at a time; with the first 0, 1, … P parts alone, or without these.
    """
    V, bias, b, chosen = _checked(coef, intercept, descriptors, order)
    n_classes, n_parts = V.shape
    at_once = max(1, _AT_ONCE // ((n_parts + 1) * n_classes))
    for start in range(0, len(b), at_once):
        own = b[start : start + at_once]
        scores = own @ V.T + bias
        rows = np.arange(len(own))
        predicted = scores.argmax(axis=1)
        if chosen is None:
            scores[rows, predicted] = -np.inf
            leads = (V[predicted] - V[scores.argmax(axis=1)]) * own
            first = np.argsort(-leads, axis=1, kind="stable")
        else:
            first = chosen[start : start + at_once]
        # Without parts is summed from the end, so that the bias alone is left exactly.
        first = first[:, ::-1] if removed else first
        sums = np.empty((len(own), n_parts + 1, n_classes))
        sums[:, 0] = bias
        sums[:, 1:] = V.T[first]
        sums[:, 1:] *= np.take_along_axis(own, first, axis=1)[..., None]
        np.cumsum(sums, axis=1, out=sums)
        of_class = sums[rows, :, predicted]
        sums[rows, :, predicted] = -np.inf
        margins = of_class - sums.max(axis=2)
        yield margins[:, ::-1] if removed else margins


def _checked(
    coef: ArrayLike,
    intercept: ArrayLike,
    descriptors: ArrayLike,
    order: ArrayLike | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    V, b = finite("coef", coef, 2), finite("descriptors", descriptors, 2)
    bias = finite("intercept", intercept, 1)
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
    chosen, every = np.asarray(order), np.arange(b.shape[1])
    if chosen.shape != b.shape or (np.sort(chosen, axis=1) != every).any():
        raise ValueError(
            f"order must have the shape {b.shape} and hold each part once a row."
        )
    return V, bias, b, chosen
