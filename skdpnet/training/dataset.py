"""Batches of whitened maps, cut where they are learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from skdpnet.regions.whitening import WhitenedMaps

__all__ = ["MapDataset"]

# Maps that take more of a GPU's free memory stay in the processor's.
_GPU_SHARE = 0.5


class MapDataset(Dataset):
    """Whitened maps with labels and weights, handed out a batch at a time.

    Parameters
    ----------
    maps : sequence of WhitenedMaps of n images
        One for each feature map.
    labels : int ndarray of shape (n,)
    weights : float ndarray of shape (n,)

    Attributes
    ----------
    maps : sequence of WhitenedMaps, or of their fields as tensors
        These where `settle` moved them.
    """

    def __init__(
        self, maps: Sequence[WhitenedMaps], labels: np.ndarray, weights: np.ndarray
    ):
        self.maps: Sequence[Sequence] = maps
        self.labels = labels.astype(np.int64)
        self.weights = weights.astype(np.float32)

    def settle(self, device: torch.device) -> MapDataset:
        """Move the maps to a GPU that has room, once, rather than a batch each step.

        Parameters
        ----------
        device : torch.device

        Returns
        -------
        self
        """
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if sum(array.nbytes for one in self.maps for array in one) < (
                _GPU_SHARE * free
            ):
                self._move(device)
        return self

    def _move(self, device: torch.device) -> None:
        self.maps = [[torch.from_numpy(a).to(device) for a in one] for one in self.maps]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]):
        # torch asks for a whole batch here: one gather an array, no Python an item.
        cells = self.maps[0][0]
        moved = isinstance(cells, torch.Tensor)
        rows = torch.tensor(indices, device=cells.device) if moved else indices

        def gather(array) -> torch.Tensor:
            return torch.as_tensor(array[rows])

        inputs = {"maps": [[gather(array) for array in one] for one in self.maps]}
        labels, weights = self.labels[indices], self.weights[indices]
        return inputs, (torch.from_numpy(labels), torch.from_numpy(weights))
