"""A whitened feature map of some images, and the responses of parts on it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch

from skdpnet.parts.maxima import part_maxima
from skdpnet.parts.responses import part_responses
from skdpnet.parts.soft_assign.sinkhorn import PIECE_BYTES
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import WhitenedMaps, Whitening
from skdpnet.storage.large_arrays import allocate
from skdpnet.utils.batching import slices_within

__all__ = ["WhitenedFeatureMap"]


@dataclass(frozen=True)
class WhitenedFeatureMap:
    """A feature map of n images, whitened, with the layout of its regions."""

    whitening: Whitening
    grid: RegionGrid
    whitened: WhitenedMaps

    def responses(self, parts: np.ndarray) -> torch.Tensor:
        """Return the cosines (n, R, P) of all regions with parts of unit length."""
        cells, lengths, norms, offset = self._tensors(slice(None))
        detectors = torch.from_numpy(parts)
        return part_responses(cells, lengths, norms, offset, detectors, self.grid)

    def maxima(self, parts: np.ndarray) -> np.ndarray:
        """Return the maxima (n, P) of the responses over the regions."""
        n_images, detectors = len(self.whitened.cells), torch.from_numpy(parts)
        out = np.empty((n_images, len(parts)), np.float32)
        for images in slices_within(
            n_images, 4 * self.whitened.cells[0].size, PIECE_BYTES
        ):
            maxima, _ = part_maxima(
                *self._tensors(images), detectors, self.grid, beta=None
            )
            out[images] = maxima.numpy()
        return out

    def regions(
        self, chosen: np.ndarray, folder: str | os.PathLike | None
    ) -> np.ndarray:
        """Return the region descriptors (n', R, K) of the chosen images.

        They are of length 1, or 0. A large array is in a file in the folder; see
        `skdpnet.storage.large_arrays.allocate`.
        """
        selected = WhitenedMaps(*(array[chosen] for array in self.whitened))
        n, _, depth = selected.cells.shape
        out = allocate((n, self.grid.n_regions, depth), np.float32, folder)
        # The coordinates of a unit vector are its cosines with the axes.
        axes = np.eye(depth, dtype=np.float32)
        for images in slices_within(n, 4 * self.grid.n_regions * depth, PIECE_BYTES):
            piece = WhitenedMaps(*(array[images] for array in selected))
            feature_map = WhitenedFeatureMap(self.whitening, self.grid, piece)
            out[images] = feature_map.responses(axes).numpy()
        return out

    def _tensors(
        self, images: slice
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return cells, lengths and norms of some images, and the offset."""
        cells, lengths, norms = (
            torch.from_numpy(np.asarray(array[images])) for array in self.whitened
        )
        return cells, lengths, norms, torch.from_numpy(self.whitening.offset)
