"""What a callback raises leaves a fit unchanged, and all callbacks see the end."""

from __future__ import annotations

import pickle
import traceback

import pytest
import skorch.callbacks

from skdpnet import DPNetClassifier
from tests.parts.dpnet.made_maps import part_maps, quick

IN_TRAINING = [
    "on_epoch_begin",
    "on_batch_begin",
    "on_grad_computed",
    "on_batch_end",
    "on_epoch_end",
]
AROUND_IT = ["on_train_begin", "on_train_end"]


class Failure(Exception):
    """An exception of the user's."""


class Stop(KeyboardInterrupt):
    """A KeyboardInterrupt of the user's."""


class Raising(skorch.callbacks.Callback):
    """Raises errors in methods of their names."""

    def __init__(self, **errors: BaseException):
        self.errors = errors

    def __getattribute__(self, name):
        if name.startswith("on_") and name in self.errors:
            return self.fail(self.errors[name])
        return super().__getattribute__(name)

    def fail(self, error):
        def raise_error(net, **kwargs):
            raise error

        return raise_error


class Recording(skorch.callbacks.Callback):
    """Counts the ends of training."""

    n_ends = 0

    def on_train_end(self, net, **kwargs):
        self.n_ends += 1


@pytest.fixture(scope="module")
def train():
    return part_maps(60)[:2]


def classifier(*callbacks, **params) -> DPNetClassifier:
    settings = {"max_epochs": 3, "validation_fraction": 0.3, "verbose": 1}
    return quick(DPNetClassifier, callbacks=[*callbacks], **{**settings, **params})


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("hook", IN_TRAINING + AROUND_IT)
@pytest.mark.parametrize(
    "error",
    [Failure("a"), StopIteration("a"), SystemExit(3), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_callback_arrives_as_it_was_raised(train, error, hook, method):
    recording = Recording()
    model = classifier(Raising(**{hook: error}), recording)
    with pytest.raises(type(error)) as caught:
        getattr(model, method)(*train)
    assert caught.value is error
    assert traceback.extract_tb(error.__traceback__)[-1].name == "raise_error"
    assert recording.n_ends == 1
    # The progress bar was closed: an open one could not be pickled.
    model.callbacks = None
    model.net_.callbacks_ = [
        (name, callback)
        for name, callback in model.net_.callbacks_
        if not isinstance(callback, Raising)
    ]
    model.net_.callbacks = None
    pickle.dumps(model)


@pytest.mark.parametrize("hook", IN_TRAINING)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, Stop])
def test_a_callback_ends_training_by_a_keyboard_interrupt(train, stop, hook):
    recording = Recording()
    model = classifier(Raising(**{hook: stop()}), recording).fit(*train)
    assert model.n_iter_ == 1
    assert recording.n_ends == 1
    assert model.score(*train) > 0.8


@pytest.mark.parametrize("hook", AROUND_IT)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, Stop])
def test_before_and_after_training_a_keyboard_interrupt_is_an_error(train, stop, hook):
    error = stop()
    with pytest.raises(KeyboardInterrupt) as caught:
        classifier(Raising(**{hook: error})).fit(*train)
    assert caught.value is error


@pytest.mark.parametrize("second", [Failure("second"), KeyboardInterrupt()])
def test_the_first_error_arrives_and_names_the_later_ones(train, second):
    first, recording = Failure("first"), Recording()
    raising = Raising(on_batch_end=first, on_train_end=second)
    with pytest.raises(Failure, match="first") as caught:
        classifier(raising, recording).fit(*train)
    assert caught.value.__notes__ == [f"Then, at the end of training: {second!r}"]
    assert recording.n_ends == 1


def test_a_stop_and_an_error_at_the_end_arrive_as_the_error(train):
    error = Failure("at the end")
    raising = Raising(on_batch_end=KeyboardInterrupt(), on_train_end=error)
    with pytest.raises(Failure) as caught:
        classifier(raising).fit(*train)
    assert caught.value is error
