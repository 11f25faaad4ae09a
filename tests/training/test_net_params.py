"""Parameters of the skorch net: which the user may set, and which are refused."""

from __future__ import annotations

import json

import pytest
import torch

import skdpnet
from skdpnet import DPNetClassifier, DPNetTransformer
from skdpnet.exceptions import ModelFileError
from skdpnet.persistence.model_file import read, write
from skdpnet.training.net import NetParams
from tests.parts.dpnet.made_maps import part_maps, quick

REFUSED = [
    {"module": torch.nn.Linear(2, 2)},
    {"criterion": torch.nn.CrossEntropyLoss},
    {"objective": None},
    {"module__p": 0.5},
    {"criterion__weight": None},
    {"objective__ridge": 1.0},
    {"optimizer": torch.optim.SGD, "module": None},
    {"callbacks": []},
    {"callbacks__classifier_refit": None},
]
MESSAGE = (
    "net_params must be a dict of parameters of the skorch net without module, "
    "criterion and objective, which the estimator sets"
)


@pytest.fixture(scope="module")
def train():
    return part_maps(60)[:2]


@pytest.mark.parametrize("net_params", REFUSED, ids=lambda params: "+".join(params))
@pytest.mark.parametrize("cls", [DPNetClassifier, DPNetTransformer])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_the_estimator_trains_cannot_be_replaced(
    train, cls, method, net_params, monkeypatch
):
    def extract(*args, **kwargs):
        raise AssertionError("maps were extracted, which may take hours")

    monkeypatch.setattr(cls, "_all_maps", extract)
    model = quick(cls, net_params=net_params)
    with pytest.raises(ValueError, match=MESSAGE) as caught:
        getattr(model, method)(*train)
    assert repr(net_params) in str(caught.value)


@pytest.mark.parametrize("net_params", [["module"], "lr", 3, {3: 4}, {("lr",): 1}])
def test_what_is_no_dict_of_names_is_refused(train, net_params):
    with pytest.raises(ValueError, match="net_params must be a dict of parameters"):
        quick(DPNetClassifier, net_params=net_params).fit(*train)


@pytest.mark.parametrize(
    "net_params",
    [
        {},
        {"lr": 1e-3},
        {"optimizer__weight_decay": 0.1},
        {"modules": 1},
        {"callbacks__bar": None},
    ],
)
def test_other_parameters_are_accepted(net_params):
    assert NetParams().accepts(net_params)


def test_the_net_has_what_the_user_sets(train):
    net_params = {"max_epochs": 7, "optimizer__eps": 1e-6}
    model = quick(DPNetClassifier, max_epochs=2, net_params=net_params).fit(*train)
    assert model.net_.max_epochs == 7
    assert {group["eps"] for group in model.net_.optimizer_.param_groups} == {1e-6}


@pytest.mark.parametrize("name", ["module", "criterion", "objective", "module__p"])
def test_a_model_file_that_replaces_what_is_trained_is_refused(train, name, tmp_path):
    model = quick(DPNetClassifier, max_epochs=1).fit(*train)
    model.save(tmp_path / "model")
    metadata, tensors = read(tmp_path / "model")
    parameters = json.loads(metadata["parameters"])
    parameters["net_params"] = {"dict": [[name, 1]]}
    metadata["parameters"] = json.dumps(parameters)
    write(tmp_path / "model", metadata, tensors)
    with pytest.raises(ModelFileError, match=MESSAGE):
        skdpnet.load(tmp_path / "model", device="cpu")
