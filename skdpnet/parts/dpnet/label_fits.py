"""The fits of V for indicator matrices, by which an image may have several classes."""

from __future__ import annotations

from skdpnet.parts.dpnet.fitting import ClassifierFits
from skdpnet.training.calibration import label_factor, label_spread
from skdpnet.training.linear_fits import fit_sigmoids
from skdpnet.training.score_losses import LabelEntropy

__all__ = ["LabelFits"]


class LabelFits(ClassifierFits):
    """The fits of `ClassifierFits`, where each class is a decision of its own.

    Labels are indicators (n, C). A logit belongs to one class alone: its sigmoid is the
    probability that the image has it.
    """

    _fit_in_training = staticmethod(fit_sigmoids)
    _factor = staticmethod(label_factor)
    spread = staticmethod(label_spread)

    @property
    def loss(self) -> LabelEntropy:
        """The loss of the scores, which training minimises."""
        return LabelEntropy(self.label_smoothing)
