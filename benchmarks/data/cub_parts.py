"""The annotations of CUB-200-2011: the birds' boxes and the points of their parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_bird_boxes", "read_part_points"]

_LAYOUT = (
    "expected are images.txt, bounding_boxes.txt, parts/parts.txt and "
    "parts/part_locs.txt of the archive CUB_200_2011.tgz, which is at data.caltech.edu."
)


def read_part_points(
    folder: str | os.PathLike[str], paths: Sequence[str]
) -> tuple[NDArray[np.float64], list[str]]:
    """Read the positions of the parts in images of CUB-200-2011.

    Parameters
    ----------
    folder : str or path
        The folder ``CUB_200_2011`` of the archive.
    paths : sequence of n str
        Images in its folder ``images``, as `readers.read_cub` returns them.

    Returns
    -------
    points : float64 ndarray of shape (n, K, 2)
        (x, y) of each part in pixels of the image; NaN where the part is not visible.
    names : list of K str
        Names of the parts; the left and the right eye, leg and wing are separate parts.

    Raises
    ------
    FileNotFoundError
        If a list is missing; the message names it.
    ValueError
        If a list is not of the expected form, or lacks one of the images or parts.
    """
    root = Path(folder)
    rows = _rows(root, paths)
    parts = _pairs(root / "parts" / "parts.txt")
    column = {number: k for k, (number, _) in enumerate(parts)}
    file = root / "parts" / "part_locs.txt"
    table = _table(file, "5 of image, part, x, y and visible")
    points = np.full((len(paths), len(parts), 2), np.nan)
    for image, part, x, y, visible in table:
        if int(part) not in column:
            raise ValueError(
                f"{file} has a part {part:g} that parts.txt lacks; {_LAYOUT}"
            )
        if visible:
            points[rows.get(int(image), []), column[int(part)]] = x, y
    return points, [name for _, name in parts]


def read_bird_boxes(
    folder: str | os.PathLike[str], paths: Sequence[str]
) -> NDArray[np.float64]:
    """Read the boxes of the birds in images of CUB-200-2011.

    Parameters
    ----------
    folder, paths
        As in `read_part_points`.

    Returns
    -------
    float64 ndarray of shape (n, 4)
        Left, top, right and bottom in pixels of the image; NaN where no box is listed.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_part_points`.
    """
    root = Path(folder)
    rows = _rows(root, paths)
    boxes = np.full((len(paths), 4), np.nan)
    file = root / "bounding_boxes.txt"
    for image, x, y, width, height in _table(file, "5 of image, x, y, width, height"):
        boxes[rows.get(int(image), [])] = x, y, x + width, y + height
    return boxes


def _rows(root: Path, paths: Sequence[str]) -> dict[int, list[int]]:
    """Return the rows of `paths` that show the image of each number in images.txt."""
    images = {name: number for number, name in _pairs(root / "images.txt")}
    unknown = [path for path in paths if _name(root, path) not in images]
    if unknown:
        raise ValueError(f"{root / 'images.txt'} does not list {unknown[0]}; {_LAYOUT}")
    rows: dict[int, list[int]] = {}
    for i, path in enumerate(paths):
        rows.setdefault(images[_name(root, path)], []).append(i)
    return rows


def _table(file: Path, columns: str) -> NDArray[np.float64]:
    """Read a list of lines of five numbers."""
    try:
        table = np.loadtxt(_checked(file), ndmin=2, comments=None)
    except ValueError as error:
        raise ValueError(f"{file} cannot be read: {error}; {_LAYOUT}") from error
    if table.shape[1] != 5:
        raise ValueError(
            f"{file} has {table.shape[1]} numbers a line, not the {columns}; {_LAYOUT}"
        )
    return table


def _pairs(file: Path) -> list[tuple[int, str]]:
    """Read a list whose lines have a number, a blank and a name."""
    pairs = []
    for line in _checked(file).read_text(encoding="utf-8").splitlines():
        number, _, name = line.strip().partition(" ")
        if not (number.isdecimal() and name):
            raise ValueError(
                f"{file} has a line {line!r}, not a number and a name; {_LAYOUT}"
            )
        pairs.append((int(number), name))
    return pairs


def _checked(file: Path) -> Path:
    if not file.is_file():
        raise FileNotFoundError(f"no file {file}; {_LAYOUT}")
    return file


def _name(root: Path, path: str) -> str:
    """Return the name of an image in images.txt."""
    return Path(os.path.relpath(path, root / "images")).as_posix()
