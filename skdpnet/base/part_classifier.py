"""The predictions of estimators that have parts and a classifier on them."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.base.score_classifier import ScoreClassifier

__all__ = ["PartClassifier"]


class PartClassifier(ScoreClassifier, PartEstimator):
    """Base of the part estimators that are classifiers themselves.

    A subclass has the fitted attributes `coef_` (C, P) and `intercept_` (C,), a linear
    classifier on the descriptor that `transform` returns, or it overrides
    `_scores_of`.
    """

    coef_: np.ndarray
    intercept_: np.ndarray

    def _scores_of(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the logits (n, C) of images, from their descriptors (n, P)."""
        return descriptors @ self.coef_.T + self.intercept_

    def _logits(self, X) -> np.ndarray:
        """Return the logits of all classes, (n, C)."""
        check_is_fitted(self)
        # Not `transform`, whose container is a setting of scikit-learn.
        return self._scores_of(self._describe(self._iter_inputs(X)))
