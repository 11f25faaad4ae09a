"""Folders that other processes may make and remove at any time."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["list_folder", "make_folder"]

# How often a folder is made that other processes remove.
_ATTEMPTS = 1000


def make_folder(folder: Path) -> None:
    """Create a folder and those that it lies in, as far as they do not exist.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    OSError
        If it cannot be created.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return
        except (FileNotFoundError, FileExistsError):
            # It is said to exist even if it is removed before that is looked at, and a
            # folder above it may be removed while another process makes it.
            is_other = folder.is_file() or folder.is_symlink()
            if attempt == _ATTEMPTS or is_other:
                raise


def list_folder(folder: Path) -> list[Path]:
    """List what is in a folder, in any order.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of Path
        Empty if the folder does not exist, or may not be read.
    """
    try:
        return [folder / name for name in os.listdir(folder)]
    except OSError:
        return []
