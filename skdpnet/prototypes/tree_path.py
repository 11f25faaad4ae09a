"""The path of one image through a tree of prototypes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["TreePath", "path_of"]


@dataclass(frozen=True, eq=False)
class TreePath:
    """The nodes that an image passes on its way to a leaf.

    `ProtoTreeClassifier.path` returns it. The path has k nodes.

    Attributes
    ----------
    predicted : label
        The most probable class of the leaf.
    nodes : int64 ndarray of shape (k,)
        Numbers of the nodes, from the root on.
    prototypes : int64 ndarray of shape (k,)
        Their prototypes.
    presences : float64 ndarray of shape (k,)
        The probability s that each prototype is present.
    went_right : bool ndarray of shape (k,)
        Whether the path goes to the right, "present", at each node.
    boxes : float64 ndarray of shape (k, 4)
        The region of the image that is most similar to each prototype: (left, top,
        right, bottom) in pixels; for precomputed features, in shares of the map's
        sides.
    leaf : int
        The number of the leaf.
    probability : float
        The probability of the path, the product of s or ``1 - s`` at its nodes.
    distribution : float64 ndarray of shape (C,)
        The probabilities of the classes in the leaf.
    """

    predicted: Any
    nodes: np.ndarray
    prototypes: np.ndarray
    presences: np.ndarray
    went_right: np.ndarray
    boxes: np.ndarray = field(repr=False)
    leaf: int
    probability: float
    distribution: np.ndarray = field(repr=False)


def path_of(
    right: np.ndarray, presence: np.ndarray, boxes: np.ndarray, tree: Any
) -> TreePath:
    """Walk through a tree from its root.

    Parameters
    ----------
    right : bool ndarray of shape (N,)
        The side that is taken at each node.
    presence : float ndarray of shape (N,)
        The probability s at each node.
    boxes : float ndarray of shape (N, 4)
        The most similar region of each prototype.
    tree : fitted ProtoTreeClassifier

    Returns
    -------
    TreePath
    """
    nodes, slot = [], 0
    while slot >= 0:
        nodes.append(slot)
        slot = int(tree.children_[slot, int(right[slot])])
    passed = np.array(nodes, np.int64)
    prototypes = tree.node_prototypes_[passed]
    presences, went_right = presence[passed].astype(np.float64), right[passed]
    distribution = tree.leaf_probabilities_[-1 - slot]
    return TreePath(
        predicted=tree.classes_.tolist()[distribution.argmax()],
        nodes=passed,
        prototypes=prototypes,
        presences=presences,
        went_right=went_right,
        boxes=boxes[prototypes],
        leaf=-1 - slot,
        probability=float(np.where(went_right, presences, 1 - presences).prod()),
        distribution=distribution,
    )
