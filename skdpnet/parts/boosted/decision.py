"""How boosted trees over parts decide, and their files."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from skdpnet.base.part_classifier import PartClassifier
from skdpnet.parts.boosted.forests import (
    Forest,
    check_forest,
    forest_contributions,
    forest_scores,
)
from skdpnet.parts.context_map import ContextMap
from skdpnet.parts.dpnet.state import with_context
from skdpnet.parts.linear_parts import LinearParts
from skdpnet.persistence.checks import check_array

__all__ = ["BoostedDecision"]


class BoostedDecision(PartClassifier, ContextMap, LinearParts):
    """The scores and contributions of `SharedBoostedParts`, which documents them."""

    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *LinearParts._fitted_attributes,
        *("tree_parts_", "tree_thresholds_", "tree_values_", "context_coef_"),
        *("intercept_", "losses_", "part_importances_", "part_shares_"),
        *("part_foreground_", "background_shares_"),
    )

    tree_parts_: np.ndarray
    tree_thresholds_: np.ndarray
    tree_values_: np.ndarray
    context_coef_: np.ndarray

    def class_scores(self, descriptors) -> np.ndarray:
        """Return the scores of the classes.

        Parameters
        ----------
        descriptors : float ndarray of shape (n, P)
            As from `transform`.

        Returns
        -------
        float64 ndarray of shape (n, C)
            See the Notes of the class.
        """
        return self._scores_of(np.asarray(descriptors))

    def contributions(self, descriptors, class_number: int) -> np.ndarray:
        """Return what each part adds to the score of a class.

        Parameters
        ----------
        descriptors : float ndarray of shape (n, P)
            As from `transform`.
        class_number : int
            An index into `classes_`.

        Returns
        -------
        float64 ndarray of shape (n, P)
            They add up to the score but for a constant; see the Notes of the class.
        """
        rows = np.asarray(descriptors)
        out = forest_contributions(rows, self._forest(), class_number)
        if self._has_context():
            part = rows.shape[1] - len(self.classes_) + class_number
            out[:, part] += rows[:, part] * self.context_coef_[class_number]
        return out

    def _scores_of(self, descriptors: np.ndarray) -> np.ndarray:
        scores = forest_scores(descriptors, self._forest()) + self.intercept_
        if self._has_context():
            scores += descriptors[:, -len(self.classes_) :] * self.context_coef_
        return scores

    def _forest(self) -> Forest:
        return Forest(self.tree_parts_, self.tree_thresholds_, self.tree_values_)

    def _state_of_parts(self, state: dict[str, Any]) -> dict[str, Any]:
        classes = range(len(state["classes_"]))
        of_parts = super()._state_of_parts(state)
        return with_context(of_parts, state["map_shapes_"], classes)

    def _check_fitted_state(self, state: dict[str, Any]) -> None:
        super()._check_fitted_state(state)
        n_classes, n_parts = len(state["classes_"]), len(state["part_classes_"])
        if (state["part_classes_"] < 0).any():
            raise ValueError("part_classes_ does not hold a class of each part")
        check_forest(
            state["tree_parts_"],
            state["tree_thresholds_"],
            state["tree_values_"],
            n_classes,
            n_parts,
        )
        n_losses = state["tree_parts_"].shape[1] + 1
        shapes = {
            "context_coef_": (n_classes,),
            "intercept_": (n_classes,),
            "losses_": (n_classes, n_losses),
            "part_importances_": (n_classes, n_parts),
            "part_shares_": (n_classes, n_classes),
            "background_shares_": (n_classes,),
        }
        for name, shape in shapes.items():
            check_array(name, state[name], shape, np.float64)
        check_array("part_foreground_", state["part_foreground_"], (n_parts,))
