"""Every parameter is documented, with its default, and constrained by its name."""

from __future__ import annotations

import inspect
import re

import pytest

from skdpnet import DPNetClassifier, DPNetTransformer
from skdpnet.parts.dpnet.objective import PENALTIES
from skdpnet.parts.dpnet.parameters import ATTRIBUTES, PARAMETERS, DPNetParameters

DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(DPNetParameters).parameters.items()
}


def test_the_documentation_lists_the_parameters_and_their_defaults():
    entries = re.findall(r"^(?:    )?(\w+) : .*default=(.+)$", PARAMETERS, re.M)
    assert [name for name, _ in entries] == list(DEFAULTS)
    for name, default in entries:
        assert eval(default) == DEFAULTS[name]


def test_constraints_are_those_of_parameters_and_accept_the_defaults():
    constraints = DPNetParameters._parameter_constraints
    assert constraints.keys() <= DEFAULTS.keys()
    for name, allowed in constraints.items():
        default = DEFAULTS[name]
        assert (default is None and None in allowed) or any(
            constraint.accepts(default) for constraint in allowed if constraint
        )


def test_specificity_alone_is_penalised_by_default():
    weights = {name: DEFAULTS[f"{name}_weight"] for name in PENALTIES}
    assert {name for name, weight in weights.items() if weight} == {"specificity"}


@pytest.mark.parametrize("cls", [DPNetClassifier, DPNetTransformer])
def test_both_estimators_have_the_parameters_and_their_documentation(cls):
    assert cls._get_param_names() == sorted(DEFAULTS)
    assert PARAMETERS in cls.__doc__
    assert ATTRIBUTES in cls.__doc__
    assert "{parameters}" not in cls.__doc__
