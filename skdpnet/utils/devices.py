"""Devices, and the arithmetic that they are used with."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["extraction_dtype", "learning_dtype", "resolve_device"]


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn ``"auto"`` or a device's name into a torch device.

    ``"cuda"`` becomes the GPU that is the current one now, by its number, so that a
    network that was kept is never taken for one on another GPU.

    Raises
    ------
    ValueError
        For a name torch does not know, or a GPU that is not there.
    """
    if isinstance(device, str) and device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here: {str(error).splitlines()[0]} "
            'device="auto" takes a GPU where there is one and the CPU otherwise.'
        ) from error
    if resolved.type == "cuda" and resolved.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return resolved


def extraction_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Choose the arithmetic of the backbone.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
        "auto": float16 on a GPU of CUDA, float32 elsewhere.
    device : torch.device

    Returns
    -------
    torch.dtype
    """
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return getattr(torch, precision)


def learning_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Choose the precision of the products that parts are learned with.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
        "auto": bfloat16 where the processor multiplies it natively.
    device : torch.device

    Returns
    -------
    torch.dtype or None
        bfloat16, whose range is float32's, also for "float16"; None: float32.
    """
    if precision == "float32":
        return None
    if precision == "auto" and not _multiplies_bfloat16(device):
        return None
    return torch.bfloat16


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(
            including_emulation=False
        )
    # Older versions of torch do not have the function.
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and bool(
        able.get("avx512_bf16") or able.get("amx_bf16")
    )
