"""A fitted model that gets its maps from another network than that of its fit says so.

It says nothing where the network is the same, however it was passed.
"""

from __future__ import annotations

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
import timm
import torch
from torch import nn

import skdpnet
from skdpnet import DPNetClassifier, GlobalFeatures
from skdpnet.backbones import loading
from skdpnet.exceptions import DifferentNetworkWarning, ModelFileError
from skdpnet.persistence.model_file import read, write
from tests.estimators import ARGUMENTS, targets_for

X = np.random.default_rng(0).integers(0, 256, (12, 48, 48, 3), dtype=np.uint8)
Y = np.array(["ash", "beech"])[np.arange(12) % 2]
NOTHING = ()


class Network(nn.Module):
    """A small network of one map, whose activation is no tensor and no attribute."""

    def __init__(self, seed=0, activation=nn.functional.relu):
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, 8, 8, 8), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1))
        )
        self.activation = activation

    def forward(self, x):
        return self.activation(self.layers(x))


class Normalising(Network):
    """The same weights behind another normalisation."""

    def forward(self, x):
        return super().forward(x / 3 - 1)


def function_of(network):
    """A function has no weights that anything but its maps could tell."""
    return lambda x: network(x)


def said_by(model, images=X):
    """The warnings about networks that `transform` gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.transform(images)
    return tuple(
        str(w.message) for w in caught if w.category is DifferentNetworkWarning
    )


def fitted(name, backbone):
    settings = {**ARGUMENTS.get(name, {}), "image_size": 48, "device": "cpu"}
    estimator = getattr(skdpnet, name)(backbone, **settings)
    return estimator.fit(X, targets_for(estimator, Y))


def saved(model, path):
    model.set_params(backbone="mine").save(path)
    return path


@pytest.mark.parametrize("name", skdpnet.ESTIMATORS)
@pytest.mark.parametrize("wrap", [lambda network: network, function_of])
def test_another_module_or_function_is_told_and_the_same_is_not(name, wrap, tmp_path):
    model = fitted(name, wrap(Network().eval()))
    descriptors = model.transform(X)
    path = saved(model, tmp_path / "model")
    same = skdpnet.load(path, backbone=wrap(Network().eval()), device="cpu")
    assert said_by(same) == NOTHING
    np.testing.assert_array_equal(same.transform(X), descriptors)
    other = skdpnet.load(path, backbone=wrap(Network(1).eval()), device="cpu")
    (message,) = said_by(other)
    assert message.startswith(f"{name} was fitted with the network '")
    assert "differ by" in message and "load(path, backbone=module)" in message
    assert ("weights are others" in message) == (wrap is not function_of)
    assert said_by(other) == NOTHING, "once for each network"


@pytest.mark.parametrize("name", skdpnet.ESTIMATORS)
def test_weights_of_a_name_that_change(name, tmp_path, monkeypatch):
    make, seed = timm.create_model, 0

    def create(model, pretrained, **options):
        torch.manual_seed(seed)
        return make(model, **options)

    def in_a_new_process():
        loading._load_named.cache_clear()

    monkeypatch.setattr(timm, "create_model", create)
    in_a_new_process()
    model = fitted(name, "timm/resnet18")
    model.save(tmp_path / "model")
    pickled = pickle.dumps(model)
    in_a_new_process()
    assert said_by(skdpnet.load(tmp_path / "model", device="cpu")) == NOTHING
    assert said_by(pickle.loads(pickled)) == NOTHING
    in_a_new_process()
    seed = 1
    monkeypatch.setattr("skdpnet.features.network_record.metadata.version", lambda _: 9)
    for later in (
        skdpnet.load(tmp_path / "model", device="cpu"),
        pickle.loads(pickled),
        copy.deepcopy(model),
    ):
        (message,) = said_by(later)
        assert "'timm/resnet18'" in message and "weights are others" in message
        assert f"timm {timm.__version__} had it, timm 9 is used now" in message
    in_a_new_process()


@pytest.mark.parametrize(
    "change",
    [
        lambda network: network,
        lambda network: nn.DataParallel(network),
        lambda network: network.to(memory_format=torch.channels_last),
        lambda network: nn.Sequential(network, nn.Identity()),
        lambda network: torch.compile(network, backend="eager"),
        lambda network: function_of(network),
        lambda network: network.train(),
    ],
    ids=[
        *("same", "DataParallel", "channels_last", "wrapped", "compiled"),
        *("function", "training"),
    ],
)
def test_other_forms_of_the_same_network_are_not_told(change, tmp_path):
    path = saved(fitted("GlobalFeatures", Network().eval()), tmp_path / "model")
    network = change(Network().eval())
    assert said_by(skdpnet.load(path, backbone=network, device="cpu")) == NOTHING


@pytest.mark.parametrize(
    "network, message",
    [
        (Network(activation=nn.functional.gelu), "weights are the same, but its maps"),
        (Normalising(), "weights are the same, but its maps"),
        (Network(activation=lambda maps: maps[..., :3, :3]), r"have shape \(3, 3, 8\)"),
    ],
    ids=["activation", "normalisation", "shape"],
)
def test_the_same_weights_in_other_code_are_told(network, message, tmp_path):
    path = saved(fitted("GlobalFeatures", Network()), tmp_path / "model")
    model = skdpnet.load(path, backbone=network, device="cpu")
    with (
        pytest.warns(DifferentNetworkWarning, match=message),
        pytest.raises(ValueError, match="X has feature maps of shape")
        if "shape" in message
        else warnings.catch_warnings(),
    ):
        model.transform(X)


def test_a_network_that_is_trained_further_is_told():
    network = Network()
    model = fitted("DPNetClassifier", network)
    assert said_by(model) == NOTHING
    with torch.no_grad():
        network.layers[0].weight += 0.01
    assert len(said_by(model)) == 1
    # Another fit is with the network as it is.
    assert said_by(model.fit(X, Y)) == NOTHING
    model.set_params(backbone=Network(2))
    assert len(said_by(model)) == 1


def test_maps_that_are_given_have_no_network(tmp_path):
    maps = np.random.default_rng(0).random((12, 4, 4, 5))
    model = fitted("GlobalFeatures", Network())
    model.set_params(backbone="precomputed").fit(maps).save(tmp_path / "model")
    assert "network" not in read(tmp_path / "model")[0]
    assert said_by(skdpnet.load(tmp_path / "model"), maps) == NOTHING


def test_a_file_without_the_record_loads_as_before(tmp_path):
    path = saved(fitted("GlobalFeatures", Network()), tmp_path / "model")
    metadata, tensors = read(path)
    del metadata["network"]
    write(path, metadata, tensors)
    assert said_by(skdpnet.load(path, backbone=Network(1), device="cpu")) == NOTHING


class Dropping(Network):
    """Computes other maps each time."""

    def forward(self, x):
        return nn.functional.dropout(super().forward(x), 0.5, training=True)


def test_a_network_of_chance_is_not_told_to_be_another(tmp_path):
    path = saved(fitted("GlobalFeatures", Dropping()), tmp_path / "model")
    assert said_by(skdpnet.load(path, backbone=Dropping(), device="cpu")) == NOTHING


class OnlyBatches(Network):
    """Takes no single image, as the made one is."""

    def forward(self, x):
        if len(x) == 1:
            raise RuntimeError("a batch is needed")
        return super().forward(x)


def test_a_network_that_cannot_take_the_made_image_is_told_by_its_weights(tmp_path):
    path = saved(fitted("GlobalFeatures", OnlyBatches()), tmp_path / "model")
    same = skdpnet.load(path, backbone=OnlyBatches(), device="cpu")
    other = skdpnet.load(path, backbone=OnlyBatches(1), device="cpu")
    assert said_by(same) == NOTHING
    (message,) = said_by(other)
    assert "weights are others" in message


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 10**9},
        {"image_size": True},
        {"framing": "oval"},
        {"name": "x" * 10**6},
        {"weights": 5},
        {"more": 1},
        {"values": []},
        {"shapes": {"tuple": [{"tuple": [10**9, 6, 8]}]}},
        {"shapes": {"tuple": [{"tuple": [6, 6, 4]}]}},
    ],
    ids=str,
)
def test_a_forged_record_is_refused(change, tmp_path):
    path = saved(fitted("GlobalFeatures", Network()), tmp_path / "model")
    metadata, tensors = read(path)
    record = dict(json.loads(metadata["network"])["dict"])
    metadata["network"] = json.dumps({"dict": list({**record, **change}.items())})
    write(path, metadata, tensors)
    with pytest.raises(ModelFileError, match="record of the network"):
        skdpnet.load(path, backbone=Network(), device="cpu")


def test_a_search_runs_the_made_image_once_for_a_name(monkeypatch):
    from skdpnet.features import map_store

    made = []
    make = map_store._make_probe
    monkeypatch.setattr(
        map_store, "_make_probe", lambda *args: made.append(1) or make(*args)
    )
    loading._load_named.cache_clear()
    for beta in (5.0, 40.0):
        model = DPNetClassifier(
            "efficientnet_lite0", image_size=64, max_epochs=0, beta=beta
        )
        model.fit(X, Y).predict(X)
    GlobalFeatures("efficientnet_lite0", strides=(16, 32), image_size=64).fit(X)
    assert len(made) <= 2, "one for each set of strides"
