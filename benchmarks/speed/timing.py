"""How time and peak memory are measured: in turn, and in processes of their own."""

from __future__ import annotations

import ctypes
import gc
import math
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import psutil
import torch

__all__ = [
    "Failed", "alternate", "forget_peak", "in_fresh_process", "peak_bytes", "ratio",
    "status_bytes", "synchronise",
]  # fmt: skip

# Short computations are repeated to last so long, in seconds.
_LEAST_SECONDS = 0.05
# Share of the free memory that a measurement may take.
_MEMORY_SHARE = 0.8
# Linux's way to forget the largest amount of memory so far.
_CLEAR = Path("/proc/self/clear_refs")
# The repository, in which the package of benchmarks is found.
_ROOT = str(Path(__file__).parents[2])


class Failed(RuntimeError):
    """A measurement that came to no end, and why."""


def synchronise(device: torch.device) -> None:
    """Wait until a device has done all it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def alternate(
    ways: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Time several computations in turn, so that all see the same machine.

    Parameters
    ----------
    ways : dict of str to callable
        Each is called once before.
    repeats : int
        Rounds.
    device : torch.device
        Waited for before a clock is read.

    Returns
    -------
    dict of str to list of float
        Seconds of each in each round.
    """
    calls = {}
    for name, way in ways.items():
        first = _seconds(way, 1, device)
        calls[name] = max(1, math.ceil(_LEAST_SECONDS / max(first, 1e-6)))
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            found[name].append(_seconds(way, calls[name], device))
    return found


def _seconds(way: Callable[[], Any], calls: int, device: torch.device) -> float:
    synchronise(device)
    start = time.perf_counter()
    for _ in range(calls):
        way()
    synchronise(device)
    return (time.perf_counter() - start) / calls


def ratio(slow: list[float], fast: list[float]) -> float:
    """Median over the rounds of how many times as long one took as the other."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def peak_bytes(way: Callable[[], Any], device: torch.device) -> int | None:
    """Measure the most memory that a computation holds beyond what was held before.

    Parameters
    ----------
    way : callable
    device : torch.device
        Whose memory is measured.

    Returns
    -------
    int or None
        None: this system does not tell.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        way()
        synchronise(device)
        return torch.cuda.max_memory_allocated(device) - before
    if not _CLEAR.exists():
        return None
    forget_peak()
    before = status_bytes("VmRSS")
    way()
    return max(0, status_bytes("VmHWM") - before)


def forget_peak() -> None:
    """Give free memory back to the system, and let its record of peaks begin anew."""
    gc.collect()
    # What earlier computations gave back stays with the C library otherwise.
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)
    _CLEAR.write_text("5")


def status_bytes(name: str) -> int:
    """Read what the system knows of this process's memory.

    Parameters
    ----------
    name : str
        Of a line of Linux's /proc/self/status, such as ``"RssAnon"``.

    Returns
    -------
    int
        Bytes.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {name}")


def in_fresh_process(function: Callable, *arguments) -> Any:
    """Call a function in a new process, which has nothing in memory yet.

    Parameters
    ----------
    function : callable
        Of a module, for it is found by its name.
    *arguments
        That pickle.

    Returns
    -------
    Whatever the function returns.

    Raises
    ------
    Failed
        Where it takes more memory than there is, or is killed.
    """
    # The new process is forked from one that has imported the libraries but computed
    # nothing, so it starts at once. That one looks modules up where PYTHONPATH says.
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if _ROOT not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_ROOT, *paths]))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([function.__module__])
    limit = int(_MEMORY_SHARE * psutil.virtual_memory().available)
    try:
        with ProcessPoolExecutor(1, context, _limit_memory, (limit,)) as pool:
            return pool.submit(function, *arguments).result()
    except BrokenProcessPool as error:
        raise Failed("the process was killed") from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise Failed(f"not enough memory: {error}") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise Failed(f"not enough memory: {error}") from error


def _limit_memory(limit: int) -> None:
    # Running out ends one measurement then, and not whatever the system would choose.
    # A GPU's driver lays claim to more addresses than there is memory.
    if sys.platform == "linux" and not torch.cuda.is_available():
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
