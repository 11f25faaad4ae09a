"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

__all__ = ["replace_file", "target_file"]


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
    """Write a file, replacing an existing one in one step.

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
    temporary = file.with_name(f".skdpnet-{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as stream:
            stream.write(data)
            stream.flush()
            # If it were renamed before its content is on disk, a crash could lose
            # both the old file and the new one.
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
