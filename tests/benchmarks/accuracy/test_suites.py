"""The lists of settings that are measured."""

from __future__ import annotations

import json

from benchmarks.accuracy import recipe, suites
from skdpnet import DPNetTransformer


def test_the_constraints_are_all_eight_choices():
    settings = suites.constraints(1.5, 0.2, 0.3)
    of = {"⊥": "orthogonality_weight", "A": "assignment_weight",
          "CS": "specificity_weight"}  # fmt: skip
    weights = {"⊥": 1.5, "A": 0.2, "CS": 0.3}
    assert len(settings) == len({json.dumps(s) for s in settings.values()}) == 8
    # The default settings have a constraint.
    assert settings["without"] == {"specificity_weight": 0}
    assert settings["all"] == {of[key]: weights[key] for key in of}
    assert settings["CS + ⊥"] == {"specificity_weight": 0.3,
                                  "orthogonality_weight": 1.5}  # fmt: skip
    assert settings["A"] == {"assignment_weight": 0.2, "specificity_weight": 0}


def test_the_ablation_changes_settings_that_there_are():
    listed = [recipe.make_experiment(*trial) for trial in suites.ablation()]
    assert ("parts", {}) in listed and ("global", {}) in listed
    assert ("global", {"strides": DPNetTransformer().strides}) in listed
    assert ("parts", {"max_epochs": 0}) in listed
