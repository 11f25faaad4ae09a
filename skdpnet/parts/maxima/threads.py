"""Pieces of work side by side: on a CPU each thread has pieces of its own.

torch has all its threads take part in every operation, and wait for one another after
each. Where another process has one of the cores, that waiting is nearly all the time
that operations on a few MiB take.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

__all__ = ["n_side_by_side", "side_by_side"]

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_lock = threading.Lock()
_pool: tuple[int, ThreadPoolExecutor] | None = None


def n_side_by_side(device: torch.device) -> int:
    """Tell how many threads `side_by_side` has for work on a device.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    int
        On a CPU as many as torch has in the calling thread, elsewhere one.
    """
    # Only there is a thread's number of threads its own.
    if device.type != "cpu" or not torch.backends.openmp.is_available():
        return 1
    return torch.get_num_threads()


def side_by_side(
    work: Callable[[Sequence[Piece]], Result], pieces: Sequence[Piece], n_threads: int
) -> list[Result]:
    """Work on pieces in several threads, in which each operation has one thread.

    Which pieces go together depends on their number and that of the threads alone:
    what is added up is so in the same order every time.

    Parameters
    ----------
    work : callable
        Takes successive pieces, at least one. It must not write where others do. It
        runs in the caller's inference mode, without gradients.
    pieces : sequence
    n_threads : int
        See `n_side_by_side`. One, or with a single piece: the calling thread works,
        in which operations have all of torch's threads.

    Returns
    -------
    list
        What the work returned, in the order of the pieces.
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
    """Return a pool of at least n threads, to each of which torch gives one."""
    global _pool
    with _lock:
        if _pool is None or _pool[0] < n:
            before, ready = torch.get_num_threads(), threading.Barrier(n + 1)
            pool = ThreadPoolExecutor(n, "skdpnet", _have_one_thread)
            # A pool starts its threads one by one, as work comes.
            for _ in range(n):
                pool.submit(ready.wait)
            ready.wait()
            # What a thread is told, torch tells those that come after it.
            torch.set_num_threads(before)
            _pool = n, pool
        return _pool[1]


def _have_one_thread() -> None:
    # A thread's number is set when it is first asked for.
    torch.get_num_threads()
    torch.set_num_threads(1)


def _forget_threads() -> None:
    """Start anew in a forked process, in which none of the threads is."""
    global _lock, _pool
    _lock, _pool = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
