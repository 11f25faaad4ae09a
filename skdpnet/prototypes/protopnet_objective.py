"""The loss that ProtoPNet learns its prototypes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from skdpnet import losses
from skdpnet.prototypes.similarity import log_similarity

__all__ = ["ProtoPNetObjective"]


@dataclass
class ProtoPNetObjective:
    """Cross-entropy, and the cluster and separation costs.

    Parameters
    ----------
    own : bool ndarray of shape (C, P)
        Which prototypes are a class's own.
    last_layer : float32 ndarray of shape (C, P)
        W, which is fixed.
    epsilon, cluster_weight, separation_weight : float
        As in `ProtoPNetClassifier`.
    """

    own: np.ndarray
    last_layer: np.ndarray
    epsilon: float
    cluster_weight: float
    separation_weight: float

    @property
    def term_names(self) -> list[str]:
        """Names of the terms of the loss."""
        return ["cross_entropy", "cluster", "separation"]

    def terms(
        self,
        module: Any,
        output: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the weighted terms by name; the loss is their sum.

        Parameters
        ----------
        module : PrototypeModel
        output : tensor of shape (N, P)
            The squared distances of a batch.
        labels : int tensor of shape (N,)
        weights : tensor of shape (N,)
            Weights of the images.

        Returns
        -------
        dict of str to scalar tensor
        """
        own = torch.from_numpy(self.own).to(output.device)
        W = torch.from_numpy(self.last_layer).to(output.device)
        logits = log_similarity(output, self.epsilon) @ W.T
        entropies = F.cross_entropy(logits, labels, reduction="none")
        cluster = losses.cluster_cost(output, labels, own, weights)
        separation = losses.separation_cost(output, labels, own, weights)
        return {
            "cross_entropy": (weights * entropies).mean(),
            "cluster": self.cluster_weight * cluster,
            "separation": -self.separation_weight * separation,
        }
