"""What this machine can do: its rate of products, and of moving memory."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from benchmarks.environment import environment
from benchmarks.speed.sizes import SIZES
from benchmarks.speed.timing import alternate
from skdpnet.utils.devices import learning_dtype

__all__ = ["Reference", "describe", "products", "rates", "references"]

_SIDE = 2048
# Bytes of the array that is copied: no cache holds it, nor what it is copied to.
_COPIED = 128 * 2**20
_COPIED_ON_GPU = 2 * 2**30
# Numbers that two arrays of stay in a core's own cache.
_IN_CACHE = 2**15


class Reference(NamedTuple):
    """A computation whose amount is known.

    Attributes
    ----------
    run : callable
    amount : float
        Operations, bytes or numbers.
    """

    run: Callable[[], object]
    amount: float


def describe(device: torch.device) -> dict:
    """Tell which machine this is.

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
    """Name the types whose products are measured here.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    list of str
    """
    half = ["bfloat16"] if _has_bfloat16(device) else []
    return ["float32", *half, *(["float16"] if device.type == "cuda" else [])]


def references(device: torch.device) -> dict[str, Reference]:
    """Make the computations that rates are measured with.

    They are timed in turn with what is compared with them.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    dict of str to Reference
        Products of each type by its name, ``"copy"`` (bytes read and written), and on
        a CPU ``"additions"`` and ``"exponentials"`` of numbers in cache.
    """
    found = {
        name: _product(_SIDE, _SIDE, _SIDE, name, device) for name in dtypes(device)
    }
    on_gpu = device.type == "cuda"
    source = torch.ones((_COPIED_ON_GPU if on_gpu else _COPIED) // 4, device=device)
    copy = torch.empty_like(source)
    found["copy"] = Reference(lambda: copy.copy_(source), 2 * 4 * source.numel())
    if not on_gpu:
        x = torch.rand(_IN_CACHE * torch.get_num_threads())
        out = torch.empty_like(x)
        found["additions"] = Reference(lambda: torch.add(x, x, out=out), x.numel())
        found["exponentials"] = Reference(lambda: torch.exp(x, out=out), x.numel())
    return found


def _product(m: int, k: int, n: int, dtype: str, device: torch.device) -> Reference:
    a = torch.rand(m, k, device=device).to(getattr(torch, dtype))
    b = torch.rand(n, k, device=device).to(getattr(torch, dtype))
    out = torch.empty(m, n, dtype=a.dtype, device=device)
    return Reference(lambda: torch.mm(a, b.T, out=out), 2.0 * m * k * n)


def rates(
    known: dict[str, Reference], seconds: dict[str, list[float]]
) -> dict[str, float]:
    """Turn the seconds of references into rates.

    Parameters
    ----------
    known : dict of str to Reference
    seconds : dict of str to list of float
        As `alternate` gives them.

    Returns
    -------
    dict of str to float
        A second: operations, bytes or numbers; medians.
    """
    return {
        name: one.amount / statistics.median(seconds[name])
        for name, one in known.items()
    }


def products(device: torch.device, repeats: int, names: Sequence[str]) -> list[dict]:
    """Measure products of the shapes that the stages have.

    Parameters
    ----------
    device : torch.device
    repeats : int
    names : sequence of str
        Of `SIZES`.

    Returns
    -------
    list of dict
        ``product``, ``shape`` (m, k, n), ``dtype``, operations a second as ``rate``.
    """
    shapes = {"square": (_SIDE, _SIDE, _SIDE)}
    for name in names:
        size = SIZES[name]
        rows = size.images * size.cells
        shapes[f"{name}, whitening"] = (rows, size.depth, size.channels)
        shapes[f"{name}, cells with parts"] = (rows, size.channels, size.parts)
        shapes[f"{name}, cells with parts, no whitening"] = (
            rows, size.depth, size.parts,
        )  # fmt: skip
    found = []
    for name, shape in shapes.items():
        known = {dtype: _product(*shape, dtype, device) for dtype in dtypes(device)}
        seconds = alternate({k: one.run for k, one in known.items()}, repeats, device)
        for dtype, rate in rates(known, seconds).items():
            found.append(
                {"product": name, "shape": shape, "dtype": dtype, "rate": rate}
            )
    return found
