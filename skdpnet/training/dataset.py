"""The data set that parts are learned on: region descriptors, labels and weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from skdpnet.utils.host_copies import as_tensor

__all__ = ["MapDataset"]

# Maps that would take more than this share of a GPU's free memory stay on the CPU.
_GPU_SHARE = 0.5


class MapDataset(Dataset):
    """Region descriptors, labels and weights of n images, read in batches.

    Parameters
    ----------
    maps : sequence of float32 ndarrays of shape (n, R, K)
        The region descriptors of each feature map.
    labels : int ndarray of shape (n,) or (n, C), or float ndarray of shape (n, T)
    weights : float ndarray of shape (n,)

    Attributes
    ----------
    maps : sequence of ndarrays, or of tensors
        Tensors if `move_to_gpu` moved them.
    """

    def __init__(
        self, maps: Sequence[np.ndarray], labels: np.ndarray, weights: np.ndarray
    ):
        self.maps: Sequence[np.ndarray | torch.Tensor] = maps
        is_float = labels.dtype.kind == "f"
        self.labels = labels.astype(np.float32 if is_float else np.int64)
        self.weights = weights.astype(np.float32)

    def move_to_gpu(self, device: torch.device) -> MapDataset:
        """Move the maps to a GPU if its memory is large enough for them.

        Otherwise each batch is copied to it in each step.

        Parameters
        ----------
        device : torch.device
            Where training takes place. Nothing is moved unless it is a GPU of CUDA.

        Returns
        -------
        self
        """
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            needed = sum(regions.nbytes for regions in self.maps)
            if needed < _GPU_SHARE * free:
                self._move_maps(device)
        return self

    def _move_maps(self, device: torch.device) -> None:
        self.maps = [as_tensor(regions, device) for regions in self.maps]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int):
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]):
        # torch's loaders call this with a batch's indices. Indexing each array once
        # avoids a loop over the images in Python.
        first = self.maps[0]
        is_tensor = isinstance(first, torch.Tensor)
        rows = torch.tensor(indices, device=first.device) if is_tensor else indices
        maps = [torch.as_tensor(regions[rows]) for regions in self.maps]
        labels, weights = self.labels[indices], self.weights[indices]
        targets = torch.from_numpy(labels), torch.from_numpy(weights)
        return {"maps": maps}, targets
