"""How much parts repeat one another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.metrics._validation import finite

__all__ = ["Redundancy", "redundancy"]


class Redundancy(NamedTuple):
    """How alike different parts are.

    Attributes
    ----------
    mean, maximum : float
        Of |cosine| over all pairs of different parts of the same map; 0 where there
        is no pair.
    """

    mean: float
    maximum: float


def redundancy(parts: ArrayLike, part_maps: ArrayLike | None = None) -> Redundancy:
    """Measure how much parts repeat one another.

    DP-Net's orthogonality loss draws these cosines to 0.

    Parameters
    ----------
    parts : array-like of shape (P, K)
        An estimator's ``parts_``. Zeros at the end of a row change nothing.
    part_maps : int array-like of shape (P,), default=None
        An estimator's ``part_maps_``: directions on different maps cannot be compared.
        None: all parts are of one map.

    Returns
    -------
    Redundancy
        By chance: K numbers that are drawn from a normal distribution have a mean
        |cosine| of ``Γ(K/2) / (√π Γ((K+1)/2))``, about ``√(2 / (π K))``.

    Raises
    ------
    ValueError
        If the shapes do not fit, a number is not finite, or a part is all zeros.

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
    rows = finite("parts", parts, 2)
    maps = np.zeros(len(rows), int) if part_maps is None else np.asarray(part_maps)
    if maps.shape != (len(rows),):
        raise ValueError(
            f"part_maps must have the shape ({len(rows)},), got {maps.shape}."
        )
    # Scaled first, so that no square leaves the range of the numbers.
    largest = np.abs(rows).max(axis=1, initial=0, keepdims=True)
    if (largest == 0).any():
        raise ValueError(
            f"part {int((largest == 0).argmax())} is all zeros: it has no direction."
        )
    rows = rows / largest
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    total, maximum, n_pairs = 0.0, 0.0, 0
    for one in np.unique(maps):
        own = rows[maps == one]
        cosines = np.abs(own @ own.T)
        np.fill_diagonal(cosines, 0)
        total += cosines.sum()
        n_pairs += len(own) * (len(own) - 1)
        maximum = max(maximum, float(cosines.max()))
    return Redundancy(float(total / max(1, n_pairs)), min(1.0, maximum))
