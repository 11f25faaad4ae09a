"""Measurement of times, in turn, and of peak memory, in new processes."""

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
    "MeasurementError", "in_fresh_process", "median_ratio", "peak_bytes", "reset_peak",
    "status_bytes", "synchronise", "time_in_turn",
]  # fmt: skip

# Short computations are repeated until they take this many seconds.
_LEAST_SECONDS = 0.05
# Share of the free memory that a measurement may take.
_MEMORY_SHARE = 0.8
# Writing 5 to this file of Linux resets the peak memory of the process.
_CLEAR = Path("/proc/self/clear_refs")
# The repository, in which the package of benchmarks is found.
_ROOT = str(Path(__file__).parents[2])


class MeasurementError(RuntimeError):
    """A measurement that did not finish, for the reason in the message."""


def synchronise(device: torch.device) -> None:
    """Wait until a device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_in_turn(
    runs: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Time computations in turn, so that the load of the machine is equal for all.

    Parameters
    ----------
    runs : dict of str to callable
        The computations. Each is called once before the first round.
    repeats : int
        Number of rounds.
    device : torch.device
        The device of the computations.

    Returns
    -------
    dict of str to list of float
        Seconds of each computation in each round.
    """
    calls = {}
    for name, run in runs.items():
        first = _seconds(run, 1, device)
        calls[name] = max(1, math.ceil(_LEAST_SECONDS / max(first, 1e-6)))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            seconds[name].append(_seconds(run, calls[name], device))
    return seconds


def _seconds(run: Callable[[], Any], calls: int, device: torch.device) -> float:
    synchronise(device)
    start = time.perf_counter()
    for _ in range(calls):
        run()
    synchronise(device)
    return (time.perf_counter() - start) / calls


def median_ratio(slow: list[float], fast: list[float]) -> float:
    """Return the median over the rounds of the ratio of two computations' seconds."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def peak_bytes(run: Callable[[], Any], device: torch.device) -> int | None:
    """Measure the peak memory of a computation, beyond the memory in use before it.

    Parameters
    ----------
    run : callable
        The computation; it takes no arguments.
    device : torch.device
        The device whose memory is measured.

    Returns
    -------
    int or None
        None if the system does not report peak memory.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        synchronise(device)
        return torch.cuda.max_memory_allocated(device) - before
    if not _CLEAR.exists():
        return None
    reset_peak()
    before = status_bytes("VmRSS")
    run()
    return max(0, status_bytes("VmHWM") - before)


def reset_peak() -> None:
    """Return free memory to the system, and reset the peak that it records."""
    gc.collect()
    # The C library keeps memory that was freed.
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)
    _CLEAR.write_text("5")


def status_bytes(name: str) -> int:
    """Return a number of bytes that Linux reports for this process.

    Parameters
    ----------
    name : str
        Name of a line of /proc/self/status, such as ``"RssAnon"``.

    Returns
    -------
    int
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {name}")


def in_fresh_process(function: Callable, *arguments) -> Any:
    """Call a function in a new process, which uses no memory of earlier calls.

    Parameters
    ----------
    function : callable
        A function of a module; the process imports it by its name.
    *arguments
        Its arguments, which are pickled.

    Returns
    -------
    object
        The return value of the function.

    Raises
    ------
    MeasurementError
        If there is too little memory, or if the process is killed.
    """
    # A server process imports the function's module, and is forked for each call, which
    # then starts quickly. It finds modules by PYTHONPATH.
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if _ROOT not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_ROOT, *paths]))
    # CUDA cannot be used in a forked process whose parent has initialised it.
    start = "spawn" if torch.cuda.is_available() else "forkserver"
    context = multiprocessing.get_context(start)
    if start == "forkserver":
        context.set_forkserver_preload([function.__module__])
    limit = int(_MEMORY_SHARE * psutil.virtual_memory().available)
    n_threads = torch.get_num_threads()
    try:
        with ProcessPoolExecutor(1, context, _begin, (limit, n_threads)) as pool:
            return pool.submit(function, *arguments).result()
    except BrokenProcessPool as error:
        raise MeasurementError("the process was killed") from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise MeasurementError(f"not enough memory: {error}") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise MeasurementError(f"not enough memory: {error}") from error


def _begin(limit: int, n_threads: int) -> None:
    """Limit the memory of a new process, and give it the threads of this one."""
    # With this package a forked process has one thread of torch. It may have more if
    # its parent has not computed anything, as the server has not.
    torch.set_num_threads(n_threads)
    # Without a limit, the system kills a process of its choice when memory runs out.
    # With a GPU no limit is set, since its driver reserves more addresses than memory.
    if sys.platform == "linux" and not torch.cuda.is_available():
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
