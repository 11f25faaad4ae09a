"""What the boosted trees of a class say of images, and what each part adds to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from skdpnet.parts.boosted.adaboost import Boosted
from skdpnet.persistence.checks import check_array
from skdpnet.utils.batching import slices_within

__all__ = [
    "Forest",
    "check_forest",
    "forest_contributions",
    "forest_importances",
    "forest_scores",
    "stack_trees",
]

# Bytes of the nodes that some images visit.
_PATH_BYTES = 32 * 2**20
_MOST_NODES = 2**10
_MOST_TREES = 2**20


class Forest(NamedTuple):
    """The trees of each class as arrays; see `Tree` for how nodes are numbered.

    Parameters
    ----------
    parts : int64 ndarray of shape (C, T, N)
        The part that each node asks for; −1: the node sends all images to the left.
    thresholds : float32 ndarray of shape (C, T, N)
        Images go to the right whose number of that part is above it.
    values : float64 ndarray of shape (C, T, 2 N + 1)
        The score of each leaf, and of each node the mean score of the training images
        that come to it. The trees that a class has fewer than T are 0.
    """

    parts: np.ndarray
    thresholds: np.ndarray
    values: np.ndarray


def stack_trees(boosted: Sequence[Boosted], depth: int) -> Forest:
    """Put the trees of all classes into arrays, and their weights into the values.

    The weights of each class are scaled so that they add up to the mean of the sums of
    all classes. Otherwise a class whose boosting ends early, because a tree is never
    wrong, would be outvoted by the others.

    Parameters
    ----------
    boosted : sequence of Boosted
        One for each class.
    depth : int
        d, so that N is ``2**d - 1``.

    Returns
    -------
    Forest
        With T of at least 1.
    """
    n_trees = max(1, *(len(of_class.trees) for of_class in boosted))
    shape = len(boosted), n_trees, 2**depth - 1
    forest = Forest(
        np.full(shape, -1),
        np.zeros(shape, np.float32),
        np.zeros((*shape[:2], 2 * shape[2] + 1)),
    )
    totals = np.array([of_class.weights.sum() for of_class in boosted])
    common = totals.sum() / max(1, np.count_nonzero(totals))
    for c, of_class in enumerate(boosted):
        for t, tree in enumerate(of_class.trees):
            forest.parts[c, t] = tree.parts
            forest.thresholds[c, t] = tree.thresholds
            weight = of_class.weights[t] * common / totals[c]
            forest.values[c, t] = weight * tree.values
    return forest


def forest_importances(boosted: Sequence[Boosted], n_parts: int) -> np.ndarray:
    """Return by how much each part decides on each class.

    The gains of a tree's nodes, divided by their sum, are shares of its parts. They are
    averaged over the trees that have splits, with the trees' weights.

    Parameters
    ----------
    boosted : sequence of Boosted
    n_parts : int
        P.

    Returns
    -------
    float64 ndarray of shape (C, P)
        Rows sum to 1; to 0 for a class without any split.
    """
    shares = np.zeros((len(boosted), n_parts))
    for row, of_class in zip(shares, boosted, strict=True):
        for alpha, tree in zip(of_class.weights, of_class.trees, strict=True):
            split = tree.parts >= 0
            gains = tree.gains[split]
            np.add.at(row, tree.parts[split], alpha * gains / max(gains.sum(), 1e-300))
    totals = shares.sum(axis=1, keepdims=True)
    return shares / np.where(totals > 0, totals, 1)


def forest_scores(descriptors: np.ndarray, forest: Forest) -> np.ndarray:
    """Add up the scores of the leaves that images come to.

    Parameters
    ----------
    descriptors : float32 ndarray of shape (n, P)
    forest : Forest

    Returns
    -------
    float64 ndarray of shape (n, C)
    """
    scores = np.zeros((len(descriptors), len(forest.parts)))
    for c, trees in enumerate(zip(*forest, strict=True)):
        of_class = Forest(*trees)
        for images, path in _paths(descriptors, of_class):
            trees_of_class = np.arange(path.shape[1])
            scores[images, c] = of_class.values[trees_of_class, path[..., -1]].sum(1)
    return scores


def forest_contributions(
    descriptors: np.ndarray, forest: Forest, class_number: int
) -> np.ndarray:
    """Compute what each part adds to the trees' score of a class.

    On its path through a tree an image comes from a node to a child. The change of the
    value is added to the part that the node asks for (the decomposition of Saabas).
    With the values of the roots, the contributions add up to the score.

    Parameters
    ----------
    descriptors : float32 ndarray of shape (n, P)
    forest : Forest
    class_number : int

    Returns
    -------
    float64 ndarray of shape (n, P)
    """
    of_class = Forest(*(array[class_number] for array in forest))
    out = np.zeros(descriptors.shape)
    for images, path in _paths(descriptors, of_class):
        some = out[images]
        n, n_trees, _ = path.shape
        trees = np.arange(n_trees)
        rows = np.arange(n)[:, None]
        for level in range(path.shape[2] - 1):
            here, below = path[..., level], path[..., level + 1]
            parts = of_class.parts[trees, here]
            steps = of_class.values[trees, below] - of_class.values[trees, here]
            # A node without a part has a child of the same value.
            np.add.at(some, (rows, np.maximum(parts, 0)), np.where(parts < 0, 0, steps))
    return out


def _paths(
    descriptors: np.ndarray, of_class: Forest
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of the images, with the nodes (n', T, d + 1) that they visit."""
    n_trees, n_nodes = of_class.parts.shape
    depth = n_nodes.bit_length()
    trees = np.arange(n_trees)
    bytes_per_image = 8 * n_trees * (depth + 1)
    for images in slices_within(len(descriptors), bytes_per_image, _PATH_BYTES):
        some = descriptors[images]
        rows = np.arange(len(some))[:, None]
        path = np.zeros((len(some), n_trees, depth + 1), np.intp)
        for level in range(depth):
            here = path[..., level]
            parts = of_class.parts[trees, here]
            above = some[rows, parts] > of_class.thresholds[trees, here]
            path[..., level + 1] = 2 * here + 1 + (above & (parts >= 0))
        yield images, path


def check_forest(
    parts: Any, thresholds: Any, values: Any, n_classes: int, n_parts: int
) -> None:
    """Check the arrays of a `Forest` in a model file.

    Parameters
    ----------
    parts, thresholds, values : ndarray
    n_classes : int
    n_parts : int

    Raises
    ------
    ValueError
        If they are not the trees of so many classes over so many parts.
    """
    if (
        not isinstance(parts, np.ndarray)
        or parts.dtype != np.int64
        or parts.ndim != 3
        or parts.size == 0
        or len(parts) != n_classes
    ):
        raise ValueError(f"tree_parts_ does not hold trees of {n_classes} classes")
    _, n_trees, n_nodes = parts.shape
    if n_nodes & (n_nodes + 1) or n_nodes > _MOST_NODES or n_trees > _MOST_TREES:
        raise ValueError("tree_parts_ does not hold complete trees")
    if (parts < -1).any() or (parts >= n_parts).any():
        raise ValueError(f"tree_parts_ does not hold numbers of {n_parts} parts")
    check_array("tree_thresholds_", thresholds, parts.shape)
    shape = n_classes, n_trees, 2 * n_nodes + 1
    check_array("tree_values_", values, shape, np.float64)
