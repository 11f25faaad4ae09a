"""Training that ends early: what is left, and who is told."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import skorch.callbacks
import torch

import skdpnet
from skdpnet import DPNetClassifier
from tests.parts.dpnet.made_maps import part_maps, quick

N_STEPS = 3  # an epoch of 150 images has so many


@pytest.fixture(scope="module")
def train():
    return part_maps(150)[:2]


class Breaking(torch.optim.Adam):
    """Breaks off in the step that comes after so many."""

    def __init__(self, params, error, after, **settings):
        super().__init__(params, **settings)
        self.error, self.left = error, after

    def step(self, closure=None):
        if not self.left:
            raise self.error
        self.left -= 1
        return super().step(closure)


def breaking(error, after, **params) -> DPNetClassifier:
    given = {
        "optimizer": Breaking,
        "optimizer__error": error,
        "optimizer__after": after,
    }
    return quick(DPNetClassifier, net_params=given, **params)


def test_control_c_ends_more_than_one_fit(train):
    with pytest.raises(KeyboardInterrupt):
        breaking(KeyboardInterrupt(), 0).fit(*train)


def test_a_callback_may_end_training(train):
    stop = skorch.callbacks.EarlyStopping(
        monitor="train_loss", threshold=1e9, threshold_mode="abs", patience=2
    )
    model = quick(DPNetClassifier, callbacks=[stop]).fit(*train)
    assert model.n_iter_ < 15
    assert model.score(*train) > 0.9


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("calls", [0, 1])
def test_partial_fit_that_breaks_off_leaves_one_model(train, error, calls, tmp_path):
    X, y = train
    model = breaking(error, calls * N_STEPS + 2)
    for _ in range(calls):
        model.partial_fit(X, y)
    with pytest.raises(type(error)):
        model.partial_fit(X, y)
    module = model.net_.module_
    assert not module.training
    parts = module.map_parts[0].parts.detach().numpy()
    unit = parts / np.linalg.norm(parts, axis=1, keepdims=True)
    np.testing.assert_allclose(model.parts_, unit, atol=1e-6)
    np.testing.assert_array_equal(model.coef_, module.classifier.weight.detach())
    model.set_params(net_params=None).save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(
        loaded.coef_, loaded.net_.module_.classifier.weight.detach()
    )
    model.net_.optimizer_.left = N_STEPS
    assert np.abs(model.partial_fit(X, y).parts_ - unit).max() > 1e-4


class Closing(skorch.callbacks.Callback):
    """Counts what it opened and closed."""

    def __init__(self):
        self.calls: list[str] = []

    def on_train_begin(self, net, **kwargs):
        self.calls.append("begin")

    def on_train_end(self, net, **kwargs):
        self.calls.append("end")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_callbacks_learn_of_the_end_and_the_model_pickles(train, error, method):
    closing = Closing()
    model = breaking(error, 1, verbose=1, callbacks=[closing])
    with pytest.raises(type(error)):
        getattr(model, method)(*train)
    assert closing.calls == ["begin", "end"]
    pickle.loads(pickle.dumps(model))


def test_what_broke_first_is_told(train):
    unknown = {"iterator_train__unknown": 1}
    model = quick(DPNetClassifier, net_params=unknown, validation_fraction=0.3)
    with pytest.raises(TypeError, match="unknown"):
        model.fit(*train)
