"""Spatial pyramids: an image cut into cells, each of which is encoded by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skdpnet.utils.validation import Number

__all__ = [
    "WHOLE_IMAGE",
    "Levels",
    "PyramidLevels",
    "check_fit",
    "n_cells",
    "pyramid_cells",
]

# The pyramid of one cell.
WHOLE_IMAGE = ((1, 1),)

Levels = Sequence[Sequence[int]]


class PyramidLevels:
    """The constraint of a parameter that is a spatial pyramid."""

    def accepts(self, value: object) -> bool:
        """Return whether the parameter may have this value."""
        levels, count = _items(value), Number(1, whole=True)
        return len(levels) > 0 and all(
            len(_items(level)) == 2 and all(map(count.accepts, _items(level)))
            for level in levels
        )

    def __str__(self) -> str:
        return "a sequence of pairs (rows, columns) of whole numbers of at least 1"


def _items(value: object) -> list:
    """List the items of a sequence; there are none of other values."""
    if isinstance(value, np.ndarray):
        return list(value) if value.ndim else []
    return list(value) if isinstance(value, Sequence) else []


def check_fit(levels: Levels, map_shapes: Sequence[tuple[int, ...]]) -> None:
    """Check that feature maps can be cut into the cells of a pyramid.

    Parameters
    ----------
    levels : sequence of (rows, columns)
    map_shapes : sequence of tuples
        (H, W, D) of each map, or (R, D) or (D,) for regions and features.

    Raises
    ------
    ValueError
        If a map has fewer rows or columns than a level, or no rows and columns.
    """
    for shape in map_shapes:
        height, width = shape[:2] if len(shape) == 3 else (1, 1)
        for rows, columns in levels:
            if rows <= height and columns <= width:
                continue
            if len(shape) < 3:
                raise ValueError(
                    f"pyramid has a level of {rows}×{columns} cells, but regions and "
                    "features have no place in the image: use pyramid=None, or maps "
                    "n×H×W×D."
                )
            raise ValueError(
                f"pyramid has a level of {rows}×{columns} cells, but a feature map has "
                f"only {height}×{width}: use fewer cells, or a finer map."
            )


def n_cells(levels: Levels) -> int:
    """Return the number of cells of all levels."""
    return sum(int(rows) * int(columns) for rows, columns in levels)


def pyramid_cells(levels: Levels, height: int, width: int) -> list[tuple[slice, slice]]:
    """Cut a feature map into the cells of a pyramid.

    Parameters
    ----------
    levels : sequence of (rows, columns)
        Each cuts the map into as many cells, of equal sides in the image.
    height, width : int
        H and W.

    Returns
    -------
    list of (slice, slice)
        The rows and columns of the map whose centres are in each cell; level by level,
        and row by row.

    Examples
    --------
    >>> from skdpnet.encodings.pyramid import pyramid_cells
    >>> pyramid_cells([(1, 2)], height=3, width=4)
    [(slice(0, 3, None), slice(0, 2, None)), (slice(0, 3, None), slice(2, 4, None))]
    """
    return [
        (rows, columns)
        for n_rows, n_columns in levels
        for rows in _stretches(n_rows, height)
        for columns in _stretches(n_columns, width)
    ]


def _stretches(n_stretches: int, length: int) -> list[slice]:
    """Cut a row or column of a map by where the centres of its cells lie."""
    stretch_of = (2 * np.arange(length) + 1) * n_stretches // (2 * length)
    starts = np.searchsorted(stretch_of, np.arange(n_stretches + 1)).tolist()
    return [slice(*ends) for ends in zip(starts[:-1], starts[1:], strict=True)]
