"""Which prototypes ProtoPShare merges, and what a merge does to the last layer."""

from __future__ import annotations

import numpy as np

__all__ = ["dissimilarities", "find_merges", "merge_columns", "merge_owners"]


def dissimilarities(distances: np.ndarray, part_maps: np.ndarray) -> np.ndarray:
    """Return how differently two prototypes respond to the training images.

    It is the squared Euclidean distance of their columns (Rymarczyk et al., 2021,
    section 3.2).

    Parameters
    ----------
    distances : float ndarray of shape (n, P)
        The distance of each prototype to the nearest region of each training image,
        without the images that the prototypes come from; see `leave_sources_out`.
    part_maps : int ndarray of shape (P,)
        The feature map of each prototype.

    Returns
    -------
    float64 ndarray of shape (P, P)
        Infinite for prototypes of different maps, and of each with itself.
    """
    columns = distances.astype(np.float64)
    # Differences of columns are those of centred columns, which lose less to rounding.
    columns -= columns.mean(axis=1, keepdims=True)
    squares = np.square(columns).sum(axis=0)
    out = squares[:, None] + squares - 2 * (columns.T @ columns)
    np.maximum(out, 0, out=out)
    out[part_maps[:, None] != part_maps] = np.inf
    np.fill_diagonal(out, np.inf)
    return out


def find_merges(dissimilarity: np.ndarray, n_alike: int) -> np.ndarray:
    """Find the prototypes that one round merges.

    Of the smallest dissimilarity of each prototype to another, the `n_alike`-th
    smallest is the threshold. In the order of their numbers, prototypes take in all
    others that are within it and that none has taken in before.

    Parameters
    ----------
    dissimilarity : float ndarray of shape (P, P)
        Symmetric; infinite for pairs that may not merge.
    n_alike : int
        Number of prototypes, at least 1, that have another within the threshold: more
        where dissimilarities are equal, fewer where fewer may merge.

    Returns
    -------
    int ndarray of shape (P,)
        The number of the prototype that each is merged into: its own, if it stays.
    """
    into = np.arange(len(dissimilarity))
    smallest = dissimilarity.min(axis=1)
    smallest = np.sort(smallest[np.isfinite(smallest)])
    if len(smallest) == 0:
        return into
    alike = dissimilarity <= smallest[:n_alike][-1]
    for p in range(len(into)):
        if into[p] == p:
            free = into == np.arange(len(into))
            free[: p + 1] = False
            into[alike[p] & free] = p
    return into


def merge_columns(W: np.ndarray, into: np.ndarray) -> np.ndarray:
    """Add the weights of merged prototypes to those that they are merged into.

    Two prototypes that respond alike then add to a score what one does with the sum of
    their weights.

    Parameters
    ----------
    W : float ndarray of shape (C, P)
        Weights of the classes on the prototypes.
    into : int ndarray of shape (P,)
        As from `find_merges`.

    Returns
    -------
    float ndarray of shape (C, P')
        The weights on the P' prototypes that stay.
    """
    merged = np.zeros_like(W)
    np.add.at(merged.T, into, W.T)
    return merged[:, _stay(into)]


def merge_owners(own: np.ndarray, into: np.ndarray) -> np.ndarray:
    """Give prototypes the classes of those that are merged into them.

    Parameters
    ----------
    own : bool ndarray of shape (C, P)
        The classes that each prototype belongs to.
    into : int ndarray of shape (P,)
        As from `find_merges`.

    Returns
    -------
    bool ndarray of shape (C, P')
    """
    merged = np.zeros_like(own)
    np.logical_or.at(merged.T, into, own.T)
    return merged[:, _stay(into)]


def _stay(into: np.ndarray) -> np.ndarray:
    return into == np.arange(len(into))
