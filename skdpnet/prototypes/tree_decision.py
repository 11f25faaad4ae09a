"""How a tree of prototypes decides, and what each node adds to a probability."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from skdpnet.explanations.explanation import Explanation
from skdpnet.persistence.checks import check_array
from skdpnet.prototypes.base import PrototypeClassifier
from skdpnet.prototypes.similarity import distances_of_cosines
from skdpnet.prototypes.soft_tree import (
    check_tree,
    hard_presence,
    mean_distributions,
    path_probabilities,
)
from skdpnet.prototypes.tree_path import TreePath, path_of
from skdpnet.utils.host_copies import as_tensor

__all__ = ["TreeDecision"]

# Of the probabilities of a leaf, which are sums and quotients of float64.
_ROUNDING = 1e-9


class TreeDecision(PrototypeClassifier):
    """The predictions, contributions and paths of `ProtoTreeClassifier`."""

    decision: str
    children_: np.ndarray
    node_prototypes_: np.ndarray
    scales_: np.ndarray
    thresholds_: np.ndarray
    leaf_probabilities_: np.ndarray
    leaf_masses_: np.ndarray

    def predict_proba(self, X) -> np.ndarray:
        """Estimate the probability of each class by the parameter `decision`.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        float64 ndarray of shape (n, C)
            In the order of `classes_`; rows sum to 1.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `transform`.
        """
        return self._logits(X)

    def decision_function(self, X) -> np.ndarray:
        """Score each class by its probability.

        Parameters
        ----------
        X : images, or array for ``backbone="precomputed"``
            As in `fit`.

        Returns
        -------
        float64 ndarray of shape (n, C), or (n,) for two classes
            As from `predict_proba`; for two classes the second class's probability
            minus the first's.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `transform`.
        """
        return super().decision_function(X)

    def class_scores(self, descriptors) -> np.ndarray:
        """Return the probabilities of the classes.

        Parameters
        ----------
        descriptors : float ndarray of shape (n, P)
            As from `transform`: the presence of each prototype.

        Returns
        -------
        float64 ndarray of shape (n, C)
            By the parameter `decision`; rows sum to 1.
        """
        return self._scores_of(np.asarray(descriptors))

    def contributions(self, descriptors, class_number: int) -> np.ndarray:
        """Return what each prototype adds to the probability of a class.

        Parameters
        ----------
        descriptors : float ndarray of shape (n, P)
            As from `transform`.
        class_number : int
            An index into `classes_`.

        Returns
        -------
        float64 ndarray of shape (n, P)
            They add up to the probability minus the mean of the leaves, weighted by
            `leaf_masses_`, whatever the `decision` is; see the Notes of the class.
        """
        s = self._presence(np.asarray(descriptors))
        nodes, _ = path_probabilities(s, self.children_)
        leaves = self.leaf_probabilities_[:, [class_number]]
        means = mean_distributions(self.children_, leaves, self.leaf_masses_)
        # Slots below 0 are leaves, from the end backwards.
        values = np.concatenate([means, leaves[::-1]])[:, 0]
        left, right = values[self.children_].T
        steps = nodes * ((1 - s) * left + s * right - means[:, 0])
        out = np.empty_like(steps)
        out[:, self.node_prototypes_] = steps
        return out

    def path(self, image, *, apply_exif: bool = False) -> TreePath:
        """Follow one image from the root to a leaf.

        It is the most probable path; for ``decision="greedy"`` the path that goes right
        where the presence is above 0.5.

        Parameters
        ----------
        image : image, or array for ``backbone="precomputed"``
        apply_exif : bool, default=False
            As in `explain`.

        Returns
        -------
        TreePath
            Nodes, prototypes, presences, boxes, sides, and the leaf.

        Raises
        ------
        sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
            As `explain`.
        """
        return self.explained_path(self.explain(image, apply_exif=apply_exif))

    def explained_path(self, explanation: Explanation) -> TreePath:
        """Follow an image that is already explained from the root to a leaf.

        Parameters
        ----------
        explanation : Explanation
            Of an image, by this estimator; of which class does not matter.

        Returns
        -------
        TreePath
            As from `path`.
        """
        rule = "greedy" if self.decision == "greedy" else "best_leaf"
        s = explanation.descriptor[self.node_prototypes_]
        right = hard_presence(s[None], self.children_, rule)[0] > 0
        return path_of(right, s, explanation.boxes, self)

    def _scores_of(self, descriptors: np.ndarray) -> np.ndarray:
        _, leaves = path_probabilities(self._presence(descriptors), self.children_)
        return leaves @ self.leaf_probabilities_

    def _presence(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the probability to go right at each node, (n, P), by `decision`."""
        of_nodes = descriptors[:, self.node_prototypes_]
        if self.decision == "distributed":
            return of_nodes.astype(np.float64)
        return hard_presence(of_nodes, self.children_, self.decision)

    def _similarities(self, regions: torch.Tensor, map_number: int) -> torch.Tensor:
        """Return ``σ(a (τ - d))`` for each region, (n, R, P')."""
        points = self._prototypes_on(map_number, regions)
        distances = distances_of_cosines(regions.double() @ points.double().T)
        on_map = self.part_maps_ == map_number
        scales = as_tensor(self.scales_[on_map], regions.device)
        thresholds = as_tensor(self.thresholds_[on_map], regions.device)
        return torch.sigmoid(scales * (thresholds - distances)).float()

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        n_parts, n_classes = len(state["part_classes_"]), len(state["classes_"])
        check_tree(state["children_"])
        prototypes = state["node_prototypes_"]
        if len(state["children_"]) != n_parts:
            raise ValueError(f"children_ does not hold {n_parts} nodes")
        if (
            not isinstance(prototypes, np.ndarray)
            or prototypes.dtype != np.int64
            or not np.array_equal(np.sort(prototypes, axis=None), np.arange(n_parts))
            or prototypes.ndim != 1
        ):
            raise ValueError("node_prototypes_ does not name each prototype once")
        for name in ("scales_", "thresholds_"):
            check_array(name, state[name], (n_parts,))
        if not (state["scales_"] > 0).all():
            raise ValueError("scales_ holds numbers that are not above 0")
        shape = (n_parts + 1, n_classes)
        check_array(
            "leaf_probabilities_", state["leaf_probabilities_"], shape, np.float64
        )
        check_array("leaf_masses_", state["leaf_masses_"], shape[:1], np.float64)
        leaves, masses = state["leaf_probabilities_"], state["leaf_masses_"]
        if (leaves < 0).any() or np.abs(leaves.sum(axis=1) - 1).max() > _ROUNDING:
            raise ValueError("leaf_probabilities_ does not hold distributions")
        if (masses <= 0).any() or (masses > 1 + _ROUNDING).any():
            raise ValueError("leaf_masses_ does not hold shares above 0")
