"""How much memory this process may still take, and arrays that stay within it."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import psutil

__all__ = ["MapRows", "allocate", "free_memory"]

# Arrays above this share of the free memory live in a memory-mapped temporary file.
_IN_MEMORY_SHARE = 0.25
# Files there are memory too.
_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
_DISK_BACKED = Path("/var/tmp")

# Limit, use, and what of the use is file cache that the kernel gives back.
_GROUP_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_memory() -> int:
    """Tell how many bytes this process may still take.

    Returns
    -------
    int
        The least of what the machine has available, what the memory limits of the
        process's control groups (containers, batch systems; versions 1 and 2) leave,
        and what its resource limits (``ulimit -v`` and ``-d``) leave. At least 0.
    """
    room = [psutil.virtual_memory().available, *_under_ulimits()]
    return max(0, min(room + group_rooms(Path("/"))))


def group_rooms(root: Path) -> list[int]:
    """Tell what the memory limits of this process's control groups leave.

    Parameters
    ----------
    root : Path
        What ``/proc`` and ``/sys`` lie in.

    Returns
    -------
    list of int
        Bytes, one for each limit from the process's own group up to the root.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    rooms = []
    for line in groups:
        _, controllers, own = line.split(":", 2)
        # An empty list of controllers marks version 2.
        if controllers == "":
            version, mount = 2, root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            version, mount = 1, root / "sys/fs/cgroup/memory"
        else:
            continue
        # In a container the path may be the host's, while its own group is mounted
        # as the root; so the root is always looked at.
        folder = mount / own.lstrip("/")
        inside = folder.parents[: len(folder.parts) - len(mount.parts)]
        for group in (folder, *inside):
            with contextlib.suppress(OSError, ValueError, KeyError):
                rooms.append(_group_room(group, *_GROUP_FILES[version]))
    return rooms


def _group_room(group: Path, limit: str, use: str, cache: str) -> int:
    """Room in one group; a ValueError where its limit is the word "max"."""
    stat = dict(
        line.split() for line in (group / "memory.stat").read_text().splitlines()
    )
    most = int((group / limit).read_text())
    return most - int((group / use).read_text()) + int(stat[cache])


def _under_ulimits() -> list[int]:
    try:
        import resource
    except ImportError:  # not on Windows
        return []
    used = psutil.Process().memory_info()
    rooms = []
    # Not every system tells how much of each kind is in use.
    for name, field in (("RLIMIT_AS", "vms"), ("RLIMIT_DATA", "data")):
        limit = resource.getrlimit(getattr(resource, name))[0]
        if limit != resource.RLIM_INFINITY and hasattr(used, field):
            rooms.append(limit - getattr(used, field))
    return rooms


class MapRows:
    """Rows of an array of feature maps, read slice by slice without copying the rest.

    Parameters
    ----------
    maps : ndarray of shape (n, H, W, D)
        May be memory-mapped.
    rows : int ndarray of shape (m,)
        Numbers of the rows, one row for each image.

    Attributes
    ----------
    shape : tuple of int
        ``(m, H, W, D)``.
    """

    def __init__(self, maps: np.ndarray, rows: np.ndarray):
        self._maps = maps
        self._rows = rows
        self.shape = (len(rows), *maps.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, piece: slice) -> np.ndarray:
        return self._maps[self._rows[piece]]


def allocate(
    shape: tuple[int, ...], dtype, folder: str | os.PathLike | None = None
) -> np.ndarray:
    """Make an uninitialised array, on disk where it is large for this process.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy dtype
    folder : str or path, optional
        Where the temporary file of a large array goes; made where it is missing.
        Default: the system's folder for temporary files (``TMPDIR``), or ``/var/tmp``
        where that one is itself kept in memory. The file has no name and vanishes with
        the array.

    Returns
    -------
    ndarray, on disk where it would take over a quarter of `free_memory`

    Raises
    ------
    OSError
        If the folder cannot be used, if it has no room for the file, or the process's
        limits (``ulimit -v``) none for its mapping.
    """
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if n_bytes <= _IN_MEMORY_SHARE * free_memory():
        return np.empty(shape, dtype)
    where = _temporary_folder() if folder is None else Path(folder).expanduser()
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=where) as file:
        _reserve(file.fileno(), n_bytes, where)
        try:
            # No np.memmap: joblib hands those on by a file's name, this one has none.
            mapped = mmap.mmap(file.fileno(), n_bytes)
        except OSError as error:
            raise OSError(
                error.errno,
                f"an array of {n_bytes / 1e9:.3g} GB is too large for the free memory "
                f"({free_memory() / 1e9:.3g} GB), and no file of this size can be "
                f"mapped: {error.strerror}. A limit on the address space (ulimit -v) "
                "counts mapped files too: raise it, or take fewer images at once.",
            ) from error
    return np.frombuffer(mapped, dtype).reshape(shape)


def _reserve(descriptor: int, n_bytes: int, where: Path) -> None:
    """Give a file its size, and its place: a full disk would end the process later."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, n_bytes)
        else:
            os.truncate(descriptor, n_bytes)
    except OSError as error:
        raise OSError(
            error.errno,
            f"an array of {n_bytes / 1e9:.3g} GB is too large for the free memory "
            f"({free_memory() / 1e9:.3g} GB) and finds no room in {str(where)!r}: "
            f"{error.strerror}. Set memory= or the environment variable "
            "TMPDIR to a folder with room, or take fewer images at once.",
        ) from error


def _temporary_folder() -> Path:
    folder = Path(tempfile.gettempdir())
    if (
        _file_system(folder) in _MEMORY_FILE_SYSTEMS
        and os.access(_DISK_BACKED, os.W_OK)
        and _file_system(_DISK_BACKED) not in _MEMORY_FILE_SYSTEMS
    ):
        return _DISK_BACKED
    return folder


def _file_system(folder: Path) -> str:
    """Name the kind of file system that a folder lies on; empty where unknown."""
    resolved = folder.resolve()
    mounts = {
        Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)
    }
    for parent in (resolved, *resolved.parents):
        if parent in mounts:
            return mounts[parent]
    return ""
