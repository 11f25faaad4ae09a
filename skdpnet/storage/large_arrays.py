"""Arrays that may be larger than memory, and how much memory is free."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import psutil

from skdpnet.utils.batching import slices_of

__all__ = ["MapRows", "allocate", "copy_rows", "free_memory"]

# Arrays above this share of the free memory are memory-mapped from a temporary file.
_IN_MEMORY_SHARE = 0.25
_ROWS_AT_ONCE = 64
# Files on these file systems take memory themselves.
_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")
_DISK_BACKED = Path("/var/tmp")

# By version of control groups: the files of the limit and of the use, and the field of
# memory.stat for file cache, which counts as used but is given up on demand.
_GROUP_FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free_memory() -> int:
    """Return how many more bytes of memory this process may take.

    Returns
    -------
    int
        The smallest of: the memory that the machine has available; what the limits of
        the process's control groups (versions 1 and 2, as containers and batch systems
        set them) leave; what its resource limits (``ulimit -v`` and ``-d``) leave. At
        least 0.
    """
    rooms = [psutil.virtual_memory().available, *_under_ulimits()]
    return max(0, min(rooms + group_rooms(Path("/"))))


def group_rooms(root: Path) -> list[int]:
    """Return how much memory each limit of this process's control groups leaves.

    Parameters
    ----------
    root : Path
        The folder that contains ``proc`` and ``sys``.

    Returns
    -------
    list of int
        Bytes, for each group with a limit, from that of the process up to the root.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    rooms = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        # An empty list of controllers marks version 2.
        if controllers == "":
            version, mount = 2, root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            version, mount = 1, root / "sys/fs/cgroup/memory"
        else:
            continue
        # In a container the path may be that on the host, although the container's
        # group is mounted as the root; so the root is always read as well.
        folder = mount / path.lstrip("/")
        enclosing = folder.parents[: len(folder.parts) - len(mount.parts)]
        for group in (folder, *enclosing):
            with contextlib.suppress(OSError, ValueError, KeyError):
                rooms.append(_group_room(group, *_GROUP_FILES[version]))
    return rooms


def _group_room(group: Path, limit: str, use: str, cache: str) -> int:
    """Return the room in a group; a ValueError if its limit is the word "max"."""
    stat = dict(
        line.split() for line in (group / "memory.stat").read_text().splitlines()
    )
    used = int((group / use).read_text()) - int(stat[cache])
    return int((group / limit).read_text()) - used


def _under_ulimits() -> list[int]:
    """Return how much memory each resource limit of this process leaves."""
    try:
        import resource
    except ImportError:  # not on Windows
        return []
    used = psutil.Process().memory_info()
    rooms = []
    # Some systems do not report the use that a limit refers to.
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
    """Create an uninitialised array, on disk if it is large for the free memory.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy dtype
    folder : str or path, optional
        Folder of a large array's temporary file; created if it does not exist.
        Default: the system's folder for temporary files (``TMPDIR``), or ``/var/tmp``
        if that folder is itself kept in memory. The file has no name, and is deleted
        with the array.

    Returns
    -------
    ndarray
        Memory-mapped from the file if it would take over a quarter of `free_memory`.

    Raises
    ------
    OSError
        If the folder cannot be used or has no room for the file, or if the limits of
        the process (``ulimit -v``) leave no room for the mapping.
    """
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if n_bytes <= _IN_MEMORY_SHARE * free_memory():
        return np.empty(shape, dtype)
    directory = _temporary_folder() if folder is None else Path(folder).expanduser()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory) as file:
        _reserve(file.fileno(), n_bytes, directory)
        try:
            # Not np.memmap, which joblib passes to its workers as a file name: this
            # file has none.
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


def copy_rows(
    array: np.ndarray, rows: np.ndarray, folder: str | os.PathLike | None = None
) -> np.ndarray:
    """Copy some rows of an array, to disk if they are large for the free memory.

    Parameters
    ----------
    array : ndarray of shape (n, ...)
        May be memory-mapped.
    rows : int ndarray of shape (m,)
    folder : str or path, optional
        As in `allocate`.

    Returns
    -------
    ndarray of shape (m, ...)
    """
    out = allocate((len(rows), *array.shape[1:]), array.dtype, folder)
    for some in slices_of(len(rows), _ROWS_AT_ONCE):
        out[some] = array[rows[some]]
    return out


def _reserve(descriptor: int, n_bytes: int, directory: Path) -> None:
    """Give a file its size, and reserve the disk space."""
    try:
        # Without reserved space, writing to the mapping of a file on a full disk would
        # kill the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, n_bytes)
        else:
            os.truncate(descriptor, n_bytes)
    except OSError as error:
        raise OSError(
            error.errno,
            f"an array of {n_bytes / 1e9:.3g} GB is too large for the free memory "
            f"({free_memory() / 1e9:.3g} GB) and finds no room in {str(directory)!r}: "
            f"{error.strerror}. Set memory= or the environment variable "
            "TMPDIR to a folder with room, or take fewer images at once.",
        ) from error


def _temporary_folder() -> Path:
    """Return a folder for temporary files, on a disk if there is one."""
    folder = Path(tempfile.gettempdir())
    if (
        _file_system(folder) in _MEMORY_FILE_SYSTEMS
        and os.access(_DISK_BACKED, os.W_OK)
        and _file_system(_DISK_BACKED) not in _MEMORY_FILE_SYSTEMS
    ):
        return _DISK_BACKED
    return folder


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder lies on, "" if unknown."""
    resolved = folder.resolve()
    mounts = {
        Path(partition.mountpoint): partition.fstype
        for partition in psutil.disk_partitions(all=True)
    }
    for parent in (resolved, *resolved.parents):
        if parent in mounts:
            return mounts[parent]
    return ""
