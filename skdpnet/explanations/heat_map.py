"""Heat maps: values of regions, spread over the cells of a map."""

from __future__ import annotations

import numpy as np
from scipy.signal import convolve2d
from scipy.special import softmax

from skdpnet.regions import RegionGrid

__all__ = ["over_cells", "region_shares", "resample"]


def region_shares(responses: np.ndarray, beta: float | None) -> np.ndarray:
    """Return how much each region decides each part's maximum.

    Of the soft maximum ``b_p = (1/β) log mean_r exp(β S_pr)`` these are the
    derivatives ``∂b_p/∂S_pr = exp(β S_pr) / Σ_r exp(β S_pr)``. The hard maximum is
    their limit: all for the best region, in equal shares where several are best.

    Parameters
    ----------
    responses : ndarray of shape (R, P)
    beta : float or None
        None: the hard maximum.

    Returns
    -------
    float64 ndarray of shape (R, P)
        Columns sum to 1.
    """
    exact = responses.astype(np.float64)
    if beta is not None:
        return softmax(beta * exact, axis=0)
    best = exact == exact.max(axis=0)
    return best / best.sum(axis=0)


def over_cells(values: np.ndarray, grid: RegionGrid) -> np.ndarray:
    """Spread each region's value evenly over its cells.

    Parameters
    ----------
    values : ndarray of shape (R,)
    grid : RegionGrid

    Returns
    -------
    float64 ndarray of shape (H, W)
        Has the sum of `values`.
    """
    out = np.zeros((grid.height, grid.width))
    start = 0
    for height, width in grid.windows:
        steps = grid.height - height + 1, grid.width - width + 1
        of_scale = values[start : start + steps[0] * steps[1]].reshape(steps)
        out += convolve2d(of_scale, np.full((height, width), 1 / (height * width)))
        start += of_scale.size
    return out


def resample(cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Spread each cell's value evenly over the part of another map that it covers.

    Both maps cover the same square. On a map of a multiple of the cells, each cell
    that lies in a coarse one gets the same share; elsewhere cells share by overlap.

    Parameters
    ----------
    cells : ndarray of shape (h, w)
    shape : (int, int)
        H, W.

    Returns
    -------
    float64 ndarray of shape (H, W)
        Has the sum of `cells`.
    """
    rows, columns = (
        _overlaps(n_from, n_to) for n_from, n_to in zip(cells.shape, shape, strict=True)
    )
    return rows @ cells @ columns.T


def _overlaps(n_from: int, n_to: int) -> np.ndarray:
    """Return the share of each of n_from equal steps in each of n_to steps."""
    # In units of 1 / (n_from n_to), in which all edges are whole numbers.
    starts_from = np.arange(n_from) * n_to
    starts_to = np.arange(n_to)[:, None] * n_from
    ends = np.minimum(starts_from + n_to, starts_to + n_from)
    return np.maximum(0, ends - np.maximum(starts_from, starts_to)) / n_to
