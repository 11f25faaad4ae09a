"""scikit-learn's callbacks see fits and epochs, and may end training."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skdpnet import (
    DPNetClassifier,
    DPNetRegressor,
    DPNetTransformer,
    PIPNetClassifier,
    ProtoPNetClassifier,
)
from tests.parts.dpnet.made_maps import part_maps

pytest.importorskip("sklearn.callback", reason="they come with scikit-learn 1.9")
FITTED = {
    DPNetClassifier: {"n_parts_per_class": 2, "max_epochs": 3},
    DPNetTransformer: {"n_parts_per_class": 2, "max_epochs": 3},
    DPNetRegressor: {"max_epochs": 3},
    ProtoPNetClassifier: {"n_prototypes_per_class": 2, "max_epochs": 3},
    PIPNetClassifier: {"max_epochs": 2},
}


class Record:
    """Notes the tasks that begin and end; ends training after some epochs."""

    def __init__(self, n_epochs=None):
        self.n_epochs = n_epochs
        self.events = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.events.append(f"begin {context.task_name}")
        self.has_images = X is not None or context.task_name != "fit"

    def on_fit_task_end(self, estimator, context):
        self.events.append(f"end {context.task_name}")
        return self.events.count("end epoch") == self.n_epochs


@pytest.fixture(scope="module")
def data():
    return part_maps(60)[:2]


def make(kind, **changes):
    return kind("precomputed", **{**FITTED[kind], "random_state": 0, **changes})


@pytest.mark.parametrize("kind", FITTED, ids=lambda kind: kind.__name__)
def test_a_fit_is_a_task_and_so_is_each_epoch(kind, data):
    record = Record()
    model = make(kind).set_callbacks(record).fit(*data)
    n = model.n_iter_
    epochs = ["begin epoch", "end epoch"] * n
    assert n >= 2
    expected = ["setup", "begin fit", *epochs, "end fit", "teardown"]
    assert record.events == expected
    assert record.has_images


@pytest.mark.parametrize("kind", [DPNetClassifier, ProtoPNetClassifier])
def test_callbacks_change_nothing_that_is_learned(kind, data):
    X, _ = data
    watched = make(kind).set_callbacks(Record()).fit(*data)
    alone = make(kind).fit(*data)
    np.testing.assert_array_equal(watched.transform(X), alone.transform(X))
    # The fitted model does not keep what watched it but for the user's own setting.
    pickle.loads(pickle.dumps(watched.set_callbacks())).transform(X)


def test_a_callback_ends_training(data):
    record = Record(n_epochs=1)
    model = make(DPNetClassifier).set_callbacks(record).fit(*data)
    assert model.n_iter_ == 1
    assert record.events[-2:] == ["end fit", "teardown"]
    # What follows training has happened: the classifier fits the learned parts.
    assert model.score(*data) > 0.9


def test_an_error_of_the_fit_is_followed_by_teardown(data):
    X, y = data
    record = Record()
    with pytest.raises(ValueError, match="y"):
        make(DPNetClassifier).set_callbacks(record).fit(X, np.zeros(len(y)))
    assert record.events[-1] == "teardown"


def test_a_search_and_a_clone_have_the_callbacks(data):
    record = Record()
    model = clone(make(DPNetClassifier).set_callbacks(record))
    GridSearchCV(model, {"max_epochs": [1]}, cv=2, refit=False).fit(*data)
    assert record.events.count("end fit") == 2
    assert record.events.count("end epoch") == 2


def test_partial_fit_has_no_tasks(data):
    record = Record()
    model = make(DPNetClassifier).set_callbacks(record)
    model.partial_fit(*data)
    assert record.events == []
