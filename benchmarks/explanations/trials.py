"""The models whose explanations are measured."""

from __future__ import annotations

from typing import NamedTuple

from sklearn.base import BaseEstimator

from benchmarks.accuracy.methods import TWO_STAGE
from benchmarks.accuracy.suites import REGION_SETTINGS, constraints
from benchmarks.explanations.image_sets import ImageSet
from benchmarks.records import has_line
from skdpnet import DPNetClassifier, GlobalFeatures, SoftAssignParts

__all__ = ["DPNET", "GRAD_CAM", "Trial", "pending", "trials"]

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


def pending(
    measured: list[dict],
    sets: list[ImageSet],
    seeds: list[int],
    listed: list[Trial],
    *,
    n_perturbed: int,
    **numbers: int,
) -> list[tuple[ImageSet, Trial, dict]]:
    """Return what a file of lines lacks.

    Parameters
    ----------
    measured : list of dict
        The lines of the file.
    sets : list of ImageSet
    seeds : list of int
    listed : list of Trial
    n_perturbed : int
        Number of test images that noise is added to, if there are as many.
    **numbers
        Further numbers that a line is measured with.

    Returns
    -------
    list of (ImageSet, Trial, dict)
        With the values by which the line is recognised.
    """
    lacking = []
    for data in sets:
        for seed in seeds:
            for trial in listed:
                key = {
                    "data": data.name,
                    "image_size": data.framing.image_size,
                    "framing": data.framing.name,
                    "n_train": len(data.train),
                    "n_test": len(data.test),
                    "n_perturbed": min(n_perturbed, len(data.test)),
                    **numbers,
                    "seed": seed,
                    **trial._asdict(),
                }
                if not has_line(measured, key):
                    lacking.append((data, trial, key))
    return lacking
