"""The cache behind ``memory=``: arrays by content key, shared between processes.

Each entry is one safetensors file, put in its place by one atomic rename. A process
that is killed leaves at most a temporary file behind, which the next one removes.
Damage to one entry costs that entry alone, network file systems can hold the folder,
and nothing in it is unpickled. Entries, and folders without any, may be removed at any
time (`skdpnet.storage.cache_limits`): what is missing is computed again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.numpy import load, save

from skdpnet.storage.atomic_write import put_file
from skdpnet.storage.folders import list_folder, make_folder
from skdpnet.storage.temporary_files import remove_abandoned

__all__ = [
    *("CACHE", "ENTRY_SUFFIX", "KEPT_LONGEST", "LOCKS", "SCRATCH"),
    "ArrayStore",
]

# Names in the user's folder: of the cache itself, in it of the folder for temporary
# files, and of the folder of locks in each store.
CACHE, SCRATCH, LOCKS = "skdpnet-cache", "tmp", "locks"
ENTRY_SUFFIX = ".safetensors"
# Keys that begin so are those of entries by which others are found.
KEPT_LONGEST = "probe-"

# To be raised when the content of entries changes.
_FORMAT = 2
# The only way to read the process's umask is to set it.
_UMASK = os.umask(0)
os.umask(_UMASK)
_MODE = 0o666 & ~_UMASK
# The disk, or the user's share of it, is full.
_FULL = (errno.ENOSPC, errno.EDQUOT)
# An entry that was removed on this host, or on another while it was read on this one.
_GONE = (errno.ENOENT, errno.ESTALE)


class ArrayStore:
    """Arrays on disk, found by a key of what they were computed from.

    Feature maps are kept under the content key of their image, the initial state of
    a fit under a digest of its training data.

    Parameters
    ----------
    folder : str or path
        The user's ``memory=``; created if it does not exist.
    identity : dict
        All that the arrays depend on besides their keys, for instance backbone,
        weights and precision. Its JSON text is part of the entries' paths, so that
        stores with different identities never share an entry.

    Raises
    ------
    ValueError
        If the folder cannot be created or written to.
    """

    def __init__(self, folder: str | os.PathLike, identity: dict):
        text = json.dumps({"format": _FORMAT, **identity}, sort_keys=True)
        address = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        if not isinstance(folder, (str, os.PathLike)):
            raise ValueError(f"memory must be a folder's path or None, got {folder!r}.")
        cache = Path(folder).expanduser() / CACHE
        self._entries, self._scratch = cache / address, cache / SCRATCH
        self._can_lock = self._can_write = True
        try:
            for needed in (self._entries / LOCKS, self._scratch):
                make_folder(needed)
        except OSError as error:
            if error.errno in _FULL:
                # Hours of work may lie behind, so it goes on without a cache.
                self._warn_unwritten(error)
                return
            raise ValueError(
                f"memory={str(folder)!r} cannot be used as a cache folder: {error}. "
                "Name a folder that can be written to, or memory=None."
            ) from error
        if self._entries.exists() and not os.access(self._entries, os.W_OK):
            raise ValueError(
                f"memory={str(folder)!r} cannot be written to. Name another folder, "
                "or memory=None."
            )
        remove_abandoned(self._scratch)

    def read(self, key: str) -> tuple[np.ndarray, ...] | None:
        """Read the arrays stored under a key.

        Parameters
        ----------
        key : str

        Returns
        -------
        tuple of ndarray or None
            None if there is no such entry, or a damaged one (with a RuntimeWarning):
            it is then computed again and replaced.

        Raises
        ------
        ValueError
            If this user may not read the entry.
        """
        path = self._path(key)
        try:
            entry = load(path.read_bytes())
            arrays = tuple(entry[f"array{i}"] for i in range(len(entry) - 1))
            if int(entry["crc32"][0]) == _checksum(arrays):
                return arrays
            problem = "its checksum does not match"
        except PermissionError as error:
            raise ValueError(
                f"the cache entry {path} may not be read: {error}. Ask its owner, or "
                "name another folder as memory=."
            ) from error
        except (OSError, SafetensorError, KeyError, ValueError, IndexError) as error:
            if isinstance(error, OSError) and error.errno in _GONE:
                return None
            problem = str(error)
        warnings.warn(
            f"the cache entry {path} is damaged ({problem}); it is computed again.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None

    def keys(self) -> list[str]:
        """Return the keys of all entries, in alphabetical order."""
        folders = list_folder(self._entries)
        paths = (path for folder in folders for path in list_folder(folder))
        return sorted(path.stem for path in paths if path.suffix == ENTRY_SUFFIX)

    def write(self, key: str, arrays: Sequence[np.ndarray]) -> bool:
        """Store arrays under a key, replacing an existing entry in one step.

        If they cannot be stored (the disk is full, for instance), they will have to be
        computed again; the first time, a RuntimeWarning says so.

        Parameters
        ----------
        key : str
        arrays : sequence of ndarray

        Returns
        -------
        bool
            Whether they were stored.
        """
        path = self._path(key)
        entry = {f"array{i}": np.ascontiguousarray(a) for i, a in enumerate(arrays)}
        crc = _checksum(entry.values())
        entry["crc32"] = np.array([crc], dtype=np.uint32)
        try:
            put_file(path, save(entry), self._scratch)
            return True
        except OSError as error:
            self._warn_unwritten(error)
            return False

    @contextlib.contextmanager
    def claim(self, keys: Iterable[str], at_most: int) -> Iterator[list[str]]:
        """Claim keys, so that no other process computes their arrays meanwhile.

        Never waits. The operating system releases the locks of a process that ends, so
        that a killed process does not block others. On a file system without locks,
        every process is granted all keys that it asks for (with a RuntimeWarning).

        Parameters
        ----------
        keys : iterable of str
        at_most : int
            Largest number of keys to claim.

        Yields
        ------
        list of str
            The keys that this process has claimed until the end of the ``with``
            block; empty if other processes hold all of them.
        """
        by_prefix: dict[str, list[str]] = {}
        for key in keys:
            by_prefix.setdefault(key[:2], []).append(key)
        with contextlib.ExitStack() as locks:
            claimed: list[str] = []
            # A lock covers all keys of a prefix. Prefixes are locked one after the
            # other and no more than needed, so that the rest is left to others.
            for prefix, alike in by_prefix.items():
                if len(claimed) >= at_most:
                    break
                if self._try_lock(prefix, locks):
                    claimed += alike
            yield claimed[:at_most]

    def _try_lock(self, prefix: str, locks: contextlib.ExitStack) -> bool:
        """Lock the keys of a prefix; return whether no other process holds them."""
        if not self._can_lock:
            return True
        # One lock for many keys keeps the number of lock files small. No soft locks:
        # they would outlive a process that is killed.
        path = self._entries / LOCKS / f"{prefix}.lock"
        lock = FileLock(path, mode=_MODE, fallback_to_soft=False)
        try:
            if not path.parent.is_dir():
                # It may have been removed since this store was opened.
                make_folder(path.parent)
            locks.enter_context(lock.acquire(timeout=0))
        except Timeout:
            return False
        except FileNotFoundError:
            # It was removed again, and is created when the key is claimed again.
            return False
        except OSError as error:
            self._can_lock = False
            warnings.warn(
                f"the file {path} cannot be locked ({error.strerror}): processes that "
                "fill this cache at the same time may compute the same entries.",
                RuntimeWarning,
                stacklevel=2,
            )
        return True

    def _warn_unwritten(self, error: OSError) -> None:
        """Say once that arrays cannot be stored."""
        if self._can_write:
            self._can_write = False
            warnings.warn(
                f"what was computed cannot all be kept in {self._entries}: "
                f"{error.strerror}. It will be computed again when it is needed again.",
                RuntimeWarning,
                stacklevel=3,
            )

    def _path(self, key: str) -> Path:
        return self._entries / key[:2] / f"{key}{ENTRY_SUFFIX}"


def _checksum(arrays: Iterable[np.ndarray]) -> int:
    crc = 0
    for array in arrays:
        crc = zlib.crc32(array.data, crc)
    return crc
