"""The tree that training starts from: cluster centres, placed as in a decision tree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

__all__ = ["Splits", "choose_splits"]

# Thresholds of a candidate that are tried at a node.
_THRESHOLDS = 16


class Splits(NamedTuple):
    """The candidate and the threshold of each node.

    Attributes
    ----------
    candidates : int64 ndarray of shape (N,)
    thresholds : float64 ndarray of shape (N,)
    """

    candidates: np.ndarray
    thresholds: np.ndarray


def choose_splits(
    distances: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    n_classes: int,
    children: np.ndarray,
) -> Splits:
    """Choose a prototype for each node of a complete tree by its information gain.

    From the root downwards, a node takes the candidate and the threshold that tell most
    about the class of the images that reach it. Images whose distance is above the
    threshold go left, all others right. Each candidate is taken once, unless there are
    fewer than nodes.

    Parameters
    ----------
    distances : float ndarray of shape (n, M)
        Of each candidate to the nearest region of each image.
    labels : int ndarray of shape (n,)
    weights : float ndarray of shape (n,)
    n_classes : int
    children : int64 ndarray of shape (N, 2)

    Returns
    -------
    Splits
    """
    n_nodes, n_candidates = len(children), distances.shape[1]
    members: dict[int, np.ndarray] = {0: np.arange(len(labels))}
    chosen, thresholds = np.empty(n_nodes, np.int64), np.empty(n_nodes)
    times_taken = np.zeros(n_candidates, int)
    of_class = np.zeros((len(labels), n_classes))
    of_class[np.arange(len(labels)), labels] = weights
    for node in range(n_nodes):
        # A node that no image reaches learns from all of them.
        here = members[node] if len(members[node]) else np.arange(len(labels))
        gains, cuts = _gains(distances[here], of_class[here])
        gains[times_taken > times_taken.min()] = -np.inf
        chosen[node] = best = int(gains.argmax())
        times_taken[best] += 1
        thresholds[node] = cuts[best]
        near = distances[members[node], best] <= thresholds[node]
        for slot, side in zip(children[node].tolist(), (~near, near), strict=True):
            if slot >= 0:
                members[slot] = members[node][side]
    return Splits(chosen, thresholds)


def _gains(
    distances: np.ndarray, of_class: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest information gain of each candidate, and its threshold."""
    levels = np.linspace(0, 1, _THRESHOLDS + 2)[1:-1]
    cuts = np.quantile(distances, levels, axis=0).T
    near = distances.T[:, None] <= cuts[:, :, None]
    right = near.astype(np.float32) @ of_class.astype(np.float32)
    right = right.astype(np.float64)
    left = np.maximum(of_class.sum(axis=0) - right, 0)
    gains = -_entropies(left) - _entropies(right)
    best = gains.argmax(axis=1)
    rows = np.arange(len(best))
    return gains[rows, best], cuts[rows, best]


def _entropies(counts: np.ndarray) -> np.ndarray:
    """Return the entropy of counts of classes, times their sum."""
    total = counts.sum(axis=-1)
    return xlogy(total, total) - xlogy(counts, counts).sum(axis=-1)
