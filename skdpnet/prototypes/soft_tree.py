"""Soft binary trees: the paths of images, their leaves, and what pruning leaves.

A tree of N inner nodes has L = N + 1 leaves. It is an int64 array `children` (N, 2):
the slots to the left and to the right of each node. A slot k ≥ 0 is the node k, and a
slot k < 0 is the leaf −1 − k. Nodes and leaves are numbered level by level, from left
to right; node 0 is the root. So each node comes after its parent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = [
    "check_tree",
    "complete_tree",
    "hard_presence",
    "leaves_below",
    "mean_distributions",
    "path_log_probabilities",
    "path_probabilities",
    "prune_tree",
    "update_leaves",
]


def complete_tree(depth: int) -> np.ndarray:
    """Return the tree in which every path has the same number of nodes.

    Parameters
    ----------
    depth : int >= 1
        Number of nodes of a path.

    Returns
    -------
    int64 ndarray of shape (2 ** depth - 1, 2)

    Examples
    --------
    >>> from skdpnet.prototypes.soft_tree import complete_tree
    >>> complete_tree(2).tolist()
    [[1, 2], [-1, -2], [-3, -4]]
    """
    n_nodes = 2**depth - 1
    slots = np.arange(1, 2 * n_nodes + 1)
    return np.where(slots < n_nodes, slots, n_nodes - 1 - slots).reshape(n_nodes, 2)


def check_tree(children: Any) -> None:
    """Check that an array is a tree, so that a walk in it ends at a leaf.

    Parameters
    ----------
    children : ndarray

    Raises
    ------
    ValueError
        If it is not an array of such a form, or if a node or a leaf has not exactly one
        parent, which comes before it.
    """
    if (
        not isinstance(children, np.ndarray)
        or children.dtype != np.int64
        or children.ndim != 2
        or children.shape[1] != 2
        or len(children) == 0
    ):
        raise ValueError("children_ does not hold two slots of each node")
    slots, n_nodes = children.ravel(), len(children)
    parents = np.repeat(np.arange(n_nodes), 2)
    inner = slots >= 0
    if (
        not np.array_equal(slots[inner], np.arange(1, n_nodes))
        or not np.array_equal(slots[~inner], -1 - np.arange(n_nodes + 1))
        or not (slots[inner] > parents[inner]).all()
    ):
        raise ValueError("children_ is not a tree whose nodes are numbered by level")


def path_log_probabilities(
    log_absent: torch.Tensor, log_present: torch.Tensor, children: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logarithms of the probabilities to reach each node and each leaf.

    Parameters
    ----------
    log_absent, log_present : tensors of shape (n, N)
        Logarithms of the probabilities ``1 - s`` and s to go left and right at each
        node; −∞ for 0.
    children : int64 ndarray of shape (N, 2)

    Returns
    -------
    nodes : tensor of shape (n, N)
    leaves : tensor of shape (n, N + 1)
        They are the sums along the paths. The probabilities of an image's leaves add up
        to 1.
    """
    nodes, leaves = [], []
    slots = np.zeros(1, np.int64)
    reached = log_present.new_zeros(len(log_present), 1)
    while len(slots):
        is_node = slots >= 0
        level = slots[is_node]
        at_nodes = reached[:, np.flatnonzero(is_node)]
        nodes.append(at_nodes)
        leaves.append(reached[:, np.flatnonzero(~is_node)])
        sides = (at_nodes + log_absent[:, level], at_nodes + log_present[:, level])
        reached = torch.stack(sides, dim=2).flatten(1)
        slots = children[level].ravel()
    return torch.cat(nodes, dim=1), torch.cat(leaves, dim=1)


def path_probabilities(
    presence: np.ndarray, children: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities to reach each node and each leaf.

    Parameters
    ----------
    presence : float ndarray of shape (n, N)
        The probability s to go right at each node.
    children : int64 ndarray of shape (N, 2)

    Returns
    -------
    nodes : float64 ndarray of shape (n, N)
    leaves : float64 ndarray of shape (n, N + 1)
        As of `path_log_probabilities`, without logarithms, which a probability of 0
        has not.
    """
    n_nodes = len(children)
    s = presence.astype(np.float64)
    # Slots below 0 are the last columns, from the right.
    reached = np.ones((len(s), 2 * n_nodes + 1))
    for node, (left, right) in enumerate(children.tolist()):
        reached[:, left] = reached[:, node] * (1 - s[:, node])
        reached[:, right] = reached[:, node] * s[:, node]
    return reached[:, :n_nodes], reached[:, : n_nodes - 1 : -1]


def hard_presence(presence: np.ndarray, children: np.ndarray, rule: str) -> np.ndarray:
    """Replace probabilities by 0 and 1, so that a single leaf is reached.

    Parameters
    ----------
    presence : float ndarray of shape (n, N)
        The probability s to go right at each node.
    children : int64 ndarray of shape (N, 2)
    rule : {"best_leaf", "greedy"}
        The leaf that is reached: that of the most probable path, or that of a walk from
        the root which goes right where s > 0.5.

    Returns
    -------
    float64 ndarray of shape (n, N)
    """
    if rule == "greedy":
        return (presence > 0.5).astype(np.float64)
    # The best probability from each slot downwards; the walk takes the better side.
    best = np.ones((len(presence), len(children)))
    right = np.zeros((len(presence), len(children)))
    for node in range(len(children) - 1, -1, -1):
        s = presence[:, node].astype(np.float64)
        sides = [
            share * (best[:, slot] if slot >= 0 else 1.0)
            for share, slot in zip((1 - s, s), children[node], strict=True)
        ]
        right[:, node] = sides[1] > sides[0]
        best[:, node] = np.maximum(*sides)
    return right


def update_leaves(
    paths: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    leaves: np.ndarray,
    smoothing: float,
    n_updates: int = 1,
) -> np.ndarray:
    """Update the distributions of the leaves without derivatives.

    Each leaf takes the share ``π_il p_l(y_i) / Σ_l' π_il' p_l'(y_i)`` of each image i,
    and its new distribution is that of the labels in its shares. It is the update of
    ProtoTree (Nauta et al., 2021, section 4.2) on all images at once. That is a step of
    expectation maximisation, which never lowers the likelihood of the labels; with
    smoothing, never their likelihood times a Dirichlet prior.

    Parameters
    ----------
    paths : float64 ndarray of shape (n, L)
        The probabilities π of the leaves.
    labels : int ndarray of shape (n,)
        The classes of the images.
    weights : float ndarray of shape (n,)
        Weights of the images.
    leaves : float64 ndarray of shape (L, C)
        The distributions p of the leaves, above 0.
    smoothing : float >= 0
        Number of images that each leaf has besides its shares, spread evenly over the
        classes. A leaf that no image reaches gets the uniform distribution.
    n_updates : int, default=1

    Returns
    -------
    float64 ndarray of shape (L, C)
        The new distributions. A leaf without any share keeps its own.
    """
    n_classes = leaves.shape[1]
    of_class = np.zeros((n_classes, len(labels)))
    of_class[labels, np.arange(len(labels))] = weights
    for _ in range(n_updates):
        shares = paths * leaves[:, labels].T
        total = shares.sum(axis=1, keepdims=True)
        shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
        counts = (of_class @ shares).T + smoothing / n_classes
        mass = counts.sum(axis=1, keepdims=True)
        leaves = np.divide(counts, mass, out=leaves.copy(), where=mass > 0)
    return leaves


def mean_distributions(
    children: np.ndarray, leaves: np.ndarray, masses: np.ndarray
) -> np.ndarray:
    """Average the distributions of the leaves below each node.

    Parameters
    ----------
    children : int64 ndarray of shape (N, 2)
    leaves : float ndarray of shape (L, C)
    masses : float ndarray of shape (L,)
        Weights of the leaves, above 0.

    Returns
    -------
    float64 ndarray of shape (N, C)
    """
    below = leaves_below(children).astype(np.float64) * masses
    return (below / below.sum(axis=1, keepdims=True)) @ leaves


def leaves_below(children: np.ndarray) -> np.ndarray:
    """Find the leaves below each node.

    Parameters
    ----------
    children : int64 ndarray of shape (N, 2)

    Returns
    -------
    bool ndarray of shape (N, N + 1)
    """
    below = np.zeros((len(children), len(children) + 1), bool)
    for node in range(len(children) - 1, -1, -1):
        for slot in children[node]:
            if slot >= 0:
                below[node] |= below[slot]
            else:
                below[node, -1 - slot] = True
    return below


def prune_tree(
    children: np.ndarray, kept_leaves: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leave out subtrees none of whose leaves is to be kept.

    The sibling of such a subtree takes the place of their parent. If no node would be
    left, all are.

    Parameters
    ----------
    children : int64 ndarray of shape (N, 2)
    kept_leaves : bool ndarray of shape (L,)

    Returns
    -------
    children : int64 ndarray of shape (N', 2)
        The smaller tree.
    nodes : int64 ndarray of shape (N',)
        The number that each of its nodes had.
    leaves : int64 ndarray of shape (N' + 1,)
        The number that each of its leaves had.
    """
    # What stands in the place of each node: a slot of the tree as it was, or nothing.
    instead: list[int | None] = [None] * len(children)

    def now(slot: int) -> int | None:
        return (
            instead[slot] if slot >= 0 else (slot if kept_leaves[-1 - slot] else None)
        )

    for node in range(len(children) - 1, -1, -1):
        left, right = (now(slot) for slot in children[node].tolist())
        both = left is not None and right is not None
        instead[node] = node if both else (right if left is None else left)
    root = instead[0]
    if root is None or root < 0:
        n_nodes = len(children)
        return children.copy(), np.arange(n_nodes), np.arange(n_nodes + 1)
    nodes, leaves, pruned = [root], [], []
    for node in nodes:  # it grows on the way
        slots = []
        for old in children[node].tolist():
            slot = now(old)
            if slot is not None and slot >= 0:
                slots.append(len(nodes))
                nodes.append(slot)
            elif slot is not None:
                leaves.append(-1 - slot)
                slots.append(-len(leaves))
        pruned.append(slots)
    return np.array(pruned, np.int64), np.array(nodes), np.array(leaves)
