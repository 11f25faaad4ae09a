"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

__all__ = ["replace_file", "target_file"]


def target_file(path: str | os.PathLike) -> Path:
    """Check that a path names a file that can be there.

    Parameters
    ----------
    path : str or path
        A leading ``~`` stands for the home directory.

    Returns
    -------
    Path

    Raises
    ------
    IsADirectoryError
        If the path is a folder.
    FileNotFoundError
        If there is no folder to write it in.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder: name a file in it to write to.")
    if not file.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {file.parent} to write {file.name} in: make it first."
        )
    return file


def replace_file(file: Path, data: bytes) -> None:
    """Write a file, replacing what was there, all or nothing.

    Parameters
    ----------
    file : Path
        As `target_file` returns it.
    data : bytes

    Raises
    ------
    OSError
        If writing fails; what was there is still there then.
    """
    temporary = file.with_name(f".skdpnet-{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as opened:
            opened.write(data)
            opened.flush()
            # Renamed before it is on disk, a crash could leave neither file.
            os.fsync(opened.fileno())
        os.replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
