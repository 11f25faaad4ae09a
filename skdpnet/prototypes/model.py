"""The module that learns prototypes: unit vectors, and their nearest regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skdpnet.parts.maxima import part_maxima
from skdpnet.prototypes.similarity import distances_of_cosines

__all__ = ["PrototypeModel"]


class PrototypeModel(nn.Module):
    """Prototypes of unit length on the regions of feature maps.

    Parameters
    ----------
    prototypes : sequence of float32 ndarrays of shape (P', K)
        The initial prototypes of each map.
    """

    def __init__(self, prototypes: Sequence[np.ndarray]):
        super().__init__()
        self.prototypes = nn.ParameterList(
            [nn.Parameter(torch.from_numpy(on_map.copy())) for on_map in prototypes]
        )

    def unit_prototypes(self) -> list[torch.Tensor]:
        """Return the prototypes of each map with unit rows, (P', K)."""
        return [F.normalize(on_map, dim=1) for on_map in self.prototypes]

    def arrays(self) -> list[np.ndarray]:
        """Return copies of the unit prototypes of each map, (P', K)."""
        with torch.no_grad():
            return [p.cpu().numpy().copy() for p in self.unit_prototypes()]

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the squared distances to the nearest regions, (N, P).

        Parameters
        ----------
        maps : sequence of tensors of shape (N, R, K)
            The region descriptors of each map: of unit length, or zero.
        """
        each = zip(maps, self.unit_prototypes(), strict=True)
        cosines = [part_maxima(x, p, beta=None)[0] for x, p in each]
        return distances_of_cosines(torch.cat(cosines, dim=1))
