"""Training of DP-Net: validation, weights, partial_fit, and unusable input."""

from __future__ import annotations

import pickle
import warnings

import joblib
import numpy as np
import pytest
import skorch.callbacks
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skdpnet
from skdpnet import DPNetClassifier, DPNetTransformer
from tests.parts.dpnet.made_maps import part_maps, quick

BOTH = pytest.mark.parametrize("cls", [DPNetClassifier, DPNetTransformer])


@pytest.mark.parametrize("beta", [np.float32(40), np.float16(40), 40])
def test_a_beta_of_numpy_is_the_number_of_python(beta, tmp_path):
    X, y, _ = part_maps(90)
    model = quick(DPNetClassifier, max_epochs=1, beta=beta).fit(X, y)
    assert type(model.net_.module_.beta) is float
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", device="cpu")
    assert type(loaded.net_.module_.beta) is float
    expected = quick(DPNetClassifier, max_epochs=1, beta=40.0).fit(X, y)
    np.testing.assert_array_equal(model.parts_, expected.parts_)
    assert model.beta is beta


def test_validation_stops_early_and_keeps_the_best_epoch(train):
    X, y, _ = train
    permuted = np.random.default_rng(0).permutation(y)  # nothing can be learned
    model = quick(
        DPNetClassifier,
        validation_fraction=0.3,
        n_iter_no_change=2,
        max_epochs=40,
        lr=0.01,
    ).fit(X, permuted)
    valid = model.history_[:, "valid_loss"]
    assert model.n_iter_ < 40
    assert int(np.argmin(valid)) == model.n_iter_ - 3


def test_too_few_images_for_a_validation_set_are_refused():
    X, _, _ = part_maps(5)
    with pytest.raises(ValueError, match="validation_fraction=0.2 cannot be held out"):
        quick(DPNetClassifier, validation_fraction=0.2).fit(X, [0, 0, 1, 1, 2])


def test_images_of_weight_0_have_no_influence(train):
    X, y, _ = train
    weight = np.ones(len(X))
    weight[100:] = 0
    weighted = quick(DPNetClassifier, max_epochs=3).fit(X, y, sample_weight=weight)
    without = quick(DPNetClassifier, max_epochs=3).fit(X[:100], y[:100])
    np.testing.assert_allclose(weighted.coef_, without.coef_, atol=1e-6)


def test_weights_move_the_decision_towards_the_heavy_class(train):
    X, y, _ = part_maps(150, strength=0.3)
    plain = quick(DPNetClassifier).fit(X, y)
    for heavy in (
        quick(DPNetClassifier, class_weight={0: 30, 1: 1, 2: 1}).fit(X, y),
        quick(DPNetClassifier).fit(X, y, sample_weight=np.where(y == 0, 30.0, 1.0)),
    ):
        X_test, _, _ = part_maps(300, seed=5, strength=0.3)
        heavy_share = (heavy.predict(X_test) == 0).mean()
        assert heavy_share > (plain.predict(X_test) == 0).mean() + 0.1


def test_partial_fit_learns_from_batch_to_batch():
    model = quick(DPNetClassifier, lr=3e-3)
    for seed in range(8):
        X, y, _ = part_maps(50, seed=seed)
        model.partial_fit(X, y, classes=[0, 1, 2])
    X_test, y_test, _ = part_maps(150, seed=100)
    assert model.score(X_test, y_test) > 0.9
    assert model.n_iter_ == 8
    X, y, _ = part_maps(30, seed=9)
    model.partial_fit(X[y == 1], y[y == 1])
    assert model.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("max_epochs", [1, 3])
@pytest.mark.parametrize("after_fit", [False, True])
def test_partial_fit_moves_the_parts_in_every_call(train, max_epochs, after_fit):
    X, y, _ = train
    model = quick(DPNetClassifier, max_epochs=max_epochs)
    (model.fit if after_fit else model.partial_fit)(X, y)
    for _ in range(5):
        before = model.parts_
        model.partial_fit(X, y)
        assert np.abs(model.parts_ - before).max() > 1e-4


def test_partial_fit_after_a_fit_that_held_images_out(train):
    X, y, _ = train
    model = quick(DPNetClassifier, max_epochs=2, validation_fraction=0.3).fit(X, y)
    before = model.parts_
    model.partial_fit(X, y)
    assert np.abs(model.parts_ - before).max() > 1e-4


def test_an_estimator_is_not_fitted_after_a_fit_that_fails(train):
    X, y, _ = train
    model = quick(DPNetClassifier, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full_like(X, np.nan), np.array(["q", "r", "s"])[y])
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_the_first_parts_are_kept_without_epochs_despite_a_validation_set(train):
    settings = {"max_epochs": 0, "validation_fraction": 0.3}
    model = quick(DPNetClassifier, **settings).fit(*train[:2])
    assert model.n_iter_ == 0
    assert model.score(*train[:2]) > 0.8


def test_partial_fit_refuses_other_labels(train):
    X, y, _ = train
    model = quick(DPNetClassifier).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"not among the classes: \[3\]"):
        model.partial_fit(X[:2], [0, 3])
    with pytest.raises(ValueError, match="differ from those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="at least two classes"):
        quick(DPNetClassifier).partial_fit(X[y == 0], y[y == 0])


def test_images_held_out_are_not_pickled(train):
    X, y, _ = train
    few = pickle.dumps(quick(DPNetClassifier, validation_fraction=0.2).fit(X, y))
    many = np.concatenate([X] * 6), np.concatenate([y] * 6)
    more = pickle.dumps(quick(DPNetClassifier, validation_fraction=0.2).fit(*many))
    assert len(more) < 2 * len(few)


def test_callbacks_and_net_params_reach_the_net(train):
    X, y, _ = train

    class Count(skorch.callbacks.Callback):
        def __init__(self):
            self.epochs = 0

        def on_epoch_end(self, net, **kwargs):
            self.epochs += 1

    count = Count()
    model = quick(
        DPNetClassifier,
        max_epochs=3,
        callbacks=[count],
        net_params={"optimizer": torch.optim.SGD},
    ).fit(X, y)
    assert count.epochs == 3
    assert isinstance(model.net_.optimizer_, torch.optim.SGD)


def test_nothing_is_printed_and_nothing_written(train, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick(DPNetClassifier, max_epochs=2, validation_fraction=0.2).fit(*train[:2])
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert list(tmp_path.iterdir()) == []
    quick(DPNetClassifier, max_epochs=2, verbose=1).fit(*train[:2])
    assert "2/2" in capsys.readouterr().err


@BOTH
@pytest.mark.parametrize("specificity_weight", [0.0, 0.1])
def test_estimators_pickle_dump_and_clone(cls, train, specificity_weight, tmp_path):
    X, y, _ = train
    settings = {"verbose": 1, "specificity_weight": specificity_weight}
    model = quick(cls, max_epochs=2, **settings).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    for copy in (
        pickle.loads(pickle.dumps(model)),
        joblib.load(tmp_path / "model.joblib"),
    ):
        np.testing.assert_array_equal(copy.transform(X), model.transform(X))
    fresh = clone(model)
    assert not hasattr(fresh, "parts_")
    np.testing.assert_array_equal(fresh.fit(X, y).parts_, model.parts_)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_parts_per_class": 0}, "n_parts_per_class must be a whole number"),
        ({"n_parts_per_class": 2.5}, "n_parts_per_class must be a whole number"),
        ({"orthogonality_weight": -1}, "orthogonality_weight must be a number"),
        ({"assignment_weight": float("nan")}, "assignment_weight must be a number"),
        (
            {"assignment_temperature": 0},
            "assignment_temperature must be a number above",
        ),
        ({"specificity_form": "l1"}, "specificity_form must be one of"),
        ({"beta": 0}, "beta must be a number above 0, or None"),
        ({"C": float("inf")}, "C must be a number above 0"),
        ({"dropout": 1.0}, "dropout must be a number of at least 0 and below 1"),
        ({"lr": "fast"}, "lr must be a number above 0"),
        ({"max_epochs": -1}, "max_epochs must be a whole number"),
        ({"batch_size": True}, "batch_size must be a whole number"),
        ({"validation_fraction": 1.0}, "validation_fraction must be a number above 0"),
        ({"region_scales": 0.5}, "region_scales must be a sequence"),
        ({"region_scales": (2,)}, "region_scales must be a sequence of shares"),
        ({"n_components": 0}, "n_components must be a whole number"),
        ({"class_weight": {9: 1}}, "class_weight|class_label"),
    ],
)
def test_unusable_parameters_are_named(train, params, message):
    with pytest.raises(ValueError, match=message):
        quick(DPNetClassifier, **params).fit(*train[:2])


def test_unusable_data_are_named(train, model):
    X, y, _ = train
    with pytest.raises(ValueError, match="at least two classes.*1 class"):
        quick(DPNetClassifier).fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick(DPNetClassifier).fit(X, y[:-1])
    with pytest.raises(ValueError, match="no label for item 7"):
        quick(DPNetClassifier).fit(X, [*"abcabca", None, *"b" * (len(X) - 8)])
    with pytest.raises(ValueError, match="Unknown label type"):
        quick(DPNetClassifier).fit(X, np.linspace(0, 1, len(X)))
    with pytest.raises(ValueError, match="at least one non-zero"):
        quick(DPNetClassifier).fit(X, y, sample_weight=np.zeros(len(X)))
    with pytest.raises(ValueError, match="(?i)negative values"):
        quick(DPNetClassifier).fit(X, y, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match=r"feature maps of shape \(4, 6, 12\)"):
        model.predict(X[:, :4])
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full_like(X, np.nan))
    with pytest.raises(ValueError, match="5 dimensions"):
        quick(DPNetClassifier).fit(X[..., None], y)


def test_float16_and_float64_maps_give_what_float32_gives(train, model):
    X, y, _ = train
    expected = model.decision_function(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        half = model.decision_function(X.astype(np.float16))
        double = model.decision_function(X.astype(np.float64))
    np.testing.assert_allclose(double, expected, atol=1e-4)
    np.testing.assert_allclose(half, expected, atol=0.05)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("C", [1e-8, 1e14, 1e30])
def test_any_c_gives_finite_probabilities(train, method, C):
    X, y, _ = train
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = getattr(quick(DPNetClassifier, C=C, max_epochs=1), method)(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
