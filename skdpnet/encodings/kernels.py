"""The intersection of histograms, as a kernel for support vector machines."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import check_pairwise_arrays
from sklearn.utils.validation import check_non_negative

__all__ = ["intersection_kernel"]


def intersection_kernel(X, Y=None) -> np.ndarray:
    """Compute the intersections of histograms, ``Σ_i min(x_i, y_i)``.

    With histograms whose levels are weighted by ``level_weights="pyramid_match"`` of
    `BagOfWords`, it is the spatial pyramid match kernel [1]_.

    Parameters
    ----------
    X : array-like of shape (n, L)
        Histograms, such as ``BagOfWords(feature_map=None)`` returns; no entry is
        negative.
    Y : array-like of shape (m, L), default=None
        None: X.

    Returns
    -------
    float64 ndarray of shape (n, m)

    Raises
    ------
    ValueError
        If the histograms have different lengths, or an entry is negative or not finite.

    References
    ----------
    .. [1] S. Lazebnik, C. Schmid, J. Ponce, "Beyond bags of features: spatial pyramid
       matching for recognizing natural scene categories", CVPR 2006, equation 3.

    Examples
    --------
    >>> from skdpnet.encodings import intersection_kernel
    >>> intersection_kernel([[0.5, 0.5]], [[0.2, 0.8], [1.0, 0.0]])
    array([[0.7, 0.5]])
    """
    X, Y = check_pairwise_arrays(X, Y, dtype=np.float64)
    check_non_negative(X, "intersection_kernel")
    check_non_negative(Y, "intersection_kernel")
    # min(a, b) = (a + b - |a - b|) / 2, and distances are summed without large arrays.
    totals = X.sum(axis=1)[:, None] + Y.sum(axis=1)
    return (totals - cdist(X, Y, "cityblock")) / 2
