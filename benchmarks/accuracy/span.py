"""Long descriptors in fewer coordinates, with the inner products that they had."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.svm import LinearSVC

__all__ = ["SpanRotation", "SpanSVC"]


class SpanRotation(TransformerMixin, BaseEstimator):
    """Rotate descriptors into the span of the training descriptors.

    A linear SVM depends on inner products with training descriptors alone, which stay
    as they are, and its fit takes a fraction of the time where descriptors have more
    numbers than there are training images. Others are not changed.

    Attributes
    ----------
    descriptors_ : ndarray of shape (n, L)
        Those of the training images.
    rotation_ : ndarray of shape (n, r) or None
        Inner products with the training descriptors, times this, are coordinates in
        an orthonormal basis of their span, of r dimensions. None where descriptors are
        not changed.
    """

    descriptors_: np.ndarray
    rotation_: np.ndarray | None

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
        ndarray of shape (n, r), or X where L <= n
        """
        self.descriptors_, self.rotation_ = X, None
        if X.shape[1] <= len(X):
            return X
        # In less memory and time than by a QR decomposition of the descriptors.
        lengths, axes = np.linalg.eigh((X @ X.T).astype(np.float64))
        rounding = len(X) * np.finfo(X.dtype).eps * lengths[-1]
        kept = lengths > rounding
        roots = np.sqrt(lengths[kept])
        self.rotation_ = axes[:, kept] / roots
        return axes[:, kept] * roots

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Rotate descriptors, and leave out what is beyond the span.

        Parameters
        ----------
        X : ndarray of shape (m, L)

        Returns
        -------
        ndarray of shape (m, r), or X where it is not changed
        """
        if self.rotation_ is None:
            return X
        return X @ self.descriptors_.T @ self.rotation_


class SpanSVC(LinearSVC):
    """A linear SVM that is fitted in the coordinates of `SpanRotation`.

    It decides as without, and its coefficients are those of the descriptors, so that
    contributions of parts are known.
    """

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight=None) -> SpanSVC:
        """Fit the SVM.

        Parameters
        ----------
        X : ndarray of shape (n, L)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        self
        """
        rotation = SpanRotation()
        super().fit(rotation.fit_transform(X), y, sample_weight)
        if rotation.rotation_ is not None:
            self.coef_ = self.coef_ @ rotation.rotation_.T @ X
            self.n_features_in_ = X.shape[1]
        return self
