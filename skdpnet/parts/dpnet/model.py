"""The part model: parts U, their responses and maxima, and the linear classifier V."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skdpnet.parts.maxima import part_maxima
from skdpnet.parts.responses import part_responses
from skdpnet.regions import RegionGrid

__all__ = ["MapParts", "PartModel", "PartOutput"]


class PartOutput(NamedTuple):
    """What one pass gives: logits (N, C) and the assignment penalty, a scalar."""

    logits: torch.Tensor
    unclaimed: torch.Tensor


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

    def responses(
        self, cells: torch.Tensor, lengths: torch.Tensor, norms: torch.Tensor
    ) -> torch.Tensor:
        """Part responses S of shape (N, R, P); see `part_responses`."""
        return part_responses(
            cells, lengths, norms, self.offset, self.unit_parts(), self.grid
        )

    def maxima(
        self,
        cells: torch.Tensor,
        lengths: torch.Tensor,
        norms: torch.Tensor,
        *,
        beta: float | None,
        temperature: float | None = None,
        dtype: torch.dtype | None = None,
        kernels: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Maxima (N, P) of the responses, and their assignment; see `part_maxima`."""
        return part_maxima(
            cells,
            lengths,
            norms,
            self.offset,
            self.unit_parts(),
            self.grid,
            beta=beta,
            temperature=temperature,
            dtype=dtype,
            kernels=kernels,
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
    assignment_temperature : float or None
        Of the assignment penalty, a mean over the regions of all maps; None: `forward`
        does not work it out.
    learning_dtype : torch.dtype or None
        Of the factors of the products in `forward`, in training mode alone.
    kernels : bool
        Whether kernels may work out the maxima; both as `part_maxima` has them.
    """

    shift: torch.Tensor
    scale: torch.Tensor
    assignment_temperature: float | None = None
    learning_dtype: torch.dtype | None = None
    kernels: bool = False

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
        return [
            own.responses(*one)
            for own, one in zip(self._map_parts(), maps, strict=True)
        ]

    def maxima(self, maps: Sequence[Sequence[torch.Tensor]]) -> torch.Tensor:
        """Soft maxima b of the responses over the regions, (N, P)."""
        each = zip(self._map_parts(), maps, strict=True)
        return torch.cat(
            [own.maxima(*one, beta=self.beta)[0] for own, one in each], dim=1
        )

    def descriptor(self, maxima: torch.Tensor) -> torch.Tensor:
        """Part-activation descriptor (N, P): standardised maxima."""
        return (maxima - self.shift) * self.scale

    def forward(self, maps: Sequence[Sequence[torch.Tensor]]) -> PartOutput:
        """Return the logits of a batch, and how unclearly parts claim its regions.

        Parameters
        ----------
        maps : the fields of a `WhitenedMaps` for each map
        """
        n_regions = [own.grid.n_regions for own in self._map_parts()]
        dtype = self.learning_dtype if self.training else None
        maxima, unclaimed = [], maps[0][0].new_zeros(())
        for own, one, n in zip(self._map_parts(), maps, n_regions, strict=True):
            found, penalty = own.maxima(
                *one,
                beta=self.beta,
                temperature=self.assignment_temperature,
                dtype=dtype,
                kernels=self.kernels,
            )
            maxima.append(found)
            unclaimed = unclaimed + penalty * (n / sum(n_regions))
        descriptor = self.dropout(self.descriptor(torch.cat(maxima, dim=1)))
        return PartOutput(self.classifier(descriptor), unclaimed)

    def _map_parts(self) -> list[MapParts]:
        return [cast(MapParts, own) for own in self.maps]

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
