"""The versions and the machine that a benchmark was run with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import torch

__all__ = ["environment"]

_PACKAGES = (
    "skdpnet", "torch", "torchvision", "timm", "scikit-learn", "skorch", "numpy",
)  # fmt: skip


def environment() -> dict:
    """Describe what the numbers, and above all the times, were measured with.

    Returns
    -------
    dict
        ``versions`` of packages, ``python``, ``platform``, ``cpus``, ``torch_threads``
        and ``gpu``, its name or None.
    """
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "versions": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": gpu,
    }
