"""The predictions of estimators that score each class."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from skdpnet.utils.indicators import check_indicators
from skdpnet.utils.labels import check_labels, warn_of_unknown_labels

__all__ = ["ScoreClassifier"]


class ScoreClassifier(ClassifierMixin):
    """Base of the classifiers whose scores decide.

    A subclass has the fitted attribute `classes_` and implements `_logits`. If it takes
    indicator matrices too, by which an image may have several classes or none,
    `multilabel_` says whether it was fitted on one.
    """

    multilabel_: bool = False

    classes_: np.ndarray

    @abstractmethod
    def _logits(self, X) -> np.ndarray:
        """Return the logits of all classes, (n, C).

        It raises NotFittedError where the estimator is not fitted.
        """

    def decision_function(self, X) -> np.ndarray:
        """Score each class.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        ndarray of shape (n, C), or (n,) for two classes
            The logits; for two classes the second class's minus the first's. After
            `fit` with an indicator matrix, always the logits (n, C), each of them of
            one class alone.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `transform`.
        """
        logits = self._logits(X)
        if len(self.classes_) == 2 and not self.multilabel_:
            return logits[:, 1] - logits[:, 0]
        return logits

    def predict_proba(self, X) -> np.ndarray:
        """Estimate the probability of each class: the softmax of the logits.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        float64 ndarray of shape (n, C)
            In the order of `classes_`; rows sum to 1. After `fit` with an indicator
            matrix, the probability that the image has each class, the sigmoid of its
            logit; then rows have any sum.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `transform`.
        """
        logits = self._logits(X).astype(np.float64)
        return expit(logits) if self.multilabel_ else softmax(logits, axis=1)

    def predict(self, X) -> np.ndarray:
        """Predict the most probable class of each image.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        ndarray of shape (n,)
            The label of each image. After `fit` with an indicator matrix, such a matrix
            (n, C), of int64: 1 where the probability is above one half.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `transform`.
        """
        logits = self._logits(X)  # raises where the estimator is not fitted
        if self.multilabel_:
            return (logits > 0).astype(np.int64)
        return self.classes_[logits.argmax(axis=1)]

    def score(self, X, y, sample_weight=None) -> float:
        """Return the accuracy, and warn of labels that the model does not know.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.
        y : array-like of shape (n,), or matrix of shape (n, C)
            The true labels, or the true indicators.
        sample_weight : array-like of shape (n,), default=None
            Weights of the images.

        Returns
        -------
        float
            The share of images whose predicted label is the true one. An image with a
            label that the model does not know counts as wrong. After `fit` with an
            indicator matrix, the share of images all of whose classes are right.

        Raises
        ------
        ValueError
            If labels are missing; if y holds text and the model's classes are numbers,
            or the reverse.
        sklearn.exceptions.NotFittedError, skdpnet.images.ImageError
            As `transform`.

        Warns
        -----
        UserWarning
            If the model does not know some of the labels.
        """
        check_is_fitted(self)
        if self.multilabel_:
            y = check_indicators(self, X, y, len(self.classes_))
            return super().score(X, y, sample_weight)
        y = check_labels(self, X, y)
        warn_of_unknown_labels(y, self.classes_)
        return super().score(X, y, sample_weight)
