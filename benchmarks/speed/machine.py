"""The rates of this machine: of products, additions, exponentials and copies."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from benchmarks.environment import environment
from benchmarks.speed.sizes import SIZES
from benchmarks.speed.timing import time_in_turn
from skdpnet.utils.devices import learning_dtype

__all__ = ["Reference", "describe", "dtypes", "products", "rates", "references"]

_SIDE = 2048
# Bytes of the array that is copied, which must not fit into a cache.
_COPIED = 128 * 2**20
_COPIED_ON_GPU = 2 * 2**30
# Length of arrays of which two fit into the cache of a core.
_IN_CACHE = 2**15


class Reference(NamedTuple):
    """A computation whose amount of work is known, to measure a rate with.

    Attributes
    ----------
    run : callable
        Takes no arguments.
    amount : float
        Number of operations, bytes or results.
    """

    run: Callable[[], object]
    amount: float


def describe(device: torch.device) -> dict:
    """Describe the machine and its software.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    dict
    """
    return {
        **environment(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "device": str(device),
        "multiplies_bfloat16": _has_bfloat16(device),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _has_bfloat16(device: torch.device) -> bool:
    return learning_dtype("auto", device) is not None


def dtypes(device: torch.device) -> list[str]:
    """Return the names of the dtypes whose products are measured on a device.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    list of str
    """
    half = ["bfloat16"] if _has_bfloat16(device) else []
    return ["float32", *half, *(["float16"] if device.type == "cuda" else [])]


def references(names: Iterable[str], device: torch.device) -> dict[str, Reference]:
    """Return the computations that rates are measured with.

    They are timed in turn with the stages, since rates vary with time.

    Parameters
    ----------
    names : iterable of str
        The dtypes of products.
    device : torch.device

    Returns
    -------
    dict of str to Reference
        Products of each dtype under its name, ``"copy"`` (bytes read and written), and
        on a CPU ``"additions"`` and ``"exponentials"`` of numbers in a cache.
    """
    computations = {name: _product(_SIDE, _SIDE, _SIDE, name, device) for name in names}
    on_gpu = device.type == "cuda"
    source = torch.ones((_COPIED_ON_GPU if on_gpu else _COPIED) // 4, device=device)
    copy = torch.empty_like(source)
    computations["copy"] = Reference(lambda: copy.copy_(source), 2 * 4 * source.numel())
    if not on_gpu:
        x = torch.rand(_IN_CACHE * torch.get_num_threads())
        out = torch.empty_like(x)
        computations |= {
            "additions": Reference(lambda: torch.add(x, x, out=out), x.numel()),
            "exponentials": Reference(lambda: torch.exp(x, out=out), x.numel()),
        }
    return computations


def _product(m: int, k: int, n: int, dtype: str, device: torch.device) -> Reference:
    a = torch.rand(m, k, device=device).to(getattr(torch, dtype))
    b = torch.rand(n, k, device=device).to(getattr(torch, dtype))
    out = torch.empty(m, n, dtype=a.dtype, device=device)
    return Reference(lambda: torch.mm(a, b.T, out=out), 2.0 * m * k * n)


def rates(
    computations: dict[str, Reference], seconds: dict[str, list[float]]
) -> dict[str, float]:
    """Convert the seconds of reference computations to rates.

    Parameters
    ----------
    computations : dict of str to Reference
    seconds : dict of str to list of float
        Seconds of each computation in each round, as `time_in_turn` returns them.

    Returns
    -------
    dict of str to float
        Operations, bytes or results per second, by the median of the rounds.
    """
    return {
        name: reference.amount / statistics.median(seconds[name])
        for name, reference in computations.items()
    }


def products(device: torch.device, repeats: int, names: Sequence[str]) -> list[dict]:
    """Measure the rates of products with the shapes of the stages.

    Parameters
    ----------
    device : torch.device
    repeats : int
    names : sequence of str
        Names in `SIZES`.

    Returns
    -------
    list of dict
        ``product``, ``shape`` (m, k, n), ``dtype`` and ``rate``, in operations/s.
    """
    shapes = {"square": (_SIDE, _SIDE, _SIDE)}
    for name in names:
        size = SIZES[name]
        rows = size.images * size.regions
        shapes[f"{name}, whitening"] = (rows, size.depth, size.channels)
        shapes[f"{name}, regions with parts"] = (rows, size.channels, size.parts)
        shapes[f"{name}, regions with parts, no whitening"] = (
            rows, size.depth, size.parts,
        )  # fmt: skip
    rows = []
    for name, shape in shapes.items():
        computations = {
            dtype: _product(*shape, dtype, device) for dtype in dtypes(device)
        }
        runs = {dtype: reference.run for dtype, reference in computations.items()}
        seconds = time_in_turn(runs, repeats, device)
        for dtype, rate in rates(computations, seconds).items():
            rows.append({"product": name, "shape": shape, "dtype": dtype, "rate": rate})
    return rows
