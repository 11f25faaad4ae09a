"""The fits of V for indicator matrices, by which an image may have several classes."""

from __future__ import annotations

import numpy as np

from skdpnet.parts.dpnet.fitting import ClassifierFits
from skdpnet.training.calibration import label_factor, label_spread
from skdpnet.training.linear_fits import Classifier, fit_sigmoids
from skdpnet.training.score_losses import LabelEntropy

__all__ = ["LabelFits"]


class LabelFits(ClassifierFits):
    """The fits of `ClassifierFits`, where each class is a decision of its own.

    Labels are indicators (n, C). A logit belongs to one class alone: its sigmoid is the
    probability that the image has it.
    """

    def in_training(
        self,
        descriptors: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        start: Classifier | None = None,
    ) -> Classifier:
        """Minimise the objective of training over V; see `fit_sigmoids`."""
        return fit_sigmoids(
            descriptors,
            labels,
            weights,
            self.n_classes,
            self.ridge,
            self.penalty,
            self.label_smoothing,
            start,
            self.positive,
            self.n_free,
        )

    @property
    def loss(self) -> LabelEntropy:
        """The loss of the scores, which training minimises."""
        return LabelEntropy(self.label_smoothing)

    def _factor(
        self, scores: np.ndarray, labels: np.ndarray, weights: np.ndarray
    ) -> float:
        return label_factor(scores, labels, weights)

    def spread(self, scores: np.ndarray) -> float:
        """Return how much scores (n, C) vary, each class for itself."""
        return label_spread(scores)
