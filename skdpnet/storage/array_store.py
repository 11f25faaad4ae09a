"""The cache behind ``memory=``: arrays by content key, shared between processes.

Each entry is one safetensors file, put in its place by one atomic rename. A process
that is killed leaves at most a temporary file behind, damage to one entry costs that
entry alone, network file systems can hold the folder, and nothing in it is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.numpy import load, save

__all__ = ["ArrayStore"]

# To be raised when the content of entries changes.
_FORMAT = 2
# The only way to read the process's umask is to set it.
_UMASK = os.umask(0)
os.umask(_UMASK)
_MODE = 0o666 & ~_UMASK


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
        self._entries = Path(folder).expanduser() / "skdpnet-cache" / address
        self._can_lock = self._can_write = True
        try:
            (self._entries / "locks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"memory={str(folder)!r} cannot be used as a cache folder: {error}. "
                "Name a folder that can be written to, or memory=None."
            ) from error
        if not os.access(self._entries, os.W_OK):
            raise ValueError(
                f"memory={str(folder)!r} cannot be written to. Name another folder, "
                "or memory=None."
            )

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
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ValueError(
                f"the cache entry {path} may not be read: {error}. Ask its owner, or "
                "name another folder as memory=."
            ) from error
        except (OSError, SafetensorError, KeyError, ValueError, IndexError) as error:
            problem = str(error)
        warnings.warn(
            f"the cache entry {path} is damaged ({problem}); it is computed again.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None

    def keys(self) -> list[str]:
        """Return the keys of all entries, in alphabetical order."""
        return sorted(path.stem for path in self._entries.glob("*/*.safetensors"))

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
            _put(path, save(entry))
            return True
        except OSError as error:
            if self._can_write:
                self._can_write = False
                warnings.warn(
                    f"what was computed cannot all be kept in {self._entries}: "
                    f"{error.strerror}. It will be computed again when it is needed "
                    "again.",
                    RuntimeWarning,
                    stacklevel=2,
                )
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
        path = self._entries / "locks" / f"{prefix}.lock"
        lock = FileLock(path, mode=_MODE, fallback_to_soft=False)
        try:
            locks.enter_context(lock.acquire(timeout=0))
        except Timeout:
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

    def _path(self, key: str) -> Path:
        return self._entries / key[:2] / f"{key}.safetensors"


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, suffix=".tmp", delete=False
    ) as file:
        try:
            file.write(content)
            file.close()
            # Only their owner may read temporary files, but a cache may be shared.
            os.chmod(file.name, _MODE)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _checksum(arrays: Iterable[np.ndarray]) -> int:
    crc = 0
    for array in arrays:
        crc = zlib.crc32(array.data, crc)
    return crc
