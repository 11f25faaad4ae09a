"""DP-Net: what it learns, and what it predicts, on maps with known parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from skdpnet import DPNetClassifier, DPNetTransformer
from skdpnet.parts.dpnet.objective import PENALTIES
from tests.parts.dpnet.cosines import cosines
from tests.parts.dpnet.made_maps import PLAIN, part_maps, quick

BOTH = pytest.mark.parametrize("cls", [DPNetClassifier, DPNetTransformer])


def test_parts_classify_better_than_the_average_over_the_map(train, model):
    X, y, _ = train
    X_test, y_test, _ = part_maps(150, seed=1)
    average = LogisticRegression(max_iter=1000).fit(X.mean((1, 2)), y)
    score = model.score(X_test, y_test)
    assert score > 0.95
    assert score > average.score(X_test.mean((1, 2)), y_test) + 0.05


def test_training_lowers_the_loss_and_raises_the_test_score(train):
    # The first part of a class is the centre of all its regions, most of them noise.
    X, y, _ = part_maps(120, strength=1.2)
    X_test, y_test, _ = part_maps(200, seed=1, strength=1.2)
    settings = {"n_parts_per_class": 1, "dropout": 0.0, "label_smoothing": 0.0, **PLAIN}
    first = quick(DPNetClassifier, max_epochs=0, **settings).fit(X, y)
    settings |= {"max_epochs": 30, "lr": 0.01, "ridge": 0.01}
    learned = quick(DPNetClassifier, **settings).fit(X, y)
    losses = learned.history_[:, "train_loss"]
    assert losses[-1] < 0.8 * losses[0]
    assert learned.score(X_test, y_test) > first.score(X_test, y_test) + 0.1
    assert np.abs(learned.parts_ - first.parts_).max() > 0.01


def test_descriptor_is_the_standardised_maximum_of_cosines(train, model):
    X = train[0]
    descriptor = np.log(np.mean(np.exp(model.beta * cosines(model, X)), axis=1))
    descriptor = (descriptor - descriptor.mean(0)) / descriptor.std(0)
    descriptor /= np.sqrt(len(model.parts_))
    np.testing.assert_allclose(model.transform(X), descriptor, atol=1e-4)


def test_attributes_have_the_documented_shapes_and_meaning(train, model):
    X, y, _ = train
    assert model.parts_.shape == (12, 12)
    np.testing.assert_allclose(np.linalg.norm(model.parts_, axis=1), 1, atol=1e-6)
    assert model.coef_.shape == (3, 12)
    assert model.intercept_.shape == (3,)
    assert model.part_classes_.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert model.n_iter_ == 15 == len(model.history_)
    logits = model.transform(X) @ model.coef_.T + model.intercept_
    np.testing.assert_allclose(model.decision_function(X), logits, atol=1e-5)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), shares, atol=1e-6)
    np.testing.assert_array_equal(model.predict(X), model.classes_[logits.argmax(1)])
    (whitening,), (grid,) = model.whitenings_, model.grids_
    with torch.no_grad():
        maps = [whitening.tensor(X, grid, torch.device("cpu"))]
        logits_of_the_net = model.net_.module_(maps).logits
    np.testing.assert_allclose(logits_of_the_net, logits, atol=1e-4)


def test_history_holds_every_term_that_has_a_weight(train):
    X, y, _ = train
    weights = {
        "orthogonality_weight": 1.0,
        "assignment_weight": 0.1,
        "specificity_weight": 0.5,
    }
    model = quick(DPNetClassifier, max_epochs=2, **weights).fit(X, y)
    row = model.history_[-1]
    terms = ["cross_entropy", "ridge", "orthogonality", "assignment", "specificity"]
    total = sum(row[f"train_{term}"] for term in terms)
    assert total == pytest.approx(row["train_loss"], rel=1e-5)
    plain = quick(DPNetClassifier, max_epochs=1, **PLAIN).fit(X, y)
    terms = {key for key in plain.history_[-1] if key.startswith("train_")}
    assert not {f"train_{penalty}" for penalty in PENALTIES} & terms
    assert {"train_loss", "train_cross_entropy", "train_ridge"} <= terms


@pytest.mark.parametrize(
    ("weight", "measure"),
    [
        (
            {"orthogonality_weight": 50.0},
            lambda m: np.square(m.parts_ @ m.parts_.T).sum(),
        ),
        (
            {"specificity_weight": 20.0},
            lambda m: np.abs(
                m.coef_ * (np.arange(3)[:, None] != m.part_classes_)
            ).sum(),
        ),
        (
            {"specificity_weight": 1.0, "specificity_form": "signed"},
            lambda m: (m.coef_ * (np.arange(3)[:, None] != m.part_classes_)).sum(),
        ),
        (
            {"specificity_weight": 5.0, "specificity_form": "square"},
            lambda m: np.square(
                m.coef_ * (np.arange(3)[:, None] != m.part_classes_)
            ).sum(),
        ),
    ],
)
def test_each_penalty_lowers_what_it_penalises(train, model, weight, measure):
    X, y, _ = train
    penalised = quick(DPNetClassifier, **{**PLAIN, **weight}).fit(X, y)
    assert measure(penalised) < measure(model) - 0.05 * abs(measure(model))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_absolute_specificity_makes_weights_of_foreign_parts_exact_zeros(train, method):
    X, y, _ = train
    foreign = np.arange(3)[:, None] != np.repeat(np.arange(3), 4)
    zeros = []
    for weight in (0.0, 0.1, 1.0, 100.0):
        settings = {**PLAIN, "specificity_weight": weight}
        model = quick(DPNetClassifier, max_epochs=2, **settings)
        getattr(model, method)(X, y)
        zeros.append((model.coef_[foreign] == 0).mean())
        assert (model.coef_[~foreign] != 0).all()
        assert model.score(X, y) > 0.9
    assert zeros[0] == 0
    assert zeros == sorted(zeros)
    assert zeros[-1] == 1


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_positive_weights_leave_the_evidence_to_parts_that_are_present(train, method):
    X, y, _ = train
    model = getattr(quick(DPNetClassifier, positive=True), method)(X, y)
    assert (model.coef_ >= 0).all() and (model.coef_ == 0).any()
    new, labels, _ = part_maps(90, seed=1)
    assert model.score(new, labels) > 0.9
    for descriptor in model.transform(new):
        contributions = model.coef_ * descriptor
        assert (contributions[:, descriptor <= 0] <= 0).all()
    free = getattr(quick(DPNetClassifier, specificity_weight=0), method)(X, y)
    assert (free.coef_ < 0).any()


def test_probabilities_of_new_images_are_as_certain_as_they_are_right():
    X, y, _ = part_maps(120, strength=1.0)
    X_test, y_test, _ = part_maps(600, seed=1, strength=1.0)
    model = quick(DPNetClassifier).fit(X, y)
    p = model.predict_proba(X_test)
    log_loss = -np.log(p[np.arange(600), y_test]).mean()
    logits = model.decision_function(X_test)

    def entropy(factor):
        shares = np.exp(factor * (logits - logits.max(axis=1, keepdims=True)))
        shares /= shares.sum(axis=1, keepdims=True)
        return -np.log(shares[np.arange(600), y_test]).mean()

    best = min(entropy(factor) for factor in np.geomspace(0.1, 10, 60))
    assert log_loss == pytest.approx(entropy(1.0), rel=1e-4)
    assert log_loss < best + 0.05
    assert log_loss < np.log(3) - 0.1
    assert abs(p.max(axis=1).mean() - model.score(X_test, y_test)) < 0.1


@pytest.mark.parametrize("order", ["shuffled", "one class a batch"])
def test_partial_fit_learns_from_batches_of_a_single_class(order):
    X_test, y_test, _ = part_maps(200, seed=100)
    X, y, _ = part_maps(60, seed=0)
    model = quick(DPNetClassifier).partial_fit(X, y)
    X, y, _ = part_maps(300, seed=1)
    rows = np.argsort(y, kind="stable")
    if order == "shuffled":
        rows = np.random.default_rng(0).permutation(rows)
    for batch in np.array_split(rows, 6):
        model.partial_fit(X[batch], y[batch])
    assert model.score(X_test, y_test) > 0.9


def test_the_assignment_penalty_lowers_the_entropy_of_regions(train, model):
    X, y, _ = train

    def entropy(fitted):
        batches = list(fitted.iter_responses(X))
        responses = torch.cat([on_map for (on_map,) in batches])
        share = np.exp(responses.numpy() / fitted.assignment_temperature)
        share /= share.sum(-1, keepdims=True)
        return -(share * np.log(share)).sum(-1).mean()

    settings = {**PLAIN, "assignment_weight": 10.0, "lr": 0.02}
    penalised = quick(DPNetClassifier, **settings).fit(X, y)
    assert entropy(penalised) < entropy(model) - 0.02


@BOTH
def test_the_same_seed_gives_the_same_model(cls, train):
    X, y, _ = train
    first, second = (quick(cls, max_epochs=3).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.parts_, second.parts_)
    np.testing.assert_array_equal(first.coef_, second.coef_)
    other = quick(cls, max_epochs=3, random_state=1).fit(X, y)
    assert np.abs(first.parts_ - other.parts_).max() > 0


@pytest.mark.parametrize("labels", [["owl", "wren", "kiwi"], [7, -2, 40]])
def test_labels_may_be_numbers_or_strings(labels):
    X, y, _ = part_maps(90, labels=labels)
    model = quick(DPNetClassifier, max_epochs=3).fit(X, y)
    assert set(model.predict(X)) <= set(labels)
    assert model.classes_.tolist() == sorted(labels)
    first = model.get_feature_names_out()[0]
    assert first == f"{sorted(labels)[0]}_part0"


def test_two_classes_have_one_decision_value():
    X, y, _ = part_maps(80, n_classes=2)
    model = quick(DPNetClassifier, max_epochs=3, **PLAIN).fit(X, y)
    assert model.coef_.shape == (2, 8)
    scores = model.decision_function(X)
    assert scores.shape == (80,)
    np.testing.assert_array_equal(model.predict(X), model.classes_[(scores > 0) * 1])
    p = model.predict_proba(X)
    np.testing.assert_allclose(np.log(p[:, 1] / p[:, 0]), scores, atol=1e-4)


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("shape", [(12,), (7, 12), (3, 4, 12)])
def test_features_regions_and_maps_are_accepted(shape, context):
    random = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = random.normal(size=(40, *shape)) + 3 * y.reshape(-1, *[1] * len(shape))
    model = quick(DPNetClassifier, context=context).fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.n_features_in_ == 12
    grid, *of_context = model.grids_
    assert [other.n_regions for other in of_context] == [1] * context
    assert len(model.parts_) == 8 + 2 * context
    assert grid.n_regions == {1: 1, 2: 7}.get(len(shape), grid.n_regions)


def test_two_images_a_class_are_enough():
    X, _, _ = part_maps(4)
    model = quick(DPNetClassifier).fit(X, [0, 1, 0, 1])
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("value", [0.0, 3.0, 1e-20, 1e15])
def test_images_that_are_all_equal_give_no_nan(value):
    X = np.full((6, 3, 3, 4), value, np.float32)
    model = quick(DPNetClassifier, max_epochs=2).fit(X, [0, 1] * 3)
    assert np.isfinite(model.parts_).all()
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(model.transform(np.random.default_rng(0).random(X.shape))).all()


def test_zero_cells_respond_with_zero_not_nan(train):
    X, y, _ = train
    X = X.copy()
    X[:, :3] = 0
    X[5] = 0
    model = quick(DPNetClassifier, max_epochs=2).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()


def test_the_hard_maximum_without_whitening_is_that_of_the_cells_cosines(train):
    X, y, _ = train
    settings = {"beta": None, "n_components": None, "region_scales": (0.2,), **PLAIN}
    model = quick(DPNetClassifier, **settings).fit(X, y)
    assert model.score(X, y) > 0.9
    cells = X[0].reshape(-1, 12)
    cells = cells / np.linalg.norm(cells, axis=1, keepdims=True)
    maxima = (cells @ model.parts_.T).max(axis=0)
    module = model.net_.module_
    expected = (maxima - module.shift.numpy()) * module.scale.numpy()
    np.testing.assert_allclose(model.transform(X[:1])[0], expected, atol=1e-5)
