"""The module that learns a tree of prototypes, and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skdpnet.prototypes.projection import Projection
from skdpnet.prototypes.similarity import distances_of_cosines
from skdpnet.prototypes.soft_tree import path_log_probabilities, update_leaves

__all__ = ["TreeModel", "TreeObjective"]


class TreeModel(nn.Module):
    """Prototypes, the layer below them, and how near an image must be to each.

    Regions x and prototypes u are compared as ``A x`` and ``A u``, of unit length,
    where A is a matrix for each map, at first the identity. So a prototype that is a
    region stays that region while A is learned.

    Parameters
    ----------
    prototypes : sequence of float32 ndarrays of shape (P', K)
        The initial prototypes u of each map, of which some may have none.
    scales, thresholds : float32 ndarrays of shape (P,)
        The initial a, above 0, and τ of the log-odds ``a (τ - d)``.
    """

    sources: torch.Tensor

    def __init__(
        self,
        prototypes: Sequence[np.ndarray],
        scales: np.ndarray,
        thresholds: np.ndarray,
    ):
        super().__init__()
        self.prototypes = nn.ParameterList(
            [nn.Parameter(torch.from_numpy(on_map.copy())) for on_map in prototypes]
        )
        self.layers = nn.ParameterList(
            [
                nn.Parameter(torch.eye(on_map.shape[1], dtype=torch.float32))
                for on_map in prototypes
            ]
        )
        self.log_scales = nn.Parameter(torch.from_numpy(np.log(scales)))
        self.thresholds = nn.Parameter(torch.from_numpy(thresholds.copy()))
        self.register_buffer("sources", torch.full((len(scales),), -1))

    def fix_prototypes(
        self, regions: Sequence[np.ndarray], learned: Projection
    ) -> None:
        """Make the prototypes regions of training images, which are not trained.

        Parameters
        ----------
        regions : sequence of float32 ndarrays of shape (n, R, K)
            The region descriptors x of each map.
        learned : Projection
            The image and the region of each prototype; −1 for one that stays as it is.
        """
        first = 0
        for of_map, on_map in zip(regions, self.prototypes, strict=True):
            columns = slice(first, first + len(on_map))
            images, places = learned.images[columns], learned.regions[columns]
            found = np.flatnonzero(images >= 0)
            moved = of_map[images[found], places[found]]
            on_map.data[found] = torch.from_numpy(moved).to(on_map)
            on_map.requires_grad_(False)
            first += len(on_map)
        self.sources.copy_(torch.from_numpy(learned.images))

    def keep(self, numbers: np.ndarray) -> None:
        """Leave out all prototypes but those of some numbers, in ascending order."""
        first = 0
        for i, on_map in enumerate(self.prototypes):
            here = numbers[(numbers >= first) & (numbers < first + len(on_map))] - first
            first += len(on_map)
            self.prototypes[i] = nn.Parameter(on_map.data[here])
        self.log_scales = nn.Parameter(self.log_scales.data[numbers])
        self.thresholds = nn.Parameter(self.thresholds.data[numbers])
        self.sources = self.sources[numbers]

    def take_layers(self) -> list[np.ndarray]:
        """Return the matrices A, (K, K), and make them the identity.

        The prototypes become ``A u``, of unit length.
        """
        matrices = []
        with torch.no_grad():
            for on_map, layer in zip(self.prototypes, self.layers, strict=True):
                on_map.copy_(F.normalize(on_map @ layer, dim=1))
                matrices.append(layer.cpu().numpy().T.copy())
                layer.copy_(torch.eye(len(layer), dtype=layer.dtype))
        return matrices

    def arrays(self) -> list[np.ndarray]:
        """Return copies of the prototypes u of each map, (P', K)."""
        return [on_map.detach().cpu().numpy().copy() for on_map in self.prototypes]

    def gates(self) -> tuple[np.ndarray, np.ndarray]:
        """Return copies of a and τ, (P,) each."""
        scales = self.log_scales.detach().exp()
        return scales.cpu().numpy(), self.thresholds.detach().cpu().numpy().copy()

    def log_odds(self, distances: torch.Tensor) -> torch.Tensor:
        """Return ``a (τ - d)`` of squared distances d, (N, P)."""
        return self.log_scales.exp() * (self.thresholds - distances)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the log-odds that each prototype is present, (N, P).

        Parameters
        ----------
        maps : sequence of tensors
            The region descriptors (N, R, K) of each map: of unit length, or zero; and
            the numbers (N,) of the images.
        """
        *regions, numbers = maps
        each = zip(regions, self.prototypes, self.layers, strict=True)
        distances = torch.cat([_nearest(x, u, A) for x, u, A in each], dim=1)
        # An image that a prototype was taken from is no example of what it finds in
        # others: the nearest of the other images stands in its place.
        own = numbers[:, None] == self.sources
        others = torch.where(own, torch.inf, distances).amin(dim=0)
        replaced = own & others.isfinite()
        return self.log_odds(torch.where(replaced, others, distances))


def _nearest(
    regions: torch.Tensor, prototypes: torch.Tensor, layer: torch.Tensor
) -> torch.Tensor:
    """Return the squared distances (N, P') of prototypes to the nearest regions."""
    if len(prototypes) == 0:
        return regions.new_zeros(len(regions), 0)
    points = F.normalize(prototypes @ layer, dim=1)
    with torch.no_grad():
        described = F.normalize(regions @ layer, dim=2)
        nearest = (described @ points.T).argmax(dim=1)
    # The maximum has the gradient of its region alone.
    rows = torch.arange(len(regions), device=regions.device)[:, None]
    chosen = F.normalize(regions[rows, nearest] @ layer, dim=2)
    return distances_of_cosines((chosen * points).sum(dim=2))


@dataclass
class TreeObjective:
    """The negative log-likelihood of the labels.

    Parameters
    ----------
    children : int64 ndarray of shape (N, 2)
        The tree; see `skdpnet.prototypes.soft_tree`.
    node_prototypes : int64 ndarray of shape (N,)
        The number of the prototype of each node.
    leaves : float64 ndarray of shape (L, C)
        The distributions of the leaves, which `update` changes.
    smoothing : float
        As of `update_leaves`.
    """

    children: np.ndarray
    node_prototypes: np.ndarray
    leaves: np.ndarray = field(repr=False)
    smoothing: float

    @property
    def term_names(self) -> list[str]:
        """Names of the terms of the loss."""
        return ["negative_log_likelihood"]

    def paths(self, log_odds: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of the leaves, (n, L), from log-odds (n, P)."""
        of_nodes = log_odds[:, self.node_prototypes]
        _, leaves = path_log_probabilities(
            F.logsigmoid(-of_nodes), F.logsigmoid(of_nodes), self.children
        )
        return leaves.exp()

    def terms(
        self,
        module: Any,
        output: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Return the weighted loss by its name.

        Parameters
        ----------
        module : TreeModel
        output : tensor of shape (N, P)
            The log-odds of a batch.
        labels : int tensor of shape (N,)
        weights : tensor of shape (N,)
            Weights of the images.

        Returns
        -------
        dict of str to scalar tensor
        """
        leaves = torch.from_numpy(self.leaves).to(output)
        of_labels = (self.paths(output) * leaves[:, labels].T).sum(dim=1)
        tiny = torch.finfo(of_labels.dtype).tiny
        loss = -(weights * of_labels.clamp_min(tiny).log()).mean()
        return {"negative_log_likelihood": loss}

    def update(
        self,
        module: Any,
        output: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor,
        n_updates: int = 5,
    ) -> None:
        """Update the leaves by the outputs on all images, as of `terms`."""
        with torch.no_grad():
            paths = self.paths(output.double()).cpu().numpy()
        self.leaves = update_leaves(
            paths,
            labels.cpu().numpy(),
            weights.cpu().numpy(),
            self.leaves,
            self.smoothing,
            n_updates,
        )
