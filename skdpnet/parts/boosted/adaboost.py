"""Discrete AdaBoost of small decision trees, from any scores on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skdpnet.parts.boosted.bins import Bins
from skdpnet.parts.boosted.tree_search import Tree, grow_tree

__all__ = ["Boosted", "adaboost"]

# Trees that err as often as they are right end the boosting.
_CHANCE = 0.5 - 1e-10


@dataclass(frozen=True, eq=False)
class Boosted:
    """The trees of one class against the rest.

    Attributes
    ----------
    trees : list of Tree
    weights : float64 ndarray of shape (T,)
        α of each tree: the score is the start's score plus ``Σ α_t h_t``, where h_t is
        the tree's decision, 1 or −1.
    losses : float64 ndarray of shape (T + 1,)
        The mean of ``exp(-y s / 2)`` over the images, where y is 1 or −1 and s the
        score, of the start and after each tree.
    """

    trees: list[Tree]
    weights: np.ndarray
    losses: np.ndarray


def adaboost(
    bins: Bins,
    sides: np.ndarray,
    start: np.ndarray,
    n_rounds: int,
    depth: int,
    allowed: np.ndarray | None = None,
) -> Boosted:
    """Boost decision trees that tell one class from the rest.

    In each round the images weigh ``exp(-y s / 2)``, where s is their score so far. The
    tree for these weights is grown, and added with the weight
    ``α = log((1 - e) / e)``, where e is its share of wrong weight. This minimises the
    mean of the next weights over all α. From scores of 0 it is
    `sklearn.ensemble.AdaBoostClassifier`.

    Parameters
    ----------
    bins : Bins
        The maxima of the parts in n images.
    sides : float64 ndarray of shape (n,)
        y: 1 for images of the class, −1 for others.
    start : float64 ndarray of shape (n,)
        The score of each image at the start, as log-odds; 0 is none.
    n_rounds : int
        Largest number of trees. There are fewer if a tree is never wrong, or if there
        is none that is better than chance.
    depth : int
        Depth of the trees.
    allowed : bool ndarray of shape (P,), or None
        The parts that may be used. None: all.

    Returns
    -------
    Boosted

    Notes
    -----
    The share e counts as ``1 / (2 n)`` at least, so that a tree that is never wrong has
    a finite weight.
    """
    n, scores = len(sides), start.astype(np.float64)
    trees: list[Tree] = []
    alphas: list[float] = []
    losses = [_loss(sides, scores)]
    for _ in range(n_rounds):
        exponents = -sides * scores / 2
        weights = np.exp(exponents - exponents.max())
        weights /= weights.sum()
        tree, decisions = grow_tree(
            bins, weights * (sides > 0), weights * (sides < 0), depth, allowed
        )
        wrong = decisions != sides
        error = weights[wrong].sum()
        if error > _CHANCE:
            break
        bounded = max(error, 1 / (2 * n))
        alpha = float(np.log((1 - bounded) / bounded))
        scores += alpha * decisions
        trees.append(tree)
        alphas.append(alpha)
        losses.append(_loss(sides, scores))
        if not wrong.any():
            break
    return Boosted(trees, np.array(alphas), np.array(losses))


def _loss(sides: np.ndarray, scores: np.ndarray) -> float:
    return float(np.exp(-sides * scores / 2).mean())
