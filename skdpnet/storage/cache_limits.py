"""Removal of entries from the cache behind ``memory=``, down to a size or an age.

Other processes may use the cache meanwhile. Each finds an entry, with all its arrays,
or none, and what is missing it computes again; so no locks are taken for entries.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from pathlib import Path

from filelock import FileLock, Timeout

from skdpnet.storage.array_store import (
    CACHE,
    ENTRY_SUFFIX,
    KEPT_LONGEST,
    LOCKS,
    SCRATCH,
)
from skdpnet.storage.folders import list_folder
from skdpnet.storage.temporary_files import is_from_another_day, remove_abandoned

__all__ = ["clear_memory"]

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# Where there was nothing to remove, empty folders stay that are as new as this.
_NEW_SECONDS = 1.0


@dataclass(frozen=True)
class _Entry:
    """A file of the cache: how large it is, and when it was last read or written."""

    path: Path
    n_bytes: int
    used: float

    @property
    def goes_last(self) -> bool:
        """Whether other entries cannot be found without it."""
        return self.path.name.startswith(KEPT_LONGEST)


def clear_memory(
    folder: str | os.PathLike,
    *,
    bytes_limit: int | str | None = None,
    age_limit: datetime.timedelta | None = None,
) -> int:
    """Remove what a folder given as `memory` keeps: all, or what is beyond limits.

    Other processes may use the folder at the same time, on this host or on others: what
    they do not find, they compute again. The entries that were not used for longest are
    removed first.

    Parameters
    ----------
    folder : str or path
        The value of `memory`. Nothing in it is touched but the cache.
    bytes_limit : int or str, default=None
        Size that the cache may keep, in bytes, or as text with a unit, such as "500M"
        or "1.5G" (K, M, G, T: powers of 1024). None: any.
    age_limit : datetime.timedelta, default=None
        Entries that nothing has read or written for this time are removed. None: they
        are kept at any age. Most file systems record at most once a day that a file is
        read, and some never do (``noatime``): there the time counts from when an entry
        was written.

    Returns
    -------
    int
        Number of bytes that were removed.

    Raises
    ------
    FileNotFoundError
        If there is no such folder. One without a cache is no error.
    TypeError, ValueError
        If a limit is not of its type, or is negative.

    Warns
    -----
    RuntimeWarning
        If entries cannot be removed, for instance because they are another user's.

    See Also
    --------
    FeatureMaps : Its `memory` is such a folder, as are those of all estimators.

    Notes
    -----
    If neither limit is given, everything is removed. ``joblib.Memory`` has two methods
    for that, ``clear`` and ``reduce_size``.

    Examples
    --------
    >>> import datetime, tempfile
    >>> from skdpnet import FeatureMaps, clear_memory
    >>> from skdpnet.datasets import make_part_images
    >>> birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     maps = FeatureMaps("dense_sift", image_size=64, memory=folder)
    ...     _ = maps.fit_transform(birds.images)
    ...     kept = clear_memory(
    ...         folder, bytes_limit="1G", age_limit=datetime.timedelta(days=30)
    ...     )
    ...     removed = clear_memory(folder)
    >>> kept, removed > 0
    (0, True)
    """
    most_bytes = None if bytes_limit is None else _number_of_bytes(bytes_limit)
    oldest = None if age_limit is None else time.time() - _seconds(age_limit)
    if bytes_limit is None and age_limit is None:
        most_bytes = 0
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(
            f"there is no folder {root} to remove a cache from: name the folder that "
            "estimators were given as memory=."
        )
    cache = root / CACHE
    remove_abandoned(cache / SCRATCH)
    entries, remains = _find(cache)
    n_removed = _remove([*remains, *_chosen(entries, most_bytes, oldest)])
    # Another process may be about to write into folders that were empty before.
    _remove_empty_folders(cache, _NEW_SECONDS if n_removed == 0 else 0.0)
    return n_removed


def _number_of_bytes(limit: int | str) -> int:
    """Return a limit in bytes; an error names the parameter."""
    if isinstance(limit, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", limit, re.I)
        if match is None:
            raise ValueError(
                f"bytes_limit must be a number of bytes, or text such as '500M' or "
                f"'1.5G' (units K, M, G and T), got {limit!r}."
            )
        return int(Fraction(match[1]) * _UNITS[match[2].upper()])
    if not isinstance(limit, Integral) or isinstance(limit, bool):
        raise TypeError(
            f"bytes_limit must be a whole number of bytes, or text such as '1G', got "
            f"{limit!r}."
        )
    if limit < 0:
        raise ValueError(f"bytes_limit must be at least 0, got {limit!r}.")
    return int(limit)


def _seconds(limit: datetime.timedelta) -> float:
    """Return a limit in seconds; an error names the parameter."""
    if not isinstance(limit, datetime.timedelta):
        raise TypeError(
            "age_limit must be a datetime.timedelta, such as timedelta(days=30), got "
            f"{limit!r}."
        )
    if limit < datetime.timedelta(0):
        raise ValueError(f"age_limit must not be negative, got {limit!r}.")
    return limit.total_seconds()


def _find(cache: Path) -> tuple[list[_Entry], list[_Entry]]:
    """List the entries, and what killed processes of earlier versions left."""
    entries, remains = [], []
    folders = (folder for store in list_folder(cache) for folder in list_folder(store))
    for path in (path for folder in folders for path in list_folder(folder)):
        # Another process may remove it at any time.
        with contextlib.suppress(OSError):
            status = path.stat(follow_symlinks=False)
            # Without access times, the time of writing is known at least.
            used = max(status.st_atime, status.st_mtime)
            file = _Entry(path, status.st_size, used)
            if path.suffix == ENTRY_SUFFIX:
                entries.append(file)
            elif path.suffix == ".tmp" and is_from_another_day(status):
                remains.append(file)
    return entries, remains


def _chosen(
    entries: list[_Entry], most_bytes: int | None, oldest: float | None
) -> list[_Entry]:
    """Choose the entries to remove, in this order.

    What others are found by is kept as long as there are others.
    """
    entries.sort(key=lambda entry: (entry.goes_last, entry.used))
    n_others = sum(not entry.goes_last for entry in entries)
    n_bytes = sum(entry.n_bytes for entry in entries)
    chosen: list[_Entry] = []
    for entry in entries:
        if entry.goes_last and len(chosen) < n_others:
            break
        is_old = oldest is not None and entry.used < oldest
        if is_old or (most_bytes is not None and n_bytes > most_bytes):
            chosen.append(entry)
            n_bytes -= entry.n_bytes
    return chosen


def _remove(entries: Iterable[_Entry]) -> int:
    """Remove files; return the number of their bytes."""
    n_bytes, problems = 0, []
    for entry in entries:
        try:
            entry.path.unlink()
            n_bytes += entry.n_bytes
        except FileNotFoundError:
            pass
        except OSError as error:
            problems.append(f"{entry.path}: {error.strerror}")
    if problems:
        warnings.warn(
            f"entries of the cache could not be removed: {problems[0]}"
            + (f" (and {len(problems) - 1} more)." if len(problems) > 1 else "."),
            RuntimeWarning,
            stacklevel=3,
        )
    return n_bytes


def _remove_empty_folders(cache: Path, least_age: float) -> None:
    """Remove folders of a cache that hold no entries, and the locks of stores.

    Parameters
    ----------
    cache : Path
    least_age : float
        Folders that were changed within so many seconds stay.
    """
    for store in list_folder(cache):
        locks = list_folder(store / LOCKS)
        if locks:
            # It was in use, and is not one that a process has just made.
            least_age = 0.0
        folders = [path for path in list_folder(store) if path.name != LOCKS]
        are_gone = [_remove_folder(folder, least_age) for folder in folders]
        # A store that has entries keeps its locks.
        if all(are_gone):
            for path in locks:
                _remove_lock(path)
            _remove_folder(store / LOCKS, least_age)
            _remove_folder(store, least_age)
    _remove_folder(cache, 0.0)


def _remove_folder(folder: Path, least_age: float) -> bool:
    """Remove a folder if it is empty and old enough; return whether it is gone."""
    with contextlib.suppress(OSError):
        if least_age == 0 or time.time() - folder.stat().st_mtime > least_age:
            folder.rmdir()
    return not folder.exists()


def _remove_lock(path: Path) -> None:
    """Remove the file of a lock, unless a process holds it."""
    with contextlib.ExitStack() as stack:
        try:
            lock = FileLock(path, fallback_to_soft=False)
            stack.enter_context(lock.acquire(timeout=0))
        except Timeout:
            return
        except OSError:
            pass  # Where files cannot be locked, no process holds this one.
        with contextlib.suppress(OSError):
            path.unlink()
