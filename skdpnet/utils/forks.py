"""Locks that a forked process finds free.

A fork copies a lock as it is, and of all threads only the one that forks. A lock that
another thread held is never released in the new process, which would wait for ever.
"""

from __future__ import annotations

import os
import threading

__all__ = ["ForkSafeLock"]


class ForkSafeLock:
    """A lock for ``with`` blocks, which is a new one in a forked process.

    It is never forgotten by its process: create it in a module, not for each object.

    Parameters
    ----------
    reentrant : bool, default=False
        Whether the thread that holds it may take it again.
    """

    def __init__(self, *, reentrant: bool = False):
        self._reentrant = reentrant
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock() if self._reentrant else threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()
