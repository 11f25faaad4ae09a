"""Every estimator that can be saved, small, for the checks that all must pass.

A new estimator is found in the table of the package; it needs a line here only if its
defaults are too large for small data.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import is_regressor

import skdpnet

ARGUMENTS: dict[str, dict] = {
    "BlocksThatShout": {
        "n_parts_per_class": 2,
        "n_seeds_per_class": 10,
        "n_rounds": 3,
        "n_added": 2,
    },
    "DPNetClassifier": {"n_parts_per_class": 2, "max_epochs": 5},
    "DPNetRegressor": {"n_bins": 2, "n_parts_per_bin": 2, "max_epochs": 5},
    "DPNetTransformer": {"n_parts_per_class": 2, "max_epochs": 5},
    "PIPNetClassifier": {"n_prototypes": 12},
    "ProtoPNetClassifier": {"n_prototypes_per_class": 2},
    "ProtoPoolClassifier": {"n_prototypes": 12, "n_slots": 3},
    "ProtoPShareClassifier": {"n_prototypes_per_class": 4},
    "ProtoTreeClassifier": {"max_epochs": 5},
    "RandomSelectedParts": {"n_candidates": 20, "n_parts": 6},
    "SoftAssignParts": {"n_parts_per_class": 2},
    "VLAD": {"n_words": 4},
}


def targets_for(estimator, labels) -> np.ndarray:
    """The labels for a classifier, and their numbers for a regressor."""
    if is_regressor(estimator):
        return np.unique(labels, return_inverse=True)[1].astype(float)
    return labels


def all_estimators(**params) -> list:
    """One unfitted estimator of each class, for precomputed maps."""
    return [
        getattr(skdpnet, name)("precomputed", **{**ARGUMENTS.get(name, {}), **params})
        for name in skdpnet.ESTIMATORS
    ]
