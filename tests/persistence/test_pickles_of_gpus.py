"""Models that were fitted on a GPU are unpickled where there is none.

No GPU is needed here: what a pickle holds of tensors is looked at, and models are told
that they are on a device which is missing.
"""

from __future__ import annotations

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import skdpnet
from skdpnet import DeformableParts, DPNetClassifier, FeatureMaps, GlobalFeatures
from tests.estimators import all_estimators, targets_for

X = np.random.default_rng(0).random((24, 4, 4, 5)).astype(np.float32)
Y = np.array(["ash", "beech"])[np.arange(24) % 2]
SETTINGS = {"n_parts_per_class": 2, "max_epochs": 2, "random_state": 0}


class TensorWatcher(pickle.Pickler):
    """Collects the tensors that it pickles.

    skorch pickles those that it moves to other devices separately, into bytes.
    """

    def __init__(self):
        super().__init__(io.BytesIO())
        self.tensors = []

    def reducer_override(self, value):
        if isinstance(value, torch.Tensor):
            self.tensors.append(value)
        return NotImplemented


@pytest.mark.parametrize(
    "estimator",
    [
        *all_estimators(),
        DPNetClassifier(
            "precomputed",
            **SETTINGS,
            validation_fraction=0.3,
            orthogonality_weight=1.0,
            specificity_weight=1.0,
        ),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.parametrize("again", [False, True])
def test_what_was_on_the_gpu_is_not_in_the_pickle_itself(estimator, again):
    estimator.fit(X, targets_for(estimator, Y))
    if again and hasattr(estimator, "partial_fit"):
        estimator.partial_fit(X, Y)
    watcher = TensorWatcher()
    watcher.dump(estimator)
    # The state of generators of the CPU, and a copy of the classes of parts.
    for tensor in watcher.tensors:
        assert tensor.dtype == torch.uint8 or tensor.dtype == torch.int64
        assert tensor.device.type == "cpu"


class Elsewhere:
    """A tensor on a GPU, as far as one can be made without it."""

    def cpu(self):
        return torch.arange(3)


def test_the_classes_of_parts_leave_the_gpu():
    objective = DPNetClassifier("precomputed", **SETTINGS).fit(X, Y)._objective()
    objective.part_classes = Elsewhere()
    copied = pickle.loads(pickle.dumps(objective))
    assert copied.part_classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
@pytest.mark.parametrize("again", [False, True])
def test_a_model_of_a_missing_device_is_on_the_cpu(device, again):
    if device[:4] == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    model = DPNetClassifier("precomputed", **SETTINGS).fit(X, Y)
    expected = model.decision_function(X)
    model.net_.device, model.device_ = device, torch.device(device)
    content = pickle.dumps(model)
    model.net_.device = "cpu"
    with warnings.catch_warnings():
        # skorch says that it goes to the CPU.
        warnings.simplefilter("ignore")
        loaded = pickle.loads(content)
    assert loaded.device_ == torch.device("cpu")
    np.testing.assert_array_equal(loaded.decision_function(X), expected)
    assert loaded.net_.module is loaded.net_.module_
    if again:
        loaded.partial_fit(X, Y)
        model.partial_fit(X, Y)
        np.testing.assert_array_equal(
            loaded.decision_function(X), model.decision_function(X)
        )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    "estimator",
    # Given maps are averaged, and stars placed on them, on the CPU, whatever the
    # device is.
    [
        each
        for each in all_estimators()
        if not isinstance(each, (GlobalFeatures, DeformableParts))
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_model_that_names_a_missing_device_loads_and_is_told_to_choose(estimator):
    scores = hasattr(estimator, "decision_function")
    method = "decision_function" if scores else "transform"
    y = targets_for(estimator, Y)
    expected = getattr(estimator.fit(X, y), method)(X)
    loaded = pickle.loads(pickle.dumps(estimator.set_params(device="cuda")))
    assert loaded.device == "cuda", "parameters stay what the user set"
    with pytest.raises(ValueError, match=r"device='cuda' cannot.*device=\"auto\""):
        getattr(loaded, method)(X)
    loaded.set_params(device="auto")
    np.testing.assert_array_equal(getattr(loaded, method)(X), expected)


@pytest.mark.parametrize("number", [0, 1])
def test_a_device_is_chosen_where_the_pickle_is_loaded(monkeypatch, number):
    content = pickle.dumps(FeatureMaps(nn.Identity(), image_size=32))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: number)
    devices = []
    monkeypatch.setattr(
        "skdpnet.features.feature_maps.load_backbone",
        lambda name, size, device, strides, weights: devices.append(device) or 1 / 0,
    )
    with pytest.raises(ZeroDivisionError):
        pickle.loads(content).fit_transform(np.zeros((1, 32, 32, 3), np.uint8))
    assert devices == [torch.device("cuda", number)]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_train_as_the_model_itself(copied):
    model = DPNetClassifier("precomputed", **SETTINGS).fit(X, Y)
    other = copied(model)
    assert other.net_.module is other.net_.module_
    assert other.net_.module_ is not model.net_.module_
    model.partial_fit(X, Y)
    other.partial_fit(X, Y)
    np.testing.assert_array_equal(other.parts_, model.parts_)
    np.testing.assert_array_equal(other.coef_, model.coef_)


class OnGPU(nn.Module):
    """A network that says it is on another device until it is moved to the CPU."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, device="meta"))

    def cpu(self):
        self.weight = nn.Parameter(torch.ones(2))
        return self


@pytest.mark.parametrize("cls", [FeatureMaps, GlobalFeatures])
def test_a_module_on_a_gpu_is_pickled_as_one_on_the_cpu(cls):
    network = OnGPU()
    estimator = cls(network)
    copied = pickle.loads(pickle.dumps(estimator))
    assert copied.backbone.weight.device.type == "cpu"
    assert estimator.backbone is network
    assert network.weight.device.type == "meta", "the user's own stays where it is"


def test_every_estimator_keeps_its_other_attributes():
    for estimator in all_estimators():
        fitted = estimator.fit(X, targets_for(estimator, Y))
        copied = pickle.loads(pickle.dumps(fitted))
        assert vars(copied).keys() == vars(estimator).keys()
        assert isinstance(copied, getattr(skdpnet, type(estimator).__name__))
