"""One whitened feature map of some images, with the regions on it."""

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
    """One feature map of some images, whitened, with the regions on it."""

    whitening: Whitening
    grid: RegionGrid
    whitened: WhitenedMaps

    def responses(self, parts: np.ndarray) -> torch.Tensor:
        """Cosines (n, R, P) of the regions with parts, which have unit rows."""
        cells, lengths, norms, offset = self._tensors(slice(None))
        detectors = torch.from_numpy(parts)
        return part_responses(cells, lengths, norms, offset, detectors, self.grid)

    def maxima(self, parts: np.ndarray) -> np.ndarray:
        """Maxima of the responses over the regions, (n, P)."""
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
        """Form the unit (or zero) descriptors of some images' regions, (n, R, K).

        Where they are large they are in a file in the folder; see `allocate`.
        """
        some = WhitenedMaps(*(array[chosen] for array in self.whitened))
        n, _, depth = some.cells.shape
        out = allocate((n, self.grid.n_regions, depth), np.float32, folder)
        # Cosines with the axes are the coordinates.
        axes = np.eye(depth, dtype=np.float32)
        for images in slices_within(n, 4 * self.grid.n_regions * depth, PIECE_BYTES):
            few = WhitenedMaps(*(array[images] for array in some))
            out[images] = (
                WhitenedFeatureMap(self.whitening, self.grid, few)
                .responses(axes)
                .numpy()
            )
        return out

    def _tensors(
        self, images: slice
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cells, lengths and norms of some images, and the offset."""
        cells, lengths, norms = (
            torch.from_numpy(np.asarray(array[images])) for array in self.whitened
        )
        return cells, lengths, norms, torch.from_numpy(self.whitening.offset)
