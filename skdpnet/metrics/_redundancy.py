"""How similar the parts are to one another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.metrics._validation import check_finite

__all__ = ["Redundancy", "redundancy"]


class Redundancy(NamedTuple):
    """How similar the directions of different parts are.

    Attributes
    ----------
    mean, maximum : float
        Mean and maximum of the absolute cosine over all pairs of different parts on the
        same feature map; 0 if there is no pair.
    """

    mean: float
    maximum: float


def redundancy(parts: ArrayLike, part_maps: ArrayLike | None = None) -> Redundancy:
    """Measure how similar the parts are to one another.

    The orthogonality penalty of DP-Net draws these cosines towards 0.

    Parameters
    ----------
    parts : array-like of shape (P, K)
        An estimator's ``parts_``. Zeros at the end of the rows change nothing.
    part_maps : int array-like of shape (P,), default=None
        An estimator's ``part_maps_``. Parts of different feature maps live in
        different spaces and are not compared. None: all parts are on the same map.

    Returns
    -------
    Redundancy
        By chance: for K numbers drawn from a normal distribution, the mean absolute
        cosine is ``Γ(K/2) / (√π Γ((K+1)/2))``, about ``√(2 / (π K))``.

    Raises
    ------
    ValueError
        If the shapes do not fit, a number is not finite, or a part is all zeros.

    See Also
    --------
    skdpnet.losses.orthogonality : The penalty.

    References
    ----------
    R. Sicre et al., "DP-Net: Learning Discriminative Parts for image recognition",
    ICIP 2023, the orthogonality loss.

    Examples
    --------
    >>> from skdpnet.metrics import redundancy
    >>> redundancy([[1, 0], [0, 1], [0, -1]])
    Redundancy(mean=0.333..., maximum=1.0)
    """
    rows = check_finite("parts", parts, 2)
    maps = np.zeros(len(rows), int) if part_maps is None else np.asarray(part_maps)
    if maps.shape != (len(rows),):
        raise ValueError(
            f"part_maps must have the shape ({len(rows)},), got {maps.shape}."
        )
    # Rows are scaled first because the squares of their numbers could overflow.
    largest = np.abs(rows).max(axis=1, initial=0, keepdims=True)
    if (largest == 0).any():
        raise ValueError(
            f"part {int((largest == 0).argmax())} is all zeros: it has no direction."
        )
    rows = rows / largest
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    total, maximum, n_pairs = 0.0, 0.0, 0
    for number in np.unique(maps):
        directions = rows[maps == number]
        cosines = np.abs(directions @ directions.T)
        np.fill_diagonal(cosines, 0)
        total += cosines.sum()
        n_pairs += len(directions) * (len(directions) - 1)
        maximum = max(maximum, float(cosines.max()))
    return Redundancy(float(total / max(1, n_pairs)), min(1.0, maximum))
