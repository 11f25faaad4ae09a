"""The part model: parts U, their responses and maxima, and the linear classifier V."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skdpnet.parts.dpnet.context import CONTEXT_SCALE
from skdpnet.parts.dpnet.dropout import SeededDropout
from skdpnet.parts.maxima import part_maxima

__all__ = ["MapParts", "PartModel", "PartOutput"]


class PartOutput(NamedTuple):
    """The output of a forward pass.

    The logits (N, C), the assignment penalty, and what V is fitted on: the descriptors
    (N, P) of the learned parts before dropout and, with context, a X (N, K) beside it.
    """

    logits: torch.Tensor
    assignment: torch.Tensor
    descriptor: torch.Tensor


class MapParts(nn.Module):
    """The parts on one feature map.

    Parameters
    ----------
    parts : tensor of shape (P, K)
        Initial parts U. They are normalised when they are used.

    Attributes
    ----------
    parts : Parameter of shape (P, K)
    """

    def __init__(self, parts: torch.Tensor):
        super().__init__()
        self.parts = nn.Parameter(parts.clone())

    def unit_parts(self) -> torch.Tensor:
        """Return the parts with unit rows, (P, K)."""
        return F.normalize(self.parts, dim=1)


class PartModel(nn.Module):
    """Parts on the regions of feature maps, and a linear classifier on their maxima.

    Parameters
    ----------
    map_parts : sequence of MapParts
        The parts of each feature map, P in all.
    n_classes : int
    beta : float or None
        β of the soft maximum over the regions; None: the hard maximum.
    dropout : float in [0, 1)
        Share of the descriptor's numbers that are set to 0 in each training step.
    has_context : bool, default=False
        Whether the parts of the last map are those of the context, one for each class.
        They are not learned, but set together with V; see `skdpnet.parts.dpnet.context`
        for them, X, W and a.

    Attributes
    ----------
    map_parts : ModuleList of MapParts
    dropout : SeededDropout
        The dropout of the descriptor.
    classifier : torch.nn.Linear
        The linear classifier on the descriptor, with weights V. It has no gradients:
        V is fitted, not trained.
    shift, scale : buffers of shape (P,)
        The descriptor is ``(b - shift) * scale``; see `set_standardisation`.
    assignment_temperature : float or None
        Temperature of the assignment penalty. None: `forward` does not compute it.
    learning_dtype : torch.dtype or None
        The dtype of the factors of matrix products in `forward` in training mode; see
        `part_maxima`.
    """

    shift: torch.Tensor
    scale: torch.Tensor
    has_context: bool = False
    assignment_temperature: float | None = None
    learning_dtype: torch.dtype | None = None

    def __init__(
        self,
        map_parts: Sequence[MapParts],
        n_classes: int,
        beta: float | None,
        dropout: float,
        has_context: bool = False,
    ):
        super().__init__()
        self.beta = beta
        self.has_context = has_context
        self.map_parts = nn.ModuleList(map_parts)
        n_parts = sum(len(on_map.parts) for on_map in map_parts)
        self.dropout = SeededDropout(dropout)
        # torch would draw the first weights from its global generator.
        self.classifier = nn.utils.skip_init(
            nn.Linear, n_parts, n_classes, dtype=torch.float32
        )
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        self.classifier.requires_grad_(False)
        self.register_buffer("shift", torch.zeros(n_parts, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(n_parts, dtype=torch.float32))
        if has_context:
            self.map_parts[-1].requires_grad_(False)
            self.scale[-n_classes:] = CONTEXT_SCALE

    @classmethod
    def from_arrays(
        cls,
        parts: Sequence[np.ndarray],
        n_classes: int,
        beta: float | None,
        dropout: float,
        has_context: bool = False,
    ) -> PartModel:
        """Make a model from the parts (P', K) of each map."""
        map_parts = [MapParts(torch.from_numpy(array)) for array in parts]
        return cls(map_parts, n_classes, beta, dropout, has_context)

    def unit_parts(self) -> list[torch.Tensor]:
        """Return the learned parts of each map with unit rows, (P', K)."""
        return [on_map.unit_parts() for on_map in self.learned_maps()]

    def responses(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the responses of the parts of each map, (N, R, P').

        Parameters
        ----------
        maps : sequence of tensors of shape (N, R, K)
            The region descriptors of each map.
        """
        each = zip(self.each_map(), maps, strict=True)
        return [regions @ on_map.unit_parts().T for on_map, regions in each]

    def maxima(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the maxima b of the responses over the regions, (N, P)."""
        each = zip(self.each_map(), maps, strict=True)
        return torch.cat(
            [
                part_maxima(regions, on_map.unit_parts(), beta=self.beta)[0]
                for on_map, regions in each
            ],
            dim=1,
        )

    def descriptor(self, maxima: torch.Tensor) -> torch.Tensor:
        """Return the descriptors (N, P), which are the standardised maxima."""
        return (maxima - self.shift) * self.scale

    def forward(self, maps: Sequence[torch.Tensor]) -> PartOutput:
        """Return the logits of a batch and the assignment penalty.

        The penalty is a mean over the regions of all maps.

        Parameters
        ----------
        maps : sequence of tensors of shape (N, R, K)
            The region descriptors of each map.
        """
        learned = self.learned_maps()
        n_regions = [regions.shape[1] for regions in maps[: len(learned)]]
        dtype = self.learning_dtype if self.training else None
        maxima, assignment = [], maps[0].new_zeros(())
        for on_map, regions, n in zip(learned, maps, n_regions, strict=False):
            map_maxima, penalty = part_maxima(
                regions,
                on_map.unit_parts(),
                beta=self.beta,
                temperature=self.assignment_temperature,
                dtype=dtype,
            )
            maxima.append(map_maxima)
            assignment = assignment + penalty * (n / sum(n_regions))
        n_learned = self.n_learned
        centred = torch.cat(maxima, dim=1) - self.shift[:n_learned]
        descriptor = centred * self.scale[:n_learned]
        weight, bias = self.classifier.weight, self.classifier.bias
        logits = F.linear(self.dropout(descriptor), weight[:, :n_learned], bias)
        if self.has_context:
            whole = self.context_columns(maps[-1])
            logits = logits + whole @ self.each_map()[-1].parts.T
            descriptor = torch.cat([descriptor, whole], dim=1)
        return PartOutput(logits, assignment, descriptor)

    def context_columns(self, whole: torch.Tensor) -> torch.Tensor:
        """Return a X, (N, K), from the last map's regions (N, 1, K)."""
        return whole[:, 0] * self.scale[-1]

    def each_map(self) -> list[MapParts]:
        """Return `map_parts` as a list of its type."""
        return [cast(MapParts, on_map) for on_map in self.map_parts]

    def learned_maps(self) -> list[MapParts]:
        """Return the parts of each map, without those of the context."""
        return self.each_map()[: len(self.map_parts) - self.has_context]

    @property
    def n_learned(self) -> int:
        """Number P of parts without those of the context."""
        return sum(len(on_map.parts) for on_map in self.learned_maps())

    def get_classifier(self) -> tuple[np.ndarray, np.ndarray]:
        """Return copies of the weights and of the intercepts, (C,).

        The weights are V, (C, P); with context, W, (C, K), beside it.
        """
        weight, bias = self.classifier.weight, self.classifier.bias
        if self.has_context:
            V, W = weight[:, : self.n_learned], self.each_map()[-1].parts
            weight = torch.hstack([V, W])
        return weight.cpu().numpy().copy(), bias.cpu().numpy().copy()

    @torch.no_grad()
    def set_classifier(self, coef: np.ndarray, intercept: np.ndarray) -> None:
        """Set the weights and the intercepts, as `get_classifier` returns them."""
        weight = torch.from_numpy(coef)
        if self.has_context:
            weight, context = weight.tensor_split([self.n_learned], dim=1)
            # The lengths are kept as weights; only the directions of these parts count.
            self.each_map()[-1].parts.copy_(context)
            weight = torch.hstack([weight, context.norm(dim=1).diag()])
        self.classifier.weight.copy_(weight)
        self.classifier.bias.copy_(torch.from_numpy(intercept))

    @torch.no_grad()
    def set_standardisation(self, shift: torch.Tensor, scale: torch.Tensor) -> None:
        """Set the descriptor's shift and scale, without a change of the logits.

        Those of the context stay as they are.

        Parameters
        ----------
        shift, scale : tensors of shape (P,)
            See `skdpnet.parts.standardisation`. The weights of a part of scale 0 become
            0.
        """
        n = self.n_learned
        weight, bias = self.classifier.weight[:, :n], self.classifier.bias
        per_response = weight * self.scale[:n]
        # The constant that a new shift adds to the logits moves into the bias.
        bias.add_(per_response @ (shift - self.shift[:n]))
        weight.copy_(torch.where(scale > 0, per_response / scale.clamp(min=1e-30), 0))
        self.shift[:n] = shift
        self.scale[:n] = scale
