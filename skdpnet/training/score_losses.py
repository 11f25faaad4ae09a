"""The losses of scores, which training minimises: one for each kind of target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F

__all__ = ["CrossEntropy", "LabelEntropy", "ScoreLoss", "SquaredError"]


class ScoreLoss(Protocol):
    """The loss of the scores (N, C) of some images, by their targets.

    Attributes
    ----------
    name : str
        Its name in the history of training.
    """

    name: ClassVar[str]

    def __call__(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image, (N,)."""


@dataclass(frozen=True)
class CrossEntropy:
    """The cross-entropy of the softmax of the scores and the class of each image.

    Parameters
    ----------
    label_smoothing : float in [0, 1), default=0.0
        The share of each target that is spread over all classes.
    """

    name: ClassVar[str] = "cross_entropy"
    label_smoothing: float = 0.0

    def __call__(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image, (N,), for int targets (N,)."""
        return F.cross_entropy(
            scores, targets, reduction="none", label_smoothing=self.label_smoothing
        )


@dataclass(frozen=True)
class LabelEntropy:
    """The binary cross-entropy of the sigmoid of each score, summed over the classes.

    Parameters
    ----------
    label_smoothing : float in [0, 1), default=0.0
        The share of each target that is spread over the class's presence and absence.
    """

    name: ClassVar[str] = "cross_entropy"
    label_smoothing: float = 0.0

    def __call__(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image, (N,), for indicators (N, C)."""
        shares = targets.to(scores.dtype) * (1 - self.label_smoothing)
        shares = shares + self.label_smoothing / 2
        losses = F.binary_cross_entropy_with_logits(scores, shares, reduction="none")
        return losses.sum(dim=1)


@dataclass(frozen=True)
class SquaredError:
    """The squared error of the scores, summed over the targets."""

    name: ClassVar[str] = "squared_error"

    def __call__(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image, (N,), for numbers (N, T)."""
        return (scores - targets.to(scores.dtype)).square().sum(dim=1)
