"""The models whose explanations are measured."""

from __future__ import annotations

from typing import NamedTuple

from sklearn.base import BaseEstimator

from benchmarks.accuracy.methods import TWO_STAGE
from benchmarks.accuracy.suites import REGION_SETTINGS, constraints
from skdpnet import DPNetClassifier, GlobalFeatures, SoftAssignParts

__all__ = ["DPNET", "GRAD_CAM", "Trial", "trials"]

DPNET = "DP-Net"
GRAD_CAM = "global descriptor + SVM, Grad-CAM"


class Trial(NamedTuple):
    """A method, its constraints by the paper's name, and changes from its defaults."""

    method: str
    constraints: str
    changes: dict

    def estimator(self, seed: int, **params) -> BaseEstimator:
        """Return the unfitted estimator.

        Parameters
        ----------
        seed : int
            Random state, for estimators that have one.
        **params
            Parameters that all methods have, such as ``image_size``.

        Returns
        -------
        estimator
        """
        if self.method == GRAD_CAM:
            # Equal scores to those of the network whose gradients Grad-CAM computes.
            return GlobalFeatures(precision="float32", **params)
        kind = SoftAssignParts if self.method == TWO_STAGE else DPNetClassifier
        return kind(random_state=seed, **params, **self.changes)


def trials(changes: dict, weights: tuple[float, float, float]) -> list[Trial]:
    """Return what is measured.

    Parameters
    ----------
    changes : dict
        Changes from the default settings of `DPNetClassifier`; those of maps and
        regions apply to the two-stage parts too.
    weights : tuple of 3 floats
        Weights of the constraints, in the order of `suites.constraints`.

    Returns
    -------
    list of Trial
    """
    subsets = constraints(*weights)
    return [
        Trial(GRAD_CAM, "", {}),
        Trial(TWO_STAGE, "", {k: changes[k] for k in REGION_SETTINGS & {*changes}}),
        *(
            Trial(DPNET, name, {**changes, **settings})
            for name, settings in subsets.items()
        ),
    ]
