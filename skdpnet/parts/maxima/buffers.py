"""Buffers that the pieces of a computation reuse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

__all__ = ["Buffers"]


class Buffers:
    """Named buffers that the pieces of a computation reuse one after the other.

    They save page faults: memory of a few MiB that is freed often goes back to the
    operating system, and allocating it again takes longer than most operations on it.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._buffers: dict[str, torch.Tensor] = {}

    def __call__(
        self, name: str, shape: Sequence[int], dtype: torch.dtype
    ) -> torch.Tensor:
        """Return the buffer of this name; its contents are undefined.

        Parameters
        ----------
        name : str
            A tensor that was returned under the same name before is overwritten.
        shape : sequence of int
        dtype : torch.dtype

        Returns
        -------
        contiguous tensor
        """
        n = math.prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.dtype != dtype or len(buffer) < n:
            buffer = torch.empty(n, dtype=dtype, device=self._device)
            self._buffers[name] = buffer
        return buffer[:n].view(*shape)
