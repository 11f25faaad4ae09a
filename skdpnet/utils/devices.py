"""The device that computes, the precision of its arithmetic, and forks of the process.

torch's threads do not exist in a forked process, which would wait for them for ever as
soon as it computes with several. So a forked process has one, which is also what a pool
of processes needs. `torch.set_num_threads` gives it more, if its parent had computed
with one.
"""

from __future__ import annotations

import copy
import os
from typing import Any

import torch

__all__ = ["extraction_dtype", "learning_dtype", "on_cpu", "resolve_device"]

# What torch raises of names that it does not know, and of devices that are missing.
_NO_DEVICE = (RuntimeError, AssertionError, TypeError, ImportError)


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device with a name.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"``, which means a GPU if there is one and the CPU otherwise, or any of
        torch's devices.

    Returns
    -------
    torch.device
        The current GPU of CUDA has its number, even where `device` is ``"cuda"``, so
        that networks on different GPUs are never confused.

    Raises
    ------
    ValueError
        If torch does not know the name, or if this computer lacks the device.
    """
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except _NO_DEVICE as error:
        if isinstance(error, NotImplementedError):
            # torch then lists all of its backends.
            reason = "this build of torch does not compute there"
        else:
            reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"device={device!r} cannot be used here: {reason}. "
            'device="auto" takes a GPU where there is one and the CPU otherwise.'
        ) from error
    if resolved.type == "meta":
        raise ValueError(
            f"device={device!r} cannot be used: its tensors have no values."
        )
    if resolved.type == "cuda" and resolved.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return resolved


def on_cpu(backbone: Any) -> Any:
    """Return a backbone as it can be pickled for computers without its device.

    Parameters
    ----------
    backbone : object

    Returns
    -------
    object
        A copy on the CPU of a torch module that is elsewhere, and anything else itself.
    """
    if isinstance(backbone, torch.nn.Module):
        tensors = (*backbone.parameters(), *backbone.buffers())
        if any(tensor.device.type != "cpu" for tensor in tensors):
            return copy.deepcopy(backbone).cpu()
    return backbone


def extraction_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype in which the backbone computes.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
        "auto": float16 on a GPU of CUDA, float32 on other devices.
    device : torch.device

    Returns
    -------
    torch.dtype
    """
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return getattr(torch, precision)


def learning_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the dtype of the factors of matrix products while parts are learned.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
        "auto": bfloat16 if the device multiplies it much faster (CUDA, AMX), float32
        otherwise, so that it depends on the machine. The others do not.
        "float16": bfloat16, because the range of float16 is too small for learning.
    device : torch.device

    Returns
    -------
    torch.dtype or None
        bfloat16, or None for float32.
    """
    if precision == "float32":
        return None
    if precision == "auto" and not _multiplies_bfloat16(device):
        return None
    return torch.bfloat16


def _multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether a device multiplies matrices of bfloat16 much faster."""
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(
            including_emulation=False
        )
    # Older versions of torch do not have the function.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    # Without AMX a step in bfloat16 took 0.95 to 1.8 times as long as in float32.
    return device.type == "cpu" and bool(capabilities.get("amx_bf16"))


def _use_one_torch_thread() -> None:
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_torch_thread)
