"""Watching what a call does: its time, its memory, and whether it runs code."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Hang", "events", "peak_memory", "reset_peak_memory", "time_limit"]

# What Python reports before it runs a program, opens a connection or makes an object of
# a class that a pickle names.
_FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"),
    *("subprocess.Popen", "pickle.find_class", "socket.connect", "socket.getaddrinfo"),
    *("urllib.Request", "webbrowser.open", "ctypes.dlopen"),
)
_seen: list[str] = []
_hooked = False


class Hang(Exception):
    """A call takes longer than it may."""


def events() -> list[str]:
    """Return the names of the forbidden events since the last call.

    The first call begins to watch; Python has no way to end it.
    """
    global _hooked
    if not _hooked:
        _hooked = True
        sys.addaudithook(_note)
    names = _seen.copy()
    _seen.clear()
    return names


def _note(event: str, args: tuple) -> None:
    if event in _FORBIDDEN:
        _seen.append(event)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise Hang in a call that takes longer.

    Parameters
    ----------
    seconds : float
    """

    def stop(*_):
        raise Hang(f"more than {seconds} s")

    former = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def reset_peak_memory() -> int:
    """Let the peak of the process's memory begin anew; return the memory in bytes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def peak_memory() -> int:
    """Return the most memory in bytes that the process had since the last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 0
