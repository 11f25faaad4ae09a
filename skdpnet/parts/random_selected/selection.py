"""A pool of random regions, and the choice of the parts that classify best together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm.auto import tqdm

from skdpnet.parts.random_selected.group_lasso import group_lasso_path
from skdpnet.parts.standardisation import standardisation
from skdpnet.utils.batching import slices_within

__all__ = ["columns_of", "draw_candidates", "select_parts"]

_PIECE_BYTES = 128 * 2**20


def draw_candidates(
    regions: np.ndarray, n_candidates: int, random_state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Draw regions at random, each with the same probability.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        The whitened regions of the training images.
    n_candidates : int
    random_state : RandomState

    Returns
    -------
    images, numbers : int ndarrays of shape (P',)
        The image of each candidate, and its number among the regions of the image. All
        are different, and fewer than `n_candidates` if there are no more. Regions whose
        descriptor is zero, which respond to nothing, are not drawn.
    """
    has_direction = np.empty(regions.shape[:2], dtype=bool)
    for images in slices_within(len(regions), 4 * regions[0].size, _PIECE_BYTES):
        has_direction[images] = regions[images].any(axis=2)
    there_are = np.flatnonzero(has_direction)
    n_drawn = min(n_candidates, len(there_are))
    drawn = random_state.choice(there_are, n_drawn, replace=False)
    return np.divmod(drawn, regions.shape[1])


def columns_of(parts: np.ndarray, n_cells: int) -> np.ndarray:
    """Return the columns of parts that have a column for each cell of a pyramid.

    Parameters
    ----------
    parts : int ndarray of shape (P',)
    n_cells : int

    Returns
    -------
    int ndarray of shape (P' * n_cells,)
    """
    return (parts[:, None] * n_cells + np.arange(n_cells)).ravel()


def select_parts(
    maxima: Sequence[np.ndarray],
    labels: np.ndarray,
    n_parts: Sequence[int],
    n_cells: int = 1,
    verbose: int = 0,
) -> list[np.ndarray]:
    """Choose the parts of each map by the group lasso.

    The classifier of `group_lasso_path` sees the candidates of all maps, standardised.
    The path is followed until it uses as many candidates of each map as are asked for;
    those with the largest norms are chosen.

    Parameters
    ----------
    maxima : sequence of ndarray of shape (n, P' * n_cells)
        For each map, the maxima of the responses of its candidates in each cell.
    labels : int ndarray of shape (n,)
        In 0 … C - 1.
    n_parts : sequence of int
        Number of parts of each map, at most P'.
    n_cells : int, default=1
        Number of adjacent columns of a candidate, which are one group.
    verbose : int, default=0
        Whether a progress bar shows the path.

    Returns
    -------
    list of int ndarray
        For each map the numbers of the candidates, those with the largest norms first.
        If the path ends before enough are in use, the rest are the candidates of least
        number that are not. All are chosen, in their order, where all are asked for.
    """
    n_candidates = [of_map.shape[1] // n_cells for of_map in maxima]
    if list(n_parts) == n_candidates:
        return [np.arange(n) for n in n_parts]
    values = np.hstack(maxima).astype(np.float64)
    shift, scale = standardisation(values)
    values = (values - shift) * (scale * np.sqrt(len(scale)))
    signs = np.where(labels[:, None] == np.arange(labels.max() + 1), 1.0, -1.0)
    ends = np.cumsum(n_candidates)[:-1]
    norms = [np.zeros(n) for n in n_candidates]
    with tqdm(
        total=sum(n_parts), desc="parts in use", unit="part", disable=not verbose
    ) as bar:
        for _, model in group_lasso_path(values, signs, n_cells):
            norms = np.split(model.norms, ends)
            in_use = [
                min(n, int(np.count_nonzero(of_map)))
                for of_map, n in zip(norms, n_parts, strict=True)
            ]
            bar.update(sum(in_use) - bar.n)
            if in_use == list(n_parts):
                break
    return [
        np.argsort(-of_map, kind="stable")[:n]
        for of_map, n in zip(norms, n_parts, strict=True)
    ]
