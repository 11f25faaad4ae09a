"""Threads that each work on pieces of their own, with one torch thread each.

By itself torch splits every operation among all its threads and waits for all of them
after it. Where another process occupies one of the cores, nearly all the time of
operations on a few MiB is spent waiting. Threads with pieces of their own wait for one
another once, at the end.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from skdpnet.utils.forks import ForkSafeLock

__all__ = ["available_threads", "run_in_threads"]

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_lock = ForkSafeLock()
# The number of threads, and the pool.
_pool: tuple[int, ThreadPoolExecutor] | None = None


def available_threads(device: torch.device) -> int:
    """Return how many threads `run_in_threads` may use for work on a device.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    int
        On a CPU as many as torch uses in the calling thread, elsewhere 1.
    """
    # Only OpenMP lets each thread have a number of torch threads of its own.
    if device.type != "cpu" or not torch.backends.openmp.is_available():
        return 1
    return torch.get_num_threads()


def run_in_threads(
    work: Callable[[Sequence[Piece]], Result], pieces: Sequence[Piece], n_threads: int
) -> list[Result]:
    """Share pieces among several threads, with one torch thread in each.

    Which pieces a thread gets depends only on the number of pieces and of threads, so
    sums over the results are always taken in the same order.

    Parameters
    ----------
    work : callable
        Takes successive pieces, at least one. It must not write to memory that other
        calls use. It runs in the caller's inference mode and without gradients.
    pieces : sequence
    n_threads : int
        At most `available_threads`. With 1, or with a single piece, the calling
        thread does the work, with all of torch's threads in each operation.

    Returns
    -------
    list
        The results of `work`, in the order of the pieces.
    """
    n = min(n_threads, len(pieces))
    if n <= 1:
        return [work(pieces)] if pieces else []
    inference = torch.is_inference_mode_enabled()

    def run(share: Sequence[Piece]) -> Result:
        with torch.inference_mode(inference), torch.no_grad():
            return work(share)

    cuts = [len(pieces) * i // n for i in range(n + 1)]
    shares = [pieces[start:end] for start, end in itertools.pairwise(cuts)]
    return list(_threads(n).map(run, shares))


def _threads(n: int) -> ThreadPoolExecutor:
    """Return a pool of at least n threads, with one torch thread in each."""
    global _pool
    with _lock:
        if _pool is None or _pool[0] < n:
            n_torch_threads = torch.get_num_threads()
            ready = threading.Barrier(n + 1)
            pool = ThreadPoolExecutor(n, "skdpnet", _use_one_torch_thread)
            # A pool starts a thread only when a job finds no idle one. Jobs that wait
            # for one another make it start all of them here.
            for _ in range(n):
                pool.submit(ready.wait)
            ready.wait()
            # The number that the pool's threads have set would otherwise be the
            # default of all threads that start later.
            torch.set_num_threads(n_torch_threads)
            _pool = n, pool
        return _pool[1]


def _use_one_torch_thread() -> None:
    # torch initialises a thread's number when it is first read; that would overwrite
    # a number that was set before.
    torch.get_num_threads()
    torch.set_num_threads(1)


def _forget_threads() -> None:
    """Drop the pool in a forked process, where its threads do not exist.

    A forked process has one torch thread too; see `skdpnet.utils.devices`.
    """
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
