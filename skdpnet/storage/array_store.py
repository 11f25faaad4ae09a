"""Feature maps on disk: one safetensors file an image, shared between processes.

A folder of small files in a well-known format, each put in place by one atomic
rename, is what survives here: a process killed half-way leaves at most a stray
temporary file, damage to one entry costs that entry alone, network file systems
serve it, and nothing in it is ever unpickled.
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

_FORMAT = 1
_UMASK = os.umask(0)
os.umask(_UMASK)
_MODE = 0o666 & ~_UMASK


class ArrayStore:
    """Feature maps by content key.

    Parameters
    ----------
    memory : str or path
        The folder; made where it is missing.
    identity : dict
        All that a map depends on besides the image (backbone, weights,
        preprocessing, precision); as JSON it is part of the address, so maps of
        different settings never meet.

    Raises
    ------
    ValueError
        If the folder cannot be made or written to.
    """

    def __init__(self, memory: str | os.PathLike, identity: dict):
        text = json.dumps({"format": _FORMAT, **identity}, sort_keys=True)
        address = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        if not isinstance(memory, (str, os.PathLike)):
            raise ValueError(f"memory must be a folder's path or None, got {memory!r}.")
        root = Path(memory).expanduser()
        self.folder = root / "skdpnet-maps" / address
        self._has_locks = self._can_write = True
        try:
            (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"memory={str(memory)!r} cannot be used as a cache folder: {error}. "
                "Name a folder that can be written to, or memory=None."
            ) from error
        if not os.access(self.folder, os.W_OK):
            raise ValueError(
                f"memory={str(memory)!r} cannot be written to. Name another folder, "
                "or memory=None."
            )

    def read(self, key: str) -> tuple[np.ndarray, ...] | None:
        """Return the maps stored under a key, or None where there are none.

        A damaged entry counts as none (with a RuntimeWarning), so that it is
        computed again and replaced.
        """
        path = self._path(key)
        try:
            entry = load(path.read_bytes())
            maps = tuple(entry[f"map{i}"] for i in range(len(entry) - 1))
            if int(entry["crc32"][0]) == _checksum(maps):
                return maps
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

    def write(self, key: str, maps: Sequence[np.ndarray]) -> None:
        """Store maps under a key, replacing what was there, all or nothing.

        Where they cannot be stored (a full disk), nothing is lost but the work of
        computing them again: a RuntimeWarning tells it, once.
        """
        path = self._path(key)
        entry = {f"map{i}": np.ascontiguousarray(one) for i, one in enumerate(maps)}
        crc = _checksum(entry.values())
        entry["crc32"] = np.array([crc], dtype=np.uint32)
        try:
            _put(path, save(entry))
        except OSError as error:
            if self._can_write:
                self._can_write = False
                warnings.warn(
                    f"what was computed cannot all be kept in {self.folder}: "
                    f"{error.strerror}. It will be computed again when it is needed "
                    "again.",
                    RuntimeWarning,
                    stacklevel=2,
                )

    @contextlib.contextmanager
    def claim(self, keys: Iterable[str], at_most: int) -> Iterator[list[str]]:
        """Claim keys for computing, so that no other process computes them too.

        Waits for nobody. Locks end with the process that holds them, so a killed one
        blocks nobody. Where the file system has none, each process claims whatever it
        asks for (with a RuntimeWarning).

        Parameters
        ----------
        keys : iterable of str
        at_most : int
            How many of them to claim.

        Yields
        ------
        list of str
            Those of `keys` that are now this process's to compute, to the end of the
            ``with`` block; none where others hold all of them.
        """
        by_stripe: dict[str, list[str]] = {}
        for key in keys:
            by_stripe.setdefault(key[:2], []).append(key)
        with contextlib.ExitStack() as held:
            mine: list[str] = []
            # Whole stripes, one after the other: the fewer this process holds, the
            # more are left to others.
            for stripe, own in by_stripe.items():
                if len(mine) >= at_most:
                    break
                if self._try_lock(stripe, held):
                    mine += own
            yield mine[:at_most]

    def _try_lock(self, stripe: str, held: contextlib.ExitStack) -> bool:
        if not self._has_locks:
            return True
        # One lock for all keys that begin alike: few lock files, however many maps.
        # No soft locks, which would outlive a process that is killed.
        path = self.folder / "locks" / f"{stripe}.lock"
        lock = FileLock(path, mode=_MODE, fallback_to_soft=False)
        try:
            held.enter_context(lock.acquire(timeout=0))
        except Timeout:
            return False
        except OSError as error:
            self._has_locks = False
            warnings.warn(
                f"the file {path} cannot be locked ({error.strerror}): processes that "
                "fill this cache at the same time may compute the same maps.",
                RuntimeWarning,
                stacklevel=2,
            )
        return True

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, suffix=".tmp", delete=False
    ) as file:
        try:
            file.write(content)
            file.close()
            # Temporary files are private, a shared cache's entries are not.
            os.chmod(file.name, _MODE)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _checksum(maps: Iterable[np.ndarray]) -> int:
    crc = 0
    for one in maps:
        crc = zlib.crc32(one.data, crc)
    return crc
