"""Long descriptors in fewer coordinates, with the inner products that they had."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

__all__ = ["SpanRotation"]


class SpanRotation(TransformerMixin, BaseEstimator):
    """Rotate descriptors into the span of the training descriptors.

    A linear SVM depends on inner products with training descriptors alone, which stay
    as they are, and its fit takes a fraction of the time where descriptors have more
    numbers than there are training images. Others are not changed.

    Attributes
    ----------
    axes_ : ndarray of shape (L, n) or None
        An orthonormal basis of the span; None where descriptors are not changed.
    """

    axes_: np.ndarray | None

    def fit(self, X: np.ndarray, y=None) -> SpanRotation:
        """Find the span of descriptors.

        Parameters
        ----------
        X : ndarray of shape (n, L)
        y : ignored

        Returns
        -------
        self
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: np.ndarray, y=None) -> np.ndarray:
        """Find the span of descriptors, and rotate them.

        Parameters
        ----------
        X : ndarray of shape (n, L)
        y : ignored

        Returns
        -------
        ndarray of shape (n, min(n, L))
        """
        if X.shape[1] <= len(X):
            self.axes_ = None
            return X
        self.axes_, coordinates = np.linalg.qr(X.T)
        return coordinates.T

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Rotate descriptors, and leave out what is beyond the span.

        Parameters
        ----------
        X : ndarray of shape (m, L)

        Returns
        -------
        ndarray of shape (m, min(n, L))
        """
        return X if self.axes_ is None else X @ self.axes_
