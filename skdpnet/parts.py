"""The part model: parts U, their responses and maxima, and the linear classifier V."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skdpnet.regions import RegionGrid

__all__ = ["MapParts", "PartModel", "PartOutput", "part_responses", "soft_maximum"]


def part_responses(
    cells: torch.Tensor,
    lengths: torch.Tensor,
    norms: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
) -> torch.Tensor:
    """Cosine of every region's whitened descriptor with every part, S = U Xᵀ.

    The projection on the parts comes before the pooling, ``(W(F T Uᵀ) - ‖W F‖ (mean
    T) Uᵀ) / norm``, so the regions' descriptors are never formed. A region of norm
    zero responds with 0.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K)
    lengths, norms : tensor of shape (N, R)
        See `WhitenedMaps`.
    offset : tensor of shape (K,)
        The whitened mean.
    parts : tensor of shape (P, K)
        Unit rows.
    grid : RegionGrid

    Returns
    -------
    tensor of shape (N, R, P), within [-1, 1] up to rounding
    """
    pooled = torch.cat(list(grid.pool(cells @ parts.T)), dim=1)
    # Compared with what it is the rest of: a difference below rounding is zero.
    floor = torch.finfo(norms.dtype).eps * (lengths * offset.norm()).clamp(min=1e-12)
    inverse = torch.where(norms > floor, 1 / norms.clamp(min=1e-30), 0)
    return (pooled - lengths[..., None] * (parts @ offset)) * inverse[..., None]


def soft_maximum(responses: torch.Tensor, beta: float | None) -> torch.Tensor:
    """Maximum over the regions, hard or soft.

    ``b_p = (1/β) log (1/R) Σ_r exp(β S_pr)``: between the mean (β → 0) and the
    maximum (β → ∞), and like both it stays within the range of the responses.

    Parameters
    ----------
    responses : tensor of shape (N, R, P)
    beta : float > 0 or None
        None: the hard maximum.

    Returns
    -------
    tensor of shape (N, P)
    """
    if beta is None:
        return responses.amax(dim=1)
    summed = torch.logsumexp(beta * responses, dim=1)
    return (summed - math.log(responses.shape[1])) / beta


class PartOutput(NamedTuple):
    """What one pass gives: logits (N, C) and, of each map, responses (N, R, P)."""

    logits: torch.Tensor
    responses: list[torch.Tensor]


class MapParts(nn.Module):
    """The parts that live on one feature map.

    Parameters
    ----------
    parts : tensor of shape (P, K)
        Initial parts U; normalised wherever they are used.
    grid : RegionGrid
    offset : tensor of shape (K,)
        The whitened mean of the region descriptors.

    Attributes
    ----------
    parts : Parameter of shape (P, K)
    """

    offset: torch.Tensor

    def __init__(self, parts: torch.Tensor, grid: RegionGrid, offset: torch.Tensor):
        super().__init__()
        self.grid = grid
        self.parts = nn.Parameter(parts.clone())
        self.register_buffer("offset", offset.clone())

    def unit_parts(self) -> torch.Tensor:
        """Parts with unit rows, (P, K)."""
        return F.normalize(self.parts, dim=1)

    def forward(
        self, cells: torch.Tensor, lengths: torch.Tensor, norms: torch.Tensor
    ) -> torch.Tensor:
        """Part responses S of shape (N, R, P); see `part_responses`."""
        return part_responses(
            cells, lengths, norms, self.offset, self.unit_parts(), self.grid
        )


class PartModel(nn.Module):
    """Parts on the regions of feature maps, and a linear classifier on their maxima.

    Parameters
    ----------
    maps : sequence of MapParts
        P parts in all.
    n_classes : int
    beta : float or None
        Sharpness of the soft maximum; None: the hard maximum.
    dropout : float in [0, 1)
        Share of the parts that the classifier does without in each training step.

    Attributes
    ----------
    maps : ModuleList of MapParts
    classifier : torch.nn.Linear
        V and bias, on the descriptor.
    shift, scale : buffers of shape (P,)
        The descriptor is ``(b - shift) * scale``; see `standardise`.
    """

    shift: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self,
        maps: Sequence[MapParts],
        n_classes: int,
        beta: float | None,
        dropout: float,
    ):
        super().__init__()
        self.beta = beta
        self.maps = nn.ModuleList(maps)
        n_parts = sum(len(own.parts) for own in maps)
        self.dropout = nn.Dropout(dropout)
        # Its usual first weights would be drawn from torch's global generator.
        self.classifier = nn.utils.skip_init(nn.Linear, n_parts, n_classes)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        self.register_buffer("shift", torch.zeros(n_parts))
        self.register_buffer("scale", torch.ones(n_parts))

    @classmethod
    def from_arrays(
        cls,
        parts: Sequence[np.ndarray],
        offsets: Sequence[np.ndarray],
        grids: Sequence[RegionGrid],
        n_classes: int,
        beta: float | None,
        dropout: float,
    ) -> PartModel:
        """Make a model of each map's parts (P', K), offset (K,) and grid."""
        maps = [
            MapParts(torch.from_numpy(own), grid, torch.from_numpy(offset))
            for own, offset, grid in zip(parts, offsets, grids, strict=True)
        ]
        return cls(maps, n_classes, beta, dropout)

    def unit_parts(self) -> list[torch.Tensor]:
        """Parts of each map with unit rows, (P, K)."""
        return [own.unit_parts() for own in self._map_parts()]

    def responses(self, maps: Sequence[Sequence[torch.Tensor]]) -> list[torch.Tensor]:
        """Responses of each map's parts, (N, R, P), to the fields of `WhitenedMaps`."""
        return [own(*one) for own, one in zip(self._map_parts(), maps, strict=True)]

    def _map_parts(self) -> list[MapParts]:
        return [cast(MapParts, own) for own in self.maps]

    def maxima(self, responses: Sequence[torch.Tensor]) -> torch.Tensor:
        """Soft maxima b of the responses over the regions, (N, P)."""
        return torch.cat([soft_maximum(own, self.beta) for own in responses], dim=1)

    def descriptor(self, responses: Sequence[torch.Tensor]) -> torch.Tensor:
        """Part-activation descriptor (N, P): standardised maxima."""
        return (self.maxima(responses) - self.shift) * self.scale

    def forward(self, maps: Sequence[Sequence[torch.Tensor]]) -> PartOutput:
        """Return the logits and the responses of a batch.

        Parameters
        ----------
        maps : the fields of a `WhitenedMaps` for each map
        """
        responses = self.responses(maps)
        descriptor = self.dropout(self.descriptor(responses))
        return PartOutput(self.classifier(descriptor), responses)

    @torch.no_grad()
    def standardise(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Make the descriptor standardised where b has this mean and deviation.

        Each number gets mean 0 and variance 1/P, so a descriptor's length is about 1
        whatever the number of parts, and a linear classifier's regularisation keeps
        its meaning. The classifier is changed with it: the logits stay as they were.

        Parameters
        ----------
        mean, std : tensor of shape (P,)
            A part whose response never varies (std 0) is switched off.
        """
        varies = std > 1e-6
        scale = torch.where(varies, 1 / std.clamp(min=1e-6), 0) / math.sqrt(len(mean))
        weight, bias = self.classifier.weight, self.classifier.bias
        per_response = weight * self.scale
        # A constant part's share of the logit moves into the bias.
        bias.add_(per_response @ (mean - self.shift))
        weight.copy_(torch.where(varies, per_response / scale.clamp(min=1e-30), 0))
        self.shift.copy_(mean)
        self.scale.copy_(scale)
