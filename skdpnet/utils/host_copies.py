"""Copies between the CPU and a GPU, which do not keep the GPU waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

__all__ = ["HostCopies", "as_tensor", "copy_to_host", "device_of"]


class HostCopies(NamedTuple):
    """Copies of tensors on the CPU that a GPU may still be writing.

    Attributes
    ----------
    tensors : list of tensors
        On the CPU; valid once the event `arrived` has happened.
    arrived : torch.cuda.Event or None
        None if they are valid already.
    """

    tensors: list[torch.Tensor]
    arrived: torch.cuda.Event | None

    def wait(self) -> list[torch.Tensor]:
        """Wait until they are valid, and return them."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.tensors


def copy_to_host(tensors: Sequence[torch.Tensor]) -> HostCopies:
    """Begin to copy tensors to the CPU; a GPU continues after the call has returned.

    Parameters
    ----------
    tensors : sequence of tensors on one device

    Returns
    -------
    HostCopies
        The tensors themselves where they are on the CPU already.
    """
    device = tensors[0].device
    if device.type != "cuda":
        return HostCopies([tensor.cpu() for tensor in tensors], None)
    copies = []
    for tensor in tensors:
        pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        copies.append(pinned.copy_(tensor, non_blocking=True))
    arrived = torch.cuda.Event()
    arrived.record(torch.cuda.current_stream(device))
    return HostCopies(copies, arrived)


def as_tensor(array: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return an array, or a tensor, on a device.

    Parameters
    ----------
    array : ndarray or tensor
        Read-only arrays and those with negative strides are copied.
    device : torch.device

    Returns
    -------
    tensor
        It shares the memory of `array` if that is on the device already.
    """
    if isinstance(array, torch.Tensor):
        return array.to(device)
    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def device_of(array: np.ndarray | torch.Tensor) -> torch.device:
    """Return the device that holds an array or a tensor."""
    return array.device if isinstance(array, torch.Tensor) else torch.device("cpu")
