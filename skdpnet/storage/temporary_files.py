"""Temporary files and folders that a killed process does not leave behind for ever.

A process locks what is temporary while it uses it. The operating system releases the
locks of a process that ends, however it ends, so what can be locked is abandoned, and
the next process removes it. Where a file system has no locks, its age decides. Neither
is certain where hosts do not see one another's locks, or while a file is being locked:
`skdpnet.storage.atomic_write` writes a file again that was taken from it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from skdpnet.storage.folders import list_folder

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "is_from_another_day",
    "open_temporary",
    "remove_abandoned",
    "temporary_folder",
]

# No file of a user is called so.
_PREFIX, _SUFFIX = ".skdpnet-", ".tmp"
_DAY = 24 * 60 * 60
# How often a folder is made if other processes take it for an abandoned one.
_ATTEMPTS = 10


def open_temporary(folder: Path) -> IO[bytes]:
    """Create a file with a new name, and lock it until it is closed.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    binary file
        Its name is that of a temporary file, and the umask decides who may read it.

    Raises
    ------
    OSError
        If it cannot be created.
    """
    file = open(folder / f"{_PREFIX}{uuid.uuid4().hex}{_SUFFIX}", "xb")  # noqa: SIM115
    _try_lock(file.fileno())
    return file


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a folder in ``TMPDIR`` for the time of a ``with`` block.

    If this process is killed, the next one that needs such a folder removes it.

    Yields
    ------
    Path
    """
    remove_abandoned(Path(tempfile.gettempdir()))
    with contextlib.ExitStack() as stack:
        for _ in range(_ATTEMPTS):
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, suffix=_SUFFIX))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            if _stays(folder, stack):
                break
        yield folder


def _stays(folder: Path, stack: contextlib.ExitStack) -> bool:
    """Lock a new folder; return whether no other process has found it unlocked."""
    if fcntl is None:
        return True
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    stack.callback(os.close, descriptor)
    return _try_lock(descriptor) is not False and folder.exists()


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files and folders of processes that have ended.

    What cannot be removed, for instance because it is another user's, stays.

    Parameters
    ----------
    folder : Path
    """
    for path in list_folder(folder):
        if not (path.name.startswith(_PREFIX) and path.name.endswith(_SUFFIX)):
            continue
        # Another process may remove it first.
        with contextlib.suppress(OSError):
            _remove_if_abandoned(path)


def is_from_another_day(status: os.stat_result) -> bool:
    """Return whether a file was last written more than a day ago, or from now.

    Parameters
    ----------
    status : os.stat_result

    Returns
    -------
    bool
        Also True for the future: a clock that was wrong must not keep files for ever.
    """
    return abs(time.time() - status.st_mtime) > _DAY


def _remove_if_abandoned(path: Path) -> None:
    status = os.lstat(path)
    is_folder = stat.S_ISDIR(status.st_mode)
    if not (is_folder or stat.S_ISREG(status.st_mode)):
        return
    can_lock = None
    # Some network file systems lock only what is open for writing.
    flags = os.O_RDONLY if is_folder else os.O_RDWR
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            with contextlib.suppress(PermissionError):
                descriptor = os.open(path, flags | os.O_NOFOLLOW)
                stack.callback(os.close, descriptor)
                can_lock = _try_lock(descriptor)
        if can_lock is None:
            can_lock = is_from_another_day(status)
        if can_lock and is_folder:
            shutil.rmtree(path, ignore_errors=True)
        elif can_lock:
            os.unlink(path)


def _try_lock(descriptor: int) -> bool | None:
    """Lock a file; return whether it is locked now, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
