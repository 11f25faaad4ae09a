"""Maxima of parts in the cells of a spatial pyramid, from responses computed once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from skdpnet.regions.extents import extents
from skdpnet.regions.grid import RegionGrid
from skdpnet.utils.batching import slices_within

__all__ = [
    "Groups",
    "cell_boxes",
    "cell_names",
    "distinct_cells",
    "image_groups",
    "pyramid_maxima",
    "pyramid_responses",
    "region_members",
]

# Numbers of images, and which regions of theirs (R) lie in which cells (C).
Groups = Sequence[tuple[np.ndarray, np.ndarray]]

# Bytes of the responses that are in memory at once, as in `maxima`.
_PIECE_BYTES_CPU = 3 * 2**20
_PIECE_BYTES_GPU = 256 * 2**20
_BELOW_ONE = np.nextafter(1.0, 0.0)


def cell_boxes(levels: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the cells of a spatial pyramid as shares of the image's sides.

    Parameters
    ----------
    levels : sequence of (rows, columns)
        Each cuts the image into as many cells.

    Returns
    -------
    float64 ndarray of shape (C, 4)
        Left, top, right and bottom of each cell, in [0, 1]; level by level, and row by
        row.
    """
    return np.array(
        [
            (
                column / n_columns,
                row / n_rows,
                (column + 1) / n_columns,
                (row + 1) / n_rows,
            )
            for n_rows, n_columns in levels
            for row in range(n_rows)
            for column in range(n_columns)
        ]
    )


def cell_names(boxes: np.ndarray) -> list[str]:
    """Name cells by where they lie; the whole image has an empty name.

    Parameters
    ----------
    boxes : float64 ndarray of shape (C, 4)
        As from `cell_boxes`.

    Returns
    -------
    list of str
        Distinct for distinct cells.

    Examples
    --------
    >>> from skdpnet.parts.pyramid_maxima import cell_boxes, cell_names
    >>> cell_names(cell_boxes([(1, 1), (2, 2)]))
    ['', 'upper left', 'upper right', 'lower left', 'lower right']
    >>> cell_names(cell_boxes([(3, 1)]))
    ['row 1 of 3', 'row 2 of 3', 'row 3 of 3']
    """
    return [
        " ".join(
            word
            for word in (
                _word(top, bottom, ("upper", "lower"), "row"),
                _word(left, right, ("left", "right"), "column"),
            )
            if word
        )
        for left, top, right, bottom in boxes.tolist()
    ]


def _word(start: float, end: float, halves: tuple[str, str], kind: str) -> str:
    """Say which stretch of a side it is; nothing of the whole side."""
    count = round(1 / (end - start))
    number = round(start * count)
    if count == 1:
        return ""
    return halves[number] if count == 2 else f"{kind} {number + 1} of {count}"


def distinct_cells(part_cells: np.ndarray) -> np.ndarray:
    """Return the cells of a pyramid from those of all parts, which repeat.

    Parameters
    ----------
    part_cells : float64 ndarray of shape (P, 4)
        The cells of the copies of the first part, then of the second, and so on.

    Returns
    -------
    float64 ndarray of shape (C, 4)
    """
    first_again = (part_cells[1:] == part_cells[0]).all(axis=1)
    if not first_again.any():
        return part_cells
    return part_cells[: 1 + int(first_again.argmax())]


def region_members(
    grid: RegionGrid, boxes: np.ndarray, rows: int, columns: int
) -> np.ndarray:
    """Find the cells in which the centres of regions lie.

    Parameters
    ----------
    grid : RegionGrid
        On a map of H×W cells.
    boxes : float64 ndarray of shape (C, 4)
        As from `cell_boxes`.
    rows, columns : int
        How much of the map the image covers, from the upper left corner. Regions whose
        centres lie beyond it belong to the cells at the edge.

    Returns
    -------
    bool ndarray of shape (R, C)
        A centre on the border of two cells lies in the right, or lower, one.
    """
    top, left, bottom, right = grid.cells.T[:, :, None]
    # Quotients of whole numbers that are equal are equal after rounding too.
    y = np.minimum((top + bottom) / (2 * rows), _BELOW_ONE)
    x = np.minimum((left + right) / (2 * columns), _BELOW_ONE)
    return (
        (boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3])
    )


def image_groups(
    maps: np.ndarray | torch.Tensor,
    grid: RegionGrid,
    boxes: np.ndarray,
    *,
    may_have_canvas: bool,
) -> Groups:
    """Group images by their extents on a map, with the regions in each cell.

    The cells of a pyramid divide the image, not the canvas of zeros that it may lie on.

    Parameters
    ----------
    maps : ndarray or tensor of shape (n, H, W, D)
    grid : RegionGrid
    boxes : float64 ndarray of shape (C, 4)
        As from `cell_boxes`.
    may_have_canvas : bool
        Whether zeros at the right and lower edges of a map may lie beyond the image.

    Returns
    -------
    list of (int ndarray of shape (n',), bool ndarray of shape (R, C))
        The numbers of the images of each group, and as from `region_members`.
    """
    if not may_have_canvas:
        whole = region_members(grid, boxes, grid.height, grid.width)
        return [(np.arange(len(maps)), whole)]
    if isinstance(maps, torch.Tensor):
        maps = maps.any(dim=3, keepdim=True).cpu().numpy()
    sizes, groups = np.unique(extents(maps), axis=0, return_inverse=True)
    return [
        (np.flatnonzero(groups.ravel() == i), region_members(grid, boxes, *size))
        for i, size in enumerate(sizes.tolist())
    ]


def pyramid_maxima(
    regions: torch.Tensor, parts: torch.Tensor, groups: Groups
) -> torch.Tensor:
    """Compute the maxima of all parts over the regions of each cell.

    Parameters
    ----------
    regions : tensor of shape (n, R, K)
        Of length at most 1.
    parts : tensor of shape (P, K)
    groups : list of (int ndarray of shape (n',), bool ndarray of shape (R, C))
        As from `image_groups`.

    Returns
    -------
    tensor of shape (n, P * C)
        The maxima of the first part in all cells, then those of the second, and so on.
        In a cell without regions it is the lowest response that the part can have,
        ``-‖u_p‖``. Empty regions, which are zero, belong to all other cells.
    """
    n_cells = groups[0][1].shape[1]
    lowest = -parts.norm(dim=1)
    maxima = regions.new_empty((len(regions), len(parts), n_cells))
    on_cpu = regions.device.type == "cpu"
    budget = _PIECE_BYTES_CPU if on_cpu else _PIECE_BYTES_GPU
    bytes_per_image = 4 * regions.shape[1] * len(parts)
    for numbers, members in groups:
        of_cells = [
            torch.from_numpy(np.flatnonzero(of_cell)).to(regions.device)
            for of_cell in members.T
        ]
        for piece in slices_within(len(numbers), bytes_per_image, budget):
            images = torch.from_numpy(numbers[piece]).to(regions.device)
            some = regions[images]
            responses = some @ parts.T
            has_empty = ~some.any(dim=2).all(dim=1)
            for cell, of_cell in enumerate(of_cells):
                if len(of_cell) == 0:
                    maxima[images, :, cell] = lowest
                elif len(of_cell) == regions.shape[1]:
                    maxima[images, :, cell] = responses.amax(dim=1)
                else:
                    of_image = responses[:, of_cell].amax(dim=1)
                    floor = torch.where(has_empty, 0.0, -torch.inf)[:, None]
                    maxima[images, :, cell] = torch.maximum(of_image, floor)
    return maxima.flatten(1)


def pyramid_responses(
    regions: torch.Tensor, parts: torch.Tensor, groups: Groups
) -> torch.Tensor:
    """Compute responses of each part for the cells, to the regions of each alone.

    Parameters
    ----------
    regions : tensor of shape (n, R, K)
        Of length at most 1.
    parts : tensor of shape (P, K)
    groups : list of (int ndarray of shape (n',), bool ndarray of shape (R, C))
        As from `image_groups`.

    Returns
    -------
    tensor of shape (n, R, P * C)
        The lowest response that a part can have, ``-‖u_p‖``, to regions outside the
        cell. Empty regions, which are zero, belong to all cells that have regions. The
        maxima over the regions are those of `pyramid_maxima`.
    """
    n_cells = groups[0][1].shape[1]
    lowest = -parts.norm(dim=1)[:, None]
    responses, empty = regions @ parts.T, ~regions.any(dim=2)
    out = responses.new_empty((*responses.shape, n_cells))
    for numbers, members in groups:
        images = torch.from_numpy(numbers).to(responses.device)
        of_group = torch.from_numpy(members).to(responses.device)
        inside = of_group | (empty[images, :, None] & of_group.any(dim=0))
        inside = inside[:, :, None]
        out[images] = torch.where(inside, responses[images][..., None], lowest)
    return out.flatten(2)
