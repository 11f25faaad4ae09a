"""The module of PIP-Net: shares of the prototypes in each region, in two views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skdpnet import losses

__all__ = ["PIPNetModel", "PIPNetObjective", "PIPNetOutput", "shares"]


class PIPNetOutput(NamedTuple):
    """The output of a forward pass on a batch of N images.

    Attributes
    ----------
    alignment : scalar tensor
        The mean of the alignment losses of the maps.
    views : list of tensors of shape (N, P)
        The largest share of each prototype over the regions, in each view.
    progress : float
        The share of the steps of the stage that are done, in (0, 1].
    """

    alignment: torch.Tensor
    views: list[torch.Tensor]
    progress: float


class PIPNetModel(nn.Module):
    """Prototypes as directions of regions, and a classifier without negative weights.

    Parameters
    ----------
    prototypes : sequence of float32 ndarrays of shape (P', K)
        The initial prototypes of each map.
    temperature : float > 0
        The initial temperature of the shares.
    n_classes : int
    """

    def __init__(
        self, prototypes: Sequence[np.ndarray], temperature: float, n_classes: int
    ):
        super().__init__()
        self.prototypes = nn.ParameterList(
            [nn.Parameter(torch.from_numpy(on_map.copy())) for on_map in prototypes]
        )
        start = np.full(len(prototypes), np.log(temperature), np.float32)
        self.log_temperatures = nn.Parameter(torch.from_numpy(start))
        n_prototypes = sum(map(len, prototypes))
        self.weight = nn.Parameter(
            torch.zeros(n_classes, n_prototypes, dtype=torch.float32)
        )
        self.n_steps, self.step = 1, 0

    def unit_prototypes(self) -> list[torch.Tensor]:
        """Return the prototypes of each map with unit rows, (P', K)."""
        return [F.normalize(on_map, dim=1) for on_map in self.prototypes]

    def forward(self, maps: Sequence[torch.Tensor]) -> PIPNetOutput:
        """Compute the shares of a batch, and compare its views.

        Parameters
        ----------
        maps : sequence of tensors of shape (N, R, K)
            The region descriptors of each map; then, if there is a second view, those
            of its maps.
        """
        if self.training:
            self.step += 1
        n_maps = len(self.prototypes)
        views: list[list[torch.Tensor]] = []
        covered = []
        for start in range(0, len(maps), n_maps):
            of_view = []
            for i, points in enumerate(self.unit_prototypes()):
                regions = maps[start + i]
                temperature = self.log_temperatures[i].exp()
                of_view.append(shares(regions, points, temperature))
                if start == 0:
                    covered.append((regions != 0).any(dim=2))
            views.append(of_view)
        alignments = [
            losses.alignment(views[0][i], views[-1][i], covered[i])
            for i in range(n_maps)
        ]
        largest = [
            torch.cat([of_map.amax(dim=1) for of_map in of_view], dim=1)
            for of_view in views
        ]
        progress = min(1.0, self.step / self.n_steps)
        return PIPNetOutput(torch.stack(alignments).mean(), largest, progress)


def shares(
    regions: torch.Tensor, prototypes: torch.Tensor, temperature: torch.Tensor | float
) -> torch.Tensor:
    """Share regions out among prototypes: ``softmax_k(zᵀp_k / τ)``.

    Parameters
    ----------
    regions : tensor of shape (N, R, K)
        Region descriptors of unit length, or zero where there is no image.
    prototypes : tensor of shape (P, K)
        Of unit length.
    temperature : scalar tensor or float > 0
        τ.

    Returns
    -------
    tensor of shape (N, R, P)
        They sum to 1 in each region; zero where there is no image.
    """
    inside = (regions != 0).any(dim=2, keepdim=True)
    return torch.softmax(regions @ prototypes.T / temperature, dim=2) * inside


@dataclass
class PIPNetObjective:
    """Alignment, presence and, in the second stage, cross-entropy.

    Parameters
    ----------
    alignment_weight, presence_weight, class_weight : float
        Weights of the terms; without a class weight there is no cross-entropy.
    grows : bool
        Whether the weight of the alignment grows with the steps, from 0.
    batch_size : int
        The size of a batch that the presence term stands for.
    """

    alignment_weight: float
    presence_weight: float
    class_weight: float
    grows: bool
    batch_size: int

    @property
    def term_names(self) -> list[str]:
        """Names of the terms of the loss."""
        names = ["alignment", "presence"]
        return [*names, "cross_entropy"] if self.class_weight else names

    def terms(
        self,
        module: PIPNetModel,
        output: PIPNetOutput,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the weighted terms by name; the loss is their sum.

        Parameters
        ----------
        module : PIPNetModel
        output : PIPNetOutput
        labels : int tensor of shape (N,)
        weights : tensor of shape (N,)
            Weights of the images in the cross-entropy.

        Returns
        -------
        dict of str to scalar tensor
        """
        factor = output.progress if self.grows else 1.0
        scale = self.batch_size / len(labels)
        presences = [losses.presence(view, scale) for view in output.views]
        terms = {
            "alignment": factor * self.alignment_weight * output.alignment,
            "presence": self.presence_weight * torch.stack(presences).mean(),
        }
        if self.class_weight:
            V = module.weight.clamp(min=0)
            entropies = [
                F.cross_entropy(
                    torch.log1p((view @ V.T).square()), labels, reduction="none"
                )
                for view in output.views
            ]
            mean = (weights * torch.stack(entropies).mean(dim=0)).mean()
            terms["cross_entropy"] = self.class_weight * mean
        return terms
