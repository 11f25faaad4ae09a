"""Memory for what is worked out piece by piece."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

__all__ = ["Scratch"]


class Scratch:
    """Memory that the pieces of one pass use one after the other.

    A piece of a few MiB that is freed often goes back to the system, and comes again
    page by page: that takes longer than most operations on it.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._held: dict[str, torch.Tensor] = {}

    def __call__(
        self, name: str, shape: Sequence[int], dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the memory of this name, with whatever numbers are in it.

        Parameters
        ----------
        name : str
            What had it before under this name is overwritten.
        shape : sequence of int
        dtype : torch.dtype

        Returns
        -------
        contiguous tensor
        """
        n = math.prod(shape)
        held = self._held.get(name)
        if held is None or held.dtype != dtype or len(held) < n:
            held = torch.empty(n, dtype=dtype, device=self._device)
            self._held[name] = held
        return held[:n].view(*shape)
