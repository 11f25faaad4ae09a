"""What estimators compute does not depend on the state that torch was left in."""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import skdpnet
from skdpnet import DPNetClassifier, FeatureMaps, GlobalFeatures
from skdpnet.backbones import loading
from tests.estimators import all_estimators, targets_for
from tests.parts.dpnet.made_maps import part_maps

X, Y, _ = part_maps(24)
IMAGES = np.random.RandomState(0).randint(0, 255, (4, 32, 48, 3), np.uint8)
LABELS = [0, 1, 0, 1]
SETTINGS = {"n_parts_per_class": 2, "max_epochs": 2, "random_state": 0}


@contextlib.contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


# "meta" stands for any device but the CPU: its tensors cannot be mixed with others.
STATES = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "float16": lambda: default_dtype(torch.float16),
    "default device": lambda: default_device("meta"),
    "with device": lambda: torch.device("meta"),
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


@pytest.fixture(params=STATES)
def state(request):
    return STATES[request.param]


def _seeded(estimator):
    takes = "random_state" in estimator.get_params()
    return estimator.set_params(random_state=0) if takes else estimator


@pytest.mark.parametrize("estimator", all_estimators(), ids=lambda e: type(e).__name__)
def test_estimators_learn_and_describe_alike(state, estimator):
    y = targets_for(estimator, Y)
    expected = _seeded(estimator).fit(X, y).transform(X)
    with state():
        inside = estimator.fit(X, y).transform(X)
        again = estimator.fit_transform(X, y)
    np.testing.assert_array_equal(inside, expected)
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(estimator.transform(X), expected)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "dense_sift"])
def test_named_networks_give_the_same_maps(state, name, tmp_path):
    extractor = FeatureMaps(name, image_size=32)
    expected = extractor.fit_transform(IMAGES)
    # Networks are kept between calls; here it is to be loaded in the other state.
    loading._load_named.cache_clear()
    with state():
        inside = extractor.fit_transform(IMAGES)
        kept = extractor.set_params(memory=tmp_path).fit_transform(IMAGES)
    for got in (inside, kept, extractor.set_params(memory=None).transform(IMAGES)):
        np.testing.assert_array_equal(got, expected)
    loading._load_named.cache_clear()


def test_networks_made_under_another_default_give_maps(state):
    def made():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3, stride=8), nn.ReLU())

    with state():
        network = made()
        if next(network.parameters()).is_meta:
            pytest.skip("a network on the device meta has no weights")
        inside = GlobalFeatures(network, image_size=32).fit_transform(IMAGES)
    outside = GlobalFeatures(network, image_size=32).fit_transform(IMAGES)
    np.testing.assert_array_equal(inside, outside)


def test_models_are_trained_on_saved_and_explained_alike(state, tmp_path):
    def use(model):
        path = tmp_path / "model"
        model.partial_fit(X, Y)
        model.save(path)
        loaded = skdpnet.load(path)
        return loaded, pickle.loads(pickle.dumps(model)), model

    plain = use(DPNetClassifier("precomputed", **SETTINGS).fit(X, Y))[0]
    with state():
        models = use(DPNetClassifier("precomputed", **SETTINGS).fit(X, Y))
        probabilities = [model.predict_proba(X) for model in models]
        explanations = [model.explain(X[0]).contributions for model in models]
    for got in probabilities:
        np.testing.assert_array_equal(got, plain.predict_proba(X))
    for got in explanations:
        np.testing.assert_array_equal(got, plain.explain(X[0]).contributions)
    expected = plain.partial_fit(X, Y).predict_proba(X)
    for model in models:
        np.testing.assert_allclose(
            model.partial_fit(X, Y).predict_proba(X), expected, atol=0.02
        )


def test_the_state_of_the_caller_is_left_as_it_was(state):
    def seen():
        new = torch.empty(0)
        return (
            new.dtype,
            new.device.type,
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
        )

    with state():
        before = seen()
        model = DPNetClassifier("efficientnet_lite0", image_size=64, **SETTINGS)
        model.fit(IMAGES, LABELS)
        between = [seen() for _ in model.iter_maps(IMAGES)]
        responses = [seen() for _ in model.iter_responses(IMAGES)]
        with pytest.raises(ValueError, match="max_epochs"):
            DPNetClassifier("precomputed", max_epochs=-1).fit(X, Y)
        assert {before, seen(), *between, *responses} == {before}
