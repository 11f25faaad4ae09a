"""The module and the loss that ProtoPool learns prototypes and slots with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skdpnet import losses
from skdpnet.prototypes.focal import mean_distances
from skdpnet.prototypes.model import PrototypeModel, nearest_of
from skdpnet.prototypes.slots import (
    gumbel_slots,
    slot_similarities,
    strongest_prototypes,
)

__all__ = ["PoolModel", "PoolObjective", "PoolOutput"]


class PoolOutput(NamedTuple):
    """What `PoolModel` returns for a batch.

    Attributes
    ----------
    nearest : tensor of shape (N, P)
        The squared distances to the nearest regions.
    mean : tensor of shape (N, P), or None
        The mean squared distances.
    slots : tensor of shape (C, P, N)
        The shares of the prototypes in each slot.
    """

    nearest: torch.Tensor
    mean: torch.Tensor | None
    slots: torch.Tensor


class PoolModel(PrototypeModel):
    """Prototypes of unit length, and the slots of the classes.

    Parameters
    ----------
    prototypes, layers
        As in `PrototypeModel`.
    logits : float32 ndarray of shape (C, P, N)
        The initial logits of the slots.
    n_steps : int
        Number of steps of the training. In step t, the logits are multiplied by ``γ
        √(t / n_steps)``.
    tau, gamma : float
        As in `gumbel_slots`.
    focal : bool
        Whether mean distances are computed.
    random : RandomState
        Draws the noise.
    """

    def __init__(
        self,
        prototypes: Sequence[np.ndarray],
        layers: Sequence[np.ndarray] | None,
        logits: np.ndarray,
        n_steps: int,
        tau: float,
        gamma: float,
        focal: bool,
        random: np.random.RandomState,
    ):
        super().__init__(prototypes, layers)
        self.logits = nn.Parameter(torch.from_numpy(logits.copy()))
        self.n_steps, self.step = n_steps, 0
        self.tau, self.gamma, self.focal = tau, gamma, focal
        self.random = random

    def forward(self, maps: Sequence[torch.Tensor]) -> PoolOutput:  # type: ignore[override]
        """Compute distances of a batch, draw slots, and count a step.

        Parameters
        ----------
        maps : sequence of tensors of shape (N, R, K)
            As in `PrototypeModel.forward`.

        Returns
        -------
        PoolOutput
        """
        regions, prototypes = self.regions(maps), self.unit_prototypes()
        mean = None
        if self.focal:
            each = zip(regions, prototypes, strict=True)
            mean = torch.cat([mean_distances(*pair) for pair in each], dim=1)
        self.step += 1
        gamma = self.gamma * (self.step / self.n_steps) ** 0.5
        drawn = self.random.gumbel(size=self.logits.shape).astype(np.float32)
        noise = torch.from_numpy(drawn).to(self.logits.device)
        slots = gumbel_slots(self.logits, noise, self.tau, gamma)
        return PoolOutput(nearest_of(regions, prototypes), mean, slots)

    def hard_slots(self) -> np.ndarray:
        """Return the prototype of the largest logit in each slot, int64 (C, N)."""
        return self.logits.detach().argmax(dim=1).cpu().numpy()


@dataclass
class PoolObjective:
    """Cross-entropy, the cluster and separation costs, and slots that differ.

    Parameters
    ----------
    epsilon, cluster_weight, separation_weight, orthogonality_weight : float
        As in `ProtoPoolClassifier`.
    """

    epsilon: float
    cluster_weight: float
    separation_weight: float
    orthogonality_weight: float

    @property
    def term_names(self) -> list[str]:
        """Names of the terms of the loss."""
        return ["cross_entropy", "cluster", "separation", "orthogonality"]

    def terms(
        self,
        module: Any,
        output: PoolOutput,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the weighted terms by name; the loss is their sum.

        Parameters
        ----------
        module : PoolModel
        output : PoolOutput
            The output on a batch.
        labels : int tensor of shape (N,)
        weights : tensor of shape (N,)
            Weights of the images.

        Returns
        -------
        dict of str to scalar tensor
        """
        nearest, mean, slots = output
        logits = slot_similarities(nearest, mean, slots, self.epsilon).sum(dim=2)
        entropies = F.cross_entropy(logits, labels, reduction="none")
        own = strongest_prototypes(slots, slots.shape[2])
        cluster = losses.cluster_cost(nearest, labels, own, weights)
        separation = losses.separation_cost(nearest, labels, own, weights)
        return {
            "cross_entropy": (weights * entropies).mean(),
            "cluster": self.cluster_weight * cluster,
            "separation": -self.separation_weight * separation,
            "orthogonality": self.orthogonality_weight
            * losses.slot_orthogonality(slots),
        }
