"""Distribution of the values of regions over the cells of a map."""

from __future__ import annotations

import numpy as np
from scipy.signal import convolve2d
from scipy.special import softmax

from skdpnet.regions import RegionGrid

__all__ = ["over_cells", "region_shares", "resample"]


def region_shares(responses: np.ndarray, beta: float | None) -> np.ndarray:
    """Return the share of each region in the maximum of each part.

    The shares are the derivatives of the soft maximum, ``∂b_p/∂S_pr = exp(β S_pr) /
    Σ_r exp(β S_pr)``. Those of the hard maximum are their limit: the region of the
    largest response has a share of 1, and several of them have equal shares.

    Parameters
    ----------
    responses : ndarray of shape (R, P)
    beta : float or None
        β of the soft maximum; None: the hard maximum.

    Returns
    -------
    float64 ndarray of shape (R, P)
        Columns sum to 1.
    """
    exact = responses.astype(np.float64)
    if beta is not None:
        return softmax(beta * exact, axis=0)
    is_largest = exact == exact.max(axis=0)
    return is_largest / is_largest.sum(axis=0)


def over_cells(
    values: np.ndarray, grid: RegionGrid, extent: tuple[int, int] | None = None
) -> np.ndarray:
    """Divide the value of each region evenly among its cells in the image.

    Parameters
    ----------
    values : ndarray of shape (R,)
    grid : RegionGrid
    extent : (int, int), default=None
        H and W, the rows and columns that the image covers, from the upper left corner
        of the map. None: all of the map.

    Returns
    -------
    float64 ndarray of shape (H, W)
        Its sum is that of `values`: values of regions without cells in the image are
        divided evenly among all of its cells.
    """
    rows, columns = extent or (grid.height, grid.width)
    out, elsewhere, start = np.zeros((grid.height, grid.width)), 0.0, 0
    for height, width in grid.windows:
        steps = grid.height - height + 1, grid.width - width + 1
        at_scale = values[start : start + steps[0] * steps[1]].reshape(steps)
        # The cells of each window in the image, along either side.
        down = np.clip(rows - np.arange(steps[0]), 0, height)
        across = np.clip(columns - np.arange(steps[1]), 0, width)
        n_cells = np.outer(down, across)
        elsewhere += at_scale[n_cells == 0].sum()
        shares = np.where(n_cells > 0, at_scale / np.maximum(n_cells, 1), 0)
        out += convolve2d(shares, np.ones((height, width)))
        start += at_scale.size
    return out[:rows, :columns] + elsewhere / (rows * columns)


def resample(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Divide the value of each cell among the cells of another map.

    Both maps cover the same box. The cells of the other map have shares that are
    proportional to their overlap with the cell.

    Parameters
    ----------
    cells : ndarray of shape (h, w)
        Values of the cells.
    shape : (int, int)
        H and W, the numbers of rows and columns of the other map.

    Returns
    -------
    float64 ndarray of shape (H, W)
        Its sum is that of `cells`.
    """
    rows, columns = (
        _overlaps(n_from, n_to) for n_from, n_to in zip(cells.shape, shape, strict=True)
    )
    return rows @ cells @ columns.T


def _overlaps(n_from: int, n_to: int) -> np.ndarray:
    """Return which share of each of `n_from` equal intervals is in each of `n_to`."""
    # The unit is 1 / (n_from n_to), so that all edges are whole numbers.
    starts_from = np.arange(n_from) * n_to
    starts_to = np.arange(n_to)[:, None] * n_from
    ends = np.minimum(starts_from + n_to, starts_to + n_from)
    return np.maximum(0, ends - np.maximum(starts_from, starts_to)) / n_to
