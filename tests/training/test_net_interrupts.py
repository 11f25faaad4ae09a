"""Training that ends early: the error that is raised, and the model that is left."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import skorch.callbacks
import torch

import skdpnet
from skdpnet import DPNetClassifier
from tests.parts.dpnet.made_maps import part_maps, quick

N_STEPS = 3  # steps in an epoch of 150 images


@pytest.fixture(scope="module")
def train():
    return part_maps(150)[:2]


class Interrupted(torch.optim.Adam):
    """An optimiser that raises an error in the step after `n_steps` steps."""

    def __init__(self, params, error, n_steps, **settings):
        super().__init__(params, **settings)
        self.error, self.n_left = error, n_steps

    def step(self, closure=None):
        if not self.n_left:
            raise self.error
        self.n_left -= 1
        return super().step(closure)


def interrupted(error, n_steps, **params) -> DPNetClassifier:
    """Make a classifier whose training raises an error after so many steps."""
    net_params = {
        "optimizer": Interrupted,
        "optimizer__error": error,
        "optimizer__n_steps": n_steps,
    }
    return quick(DPNetClassifier, net_params=net_params, **params)


class Interrupt(KeyboardInterrupt):
    """What a program's handler of Ctrl-C may raise."""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupt()])
def test_the_user_s_interrupt_leaves_fit_as_an_exception(train, error):
    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted(error, 0).fit(*train)
    assert caught.value is error


def test_a_callback_may_end_training(train):
    stop = skorch.callbacks.EarlyStopping(
        monitor="train_loss", threshold=1e9, threshold_mode="abs", patience=2
    )
    model = quick(DPNetClassifier, callbacks=[stop]).fit(*train)
    assert model.n_iter_ < 15
    assert model.score(*train) > 0.9


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("calls", [0, 1])
def test_an_interrupted_partial_fit_leaves_consistent_attributes(
    train, error, calls, tmp_path
):
    X, y = train
    model = interrupted(error, calls * N_STEPS + 2)
    for _ in range(calls):
        model.partial_fit(X, y)
    with pytest.raises(type(error)):
        model.partial_fit(X, y)
    module = model.net_.module_
    assert not module.training
    parts = module.map_parts[0].parts.detach().numpy()
    unit = parts / np.linalg.norm(parts, axis=1, keepdims=True)
    # The contexts, which are of another map, come last.
    np.testing.assert_allclose(model.parts_[: len(unit)], unit, atol=1e-6)
    np.testing.assert_array_equal(model.coef_, module.classifier.weight.detach())
    model.set_params(net_params=None).save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(
        loaded.coef_, loaded.net_.module_.classifier.weight.detach()
    )
    model.net_.optimizer_.n_left = N_STEPS
    moved = model.partial_fit(X, y).parts_[: len(unit)]
    assert np.abs(moved - unit).max() > 1e-4


class Recording(skorch.callbacks.Callback):
    """Records the calls at the beginning and the end of training."""

    def __init__(self):
        self.calls: list[str] = []

    def on_train_begin(self, net, **kwargs):
        self.calls.append("begin")

    def on_train_end(self, net, **kwargs):
        self.calls.append("end")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_callbacks_see_the_end_of_training_and_the_model_pickles(train, error, method):
    recording = Recording()
    model = interrupted(error, 1, verbose=1, callbacks=[recording])
    with pytest.raises(type(error)):
        getattr(model, method)(*train)
    assert recording.calls == ["begin", "end"]
    pickle.loads(pickle.dumps(model))


def test_the_first_error_is_raised(train):
    unknown = {"iterator_train__unknown": 1}
    model = quick(DPNetClassifier, net_params=unknown, validation_fraction=0.3)
    with pytest.raises(TypeError, match="unknown"):
        model.fit(*train)
