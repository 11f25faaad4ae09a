"""The module that learns prototypes: unit vectors, and their nearest regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from skdpnet.parts.maxima import part_maxima
from skdpnet.prototypes.similarity import distances_of_cosines
from skdpnet.utils.batching import slices_within

__all__ = ["PrototypeModel", "nearest_of"]

# Bytes of the cosines that are in memory at once.
_PIECE_BYTES = 64 * 2**20


class PrototypeModel(nn.Module):
    """Prototypes of unit length on the regions of feature maps.

    Parameters
    ----------
    prototypes : sequence of float32 ndarrays of shape (P', L)
        The initial prototypes of each map.
    layers : sequence of float32 ndarrays of shape (L, K), default=None
        The initial add-on layer of each map. None: there is none, and L is K.
    """

    def __init__(
        self,
        prototypes: Sequence[np.ndarray],
        layers: Sequence[np.ndarray] | None = None,
    ):
        super().__init__()
        self.prototypes = _parameters(prototypes)
        self.layers = None if layers is None else _parameters(layers)

    def unit_prototypes(self) -> list[torch.Tensor]:
        """Return the prototypes of each map with unit rows, (P', L)."""
        return [F.normalize(on_map, dim=1) for on_map in self.prototypes]

    def arrays(self) -> list[np.ndarray]:
        """Return copies of the unit prototypes of each map, (P', L)."""
        with torch.no_grad():
            return [p.cpu().numpy().copy() for p in self.unit_prototypes()]

    def layer_arrays(self) -> list[np.ndarray] | None:
        """Return copies of the add-on layer of each map, (L, K)."""
        if self.layers is None:
            return None
        return [layer.detach().cpu().numpy().copy() for layer in self.layers]

    def regions(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the regions behind the add-on layer, of unit length, (N, R, L)."""
        if self.layers is None:
            return list(maps)
        each = zip(maps, self.layers, strict=True)
        return [F.normalize(of_map @ layer.T, dim=2) for of_map, layer in each]

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the squared distances to the nearest regions, (N, P).

        Parameters
        ----------
        maps : sequence of tensors of shape (N, R, K)
            The region descriptors of each map: of unit length, or zero.
        """
        return nearest_of(self.regions(maps), self.unit_prototypes())


def nearest_of(
    regions: Sequence[torch.Tensor], prototypes: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return the squared distances of prototypes to the nearest regions, (N, P).

    Parameters
    ----------
    regions : sequence of tensors of shape (N, R, L)
        Of unit length, or zero.
    prototypes : sequence of tensors of shape (P', L)
        Of unit length.
    """
    each = zip(regions, prototypes, strict=True)
    cosines = [_largest_cosines(of_map, on_map) for of_map, on_map in each]
    return distances_of_cosines(torch.cat(cosines, dim=1))


def _parameters(arrays: Sequence[np.ndarray]) -> nn.ParameterList:
    return nn.ParameterList(
        [nn.Parameter(torch.from_numpy(array.copy())) for array in arrays]
    )


def _largest_cosines(regions: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return the largest cosines of points with the regions of images, (N, P)."""
    if not regions.requires_grad:
        return part_maxima(regions, points, beta=None)[0]
    # The gradient needs the nearest regions alone: not the cosines of all others.
    n_images, n_regions, _ = regions.shape
    rows = torch.arange(n_images, device=regions.device)[:, None]
    with torch.no_grad():
        size = 4 * n_regions * max(1, len(points))
        nearest = torch.cat(
            [
                (regions[images] @ points.T).argmax(dim=1)
                for images in slices_within(n_images, size, _PIECE_BYTES)
            ]
        )
    return (regions[rows, nearest] * points).sum(dim=2)
