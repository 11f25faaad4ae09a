"""What training minimises for targets that are numbers, and the fits of V for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from skdpnet.parts.dpnet.model import PartModel, PartOutput
from skdpnet.parts.dpnet.objective import Objective
from skdpnet.training.least_squares import fit_least_squares
from skdpnet.training.linear_fits import Classifier, ClassifierPenalty

__all__ = ["SparseObjective", "TargetFits", "quantile_groups", "target_scale"]

# A deviation below this share of the mean is rounding.
_TINY = 1e-12


@dataclass
class SparseObjective(Objective):
    """`Objective` with a penalty on all weights of the learned parts in the readout.

    The penalty is ``1/√P Σ |V_tp|``, for P parts.

    Parameters
    ----------
    sparsity : float, default=0.0
        Weight of the penalty.
    """

    sparsity: float = 0.0

    @property
    def term_names(self) -> list[str]:
        """Names of the terms of the loss."""
        return super().term_names + ["sparsity"] * bool(self.sparsity)

    def terms(
        self,
        model: PartModel,
        output: PartOutput,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the weighted terms by name; see `Objective`."""
        terms = super().terms(model, output, labels, weights)
        if self.sparsity:
            terms["sparsity"] = self._penalise_classifier(model.classifier.weight)
        return terms

    @property
    def classifier_penalty(self) -> ClassifierPenalty | None:
        """The weighted penalty on V, or None if it has no weight."""
        if not self.sparsity:
            return None
        return ClassifierPenalty(self._penalise_classifier, sparse=True)

    def _penalise_classifier(self, V: torch.Tensor) -> torch.Tensor:
        n_parts = len(self.part_classes)
        return self.sparsity / n_parts**0.5 * V[:, :n_parts].abs().sum()


@dataclass(frozen=True)
class TargetFits:
    """The fits of V on standardised targets (n, T), with their settings.

    Parameters
    ----------
    C : float > 0
        Inverse strength of the ridge in the final fit.
    ridge : float > 0
        Weight of ‖V‖² in training.
    penalty : ClassifierPenalty or None
        The penalty on V, which is part of all fits.
    """

    C: float
    ridge: float
    penalty: ClassifierPenalty | None

    def in_training(
        self,
        descriptors: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray,
        start: Classifier | None = None,
    ) -> Classifier:
        """Minimise the objective of training over V; see `fit_least_squares`."""
        return fit_least_squares(
            descriptors, labels, weights, self.ridge, self.penalty, start
        )

    def final(
        self, descriptors: np.ndarray, labels: np.ndarray, weights: np.ndarray
    ) -> Classifier:
        """Fit V on the descriptors of the learned parts."""
        ridge = 0.5 / (self.C * len(descriptors))
        return fit_least_squares(descriptors, labels, weights, ridge, self.penalty)


def target_scale(
    values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and deviation of targets, (T,) each.

    Parameters
    ----------
    values : float64 ndarray of shape (n, T)
    weights : float ndarray of shape (n,)

    Returns
    -------
    mean, scale : float64 ndarrays of shape (T,)
        The scale of a target that does not vary is 1.
    """
    mean = np.average(values, axis=0, weights=weights)
    scale = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weights))
    is_constant = scale <= _TINY * np.abs(mean)
    return mean, np.where(is_constant | (scale == 0), 1.0, scale)


def quantile_groups(values: np.ndarray, weights: np.ndarray, n_bins: int) -> np.ndarray:
    """Group images by the quantiles of each target.

    Parameters
    ----------
    values : float ndarray of shape (n, T)
    weights : float ndarray of shape (n,)
        Images of weight 0 do not count.
    n_bins : int

    Returns
    -------
    bool ndarray of shape (n, G)
        The groups of the first target, smallest values first, then those of the second
        and so on. Each image is in one group of each target. Equal values are in the
        same group, so that there are fewer groups where few values are distinct.
    """
    counted = weights > 0
    groups = []
    for column in values.T:
        inner = np.arange(1, n_bins) / n_bins
        edges = np.unique(np.quantile(column[counted], inner))
        numbers = np.searchsorted(edges, column, side="right")
        for number in np.unique(numbers[counted]):
            groups.append(numbers == number)
    return np.stack(groups, axis=1)
