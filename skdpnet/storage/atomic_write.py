"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from skdpnet.storage.folders import make_folder
from skdpnet.storage.temporary_files import open_temporary, remove_abandoned

__all__ = ["put_file", "replace_file", "target_file"]

# How often a file is written if other processes take its temporary file for an
# abandoned one, or remove its folder.
_ATTEMPTS = 10
# What is gone on this host, or on another that shares the file system.
_GONE = (errno.ENOENT, errno.ESTALE)


def target_file(path: str | os.PathLike) -> Path:
    """Check that a file can exist at a path.

    Parameters
    ----------
    path : str or path
        Path of the file; a leading ``~`` stands for the home directory.

    Returns
    -------
    Path
        The path, with the home directory filled in.

    Raises
    ------
    IsADirectoryError
        If the path is a folder.
    FileNotFoundError
        If the folder that the file would lie in does not exist.
    OSError
        If the path is a pipe or a device.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder: name a file in it to write to.")
    if not file.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {file.parent} to write {file.name} in: make it first."
        )
    if file.exists() and not file.is_file():
        raise OSError(f"{file} is a pipe or a device: name a file to write to.")
    return file


def replace_file(file: Path, data: bytes) -> None:
    """Write a file, replacing an existing one in one step.

    A link stays a link to the file that is replaced, and the permissions of an existing
    file stay as they are. Temporary files that killed processes left in the folder are
    removed.

    Parameters
    ----------
    file : Path
        As `target_file` returns it.
    data : bytes
        The new content.

    Raises
    ------
    OSError
        If writing fails; an existing file is then left unchanged.
    """
    target = Path(os.path.realpath(file))
    remove_abandoned(target.parent)
    try:
        _write(target, data, target.parent, of_user=True)
    except OSError as error:
        if error.errno is None:
            raise  # It names no file.
        # The user knows nothing of the temporary file that the error names.
        raise OSError(error.errno, error.strerror, os.fspath(file)) from error


def put_file(file: Path, data: bytes, scratch: Path) -> None:
    """Write a file of a cache, replacing an existing one in one step.

    A process that is killed leaves the old file or the new one. A crash of the system
    may leave a part of it, which the cache must recognise.

    Parameters
    ----------
    file : Path
        Its folder is created if it does not exist.
    data : bytes
    scratch : Path
        Folder for temporary files, on the same file system; created if it does not
        exist.

    Raises
    ------
    OSError
        If writing fails.
    """
    _write(file, data, scratch, of_user=False)


def _write(file: Path, data: bytes, scratch: Path, *, of_user: bool) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            if not of_user:
                make_folder(file.parent)
                if attempt > 1:
                    make_folder(scratch)
            _write_once(file, data, scratch, of_user=of_user)
            return
        except OSError as error:
            if error.errno not in _GONE or attempt == _ATTEMPTS:
                raise


def _write_once(file: Path, data: bytes, scratch: Path, *, of_user: bool) -> None:
    stream = open_temporary(scratch)
    try:
        with stream:
            stream.write(data)
            if of_user:
                # If it were renamed before its content is on disk, a crash could lose
                # both the old file and the new one.
                stream.flush()
                os.fsync(stream.fileno())
        if of_user:
            with contextlib.suppress(OSError):
                shutil.copymode(file, stream.name)
        # Not before it is closed: some systems report only then that a disk is full,
        # and some cannot rename open files.
        os.replace(stream.name, file)
    except BaseException:
        # The error that is to be raised says more than one about its remains.
        with contextlib.suppress(OSError):
            os.unlink(stream.name)
        raise
