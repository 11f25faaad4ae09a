"""Images that have several classes or none: indicator matrices as targets."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skdpnet
from skdpnet import DPNetClassifier, DPNetTransformer, explain, explain_class
from skdpnet.parts.dpnet.label_fits import LabelFits
from skdpnet.training.calibration import label_factor, label_spread
from skdpnet.training.dataset import MapDataset
from tests.parts.dpnet.made_maps import PLAIN, quick

K = 3


def marked_maps(n, seed=0):
    """Maps of noise with the direction of each class that the image has, in a cell.

    Returns the maps, the indicators, and the cell (n, K, 2) of each class.
    """
    random = np.random.default_rng(seed)
    directions = np.linalg.qr(np.random.default_rng(99).normal(size=(12, 12)))[0]
    Y = random.random((n, K)) < (0.5, 0.4, 0.3)
    X = random.normal(size=(n, 5, 6, 12))
    cells = np.stack([random.permutation(30)[:K] for _ in range(n)])
    where = np.stack(np.divmod(cells, 6), axis=2)
    for i, c in np.argwhere(Y):
        X[i, where[i, c, 0], where[i, c, 1]] += 16 * directions[c]
    return X.astype(np.float32), Y.astype(int), where


@pytest.fixture(scope="module")
def train():
    return marked_maps(150)


@pytest.fixture(scope="module")
def test():
    return marked_maps(90, seed=1)


@pytest.fixture(scope="module")
def model(train):
    """A model that tests must not change."""
    return quick(DPNetClassifier, **PLAIN).fit(*train[:2])


def test_all_classes_of_new_images_are_found(model, test):
    X, Y, _ = test
    predicted = model.predict(X)
    assert predicted.shape == Y.shape and predicted.dtype == np.int64
    assert (predicted == Y).mean() > 0.97
    assert model.score(X, Y) == accuracy_score(Y, predicted) > 0.9
    assert model.score(X, sparse.csr_matrix(Y)) == model.score(X, Y)
    assert model.classes_.tolist() == [0, 1, 2] and model.multilabel_


def test_scores_probabilities_and_predictions_are_of_each_class(model, test):
    scores = model.decision_function(test[0])
    assert scores.shape == (90, K)
    probabilities = model.predict_proba(test[0])
    np.testing.assert_allclose(probabilities, expit(scores.astype(np.float64)))
    np.testing.assert_array_equal(model.predict(test[0]), probabilities > 0.5)


def test_probabilities_are_as_certain_as_they_are_right(model, test):
    X, Y, _ = test
    p = np.clip(model.predict_proba(X), 1e-12, 1)
    loss = -np.log(np.where(Y, p, 1 - p)).mean()
    # The entropy of the classes' frequencies, which knows nothing of an image.
    frequency = Y.mean(axis=0)
    chance = -(
        frequency * np.log(frequency) + (1 - frequency) * np.log(1 - frequency)
    ).mean()
    assert loss < 0.25 * chance


def test_two_classes_are_two_decisions(train):
    X, Y, _ = train
    model = quick(DPNetClassifier, max_epochs=1, **PLAIN).fit(X, Y[:, :2])
    assert model.decision_function(X).shape == model.predict(X).shape == (150, 2)
    assert (model.predict(X) == Y[:, :2]).mean() > 0.9


def test_the_strongest_part_of_a_class_lies_where_the_class_is(model, test):
    X, Y, where = test
    hits = []
    for i, c in np.argwhere(Y)[:60]:
        why = explain(model, X[i], int(c))
        own = [p for p in why.top_parts() if why.part_classes[p] == c][0]
        left, top, right, bottom = why.boxes[own]
        row, column = (where[i, c] + 0.5) / (5, 6)
        hits.append(left < column < right and top < row < bottom)
        heat = why.heat_map()
        assert heat.sum() == pytest.approx(why.score - why.bias, abs=1e-5)
    # Regions are at most 2 of 5 by 2 of 6 cells: chance is below 1 in 7.
    assert np.mean(hits) > 0.9


def test_contributions_add_up_to_the_score_of_each_class(model, test):
    X = test[0][:5]
    scores = model.decision_function(X)
    for i, c in np.ndindex(5, K):
        why = explain(model, X[i], c)
        assert why.score == pytest.approx(scores[i, c], abs=1e-5)
        assert why.contributions.sum() + why.bias == pytest.approx(why.score)
        assert why.explained == c


def test_without_a_class_the_one_of_the_largest_score_is_explained(model, test):
    scores = model.decision_function(test[0][:10])
    for image, row in zip(test[0][:10], scores, strict=True):
        why = model.explain(image)
        assert why.explained == why.predicted == row.argmax()
        assert why.readout.outcome == "labels"


def test_class_explanations_and_galleries_have_the_class(model, test):
    X, Y, _ = test
    for c in range(K):
        has = explain_class(model, c, X[Y[:, c] == 1])
        lacks = explain_class(model, c, X[Y[:, c] == 0])
        assert has.score > 0 > lacks.score
        gallery = skdpnet.part_gallery(model, int(has.order[0]), X, n=8)
        assert Y[gallery.images, c].all()


def test_first_parts_come_from_the_images_of_the_class(train):
    X, Y, _ = train
    settings = {**PLAIN, "max_epochs": 0, "n_components": None}
    together = quick(DPNetTransformer, **settings).fit(X, Y)
    # Images without the class have no influence on its first clusters: of one class
    # of labels they are other images.
    changed = Y.copy()
    changed[:, 1] = 1 - Y[:, 1]
    other = quick(DPNetTransformer, **settings).fit(X, changed)
    first = together.part_classes_ == 0
    np.testing.assert_array_equal(together.parts_[first], other.parts_[first])
    assert not np.allclose(together.parts_[~first], other.parts_[~first])


@pytest.mark.parametrize("context", [False, True])
def test_a_saved_model_predicts_as_before(train, tmp_path, context):
    X, Y, _ = train
    settings = {**PLAIN, "context": context}
    model = quick(DPNetClassifier, max_epochs=2, **settings).fit(X, Y)
    model.save(tmp_path / "model")
    for again in (
        skdpnet.load(tmp_path / "model", device="cpu"),
        pickle.loads(pickle.dumps(model)),
    ):
        assert again.multilabel_
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    # A fit on labels is one of labels again.
    assert not again.fit(X, Y[:, 0]).multilabel_
    assert again.predict(X).shape == (150,)


def test_images_of_weight_zero_have_no_influence(train):
    X, Y, _ = train
    estimator = quick(DPNetClassifier, max_epochs=2, **PLAIN)
    weights = np.repeat([1.0, 0.0], [100, 50])
    wrong = np.vstack([Y[:100], 1 - Y[100:]])
    weighted = clone(estimator).fit(X, wrong, sample_weight=weights)
    without = clone(estimator).fit(X[:100], Y[:100])
    np.testing.assert_allclose(weighted.coef_, without.coef_, atol=1e-5)


def test_weights_move_the_decision(train):
    X, Y, _ = train
    estimator = quick(DPNetClassifier, max_epochs=0, **PLAIN)
    noisy = np.random.default_rng(0).permutation(Y)  # nothing to learn
    has = noisy[:, 0] == 1
    heavy = clone(estimator).fit(X, noisy, sample_weight=np.where(has, 20.0, 1.0))
    light = clone(estimator).fit(X, noisy, sample_weight=np.where(has, 1.0, 20.0))
    assert heavy.predict(X)[:, 0].mean() > light.predict(X)[:, 0].mean() + 0.3


def test_images_are_held_out_without_stratification(train):
    X, Y, _ = train
    model = quick(DPNetClassifier, validation_fraction=0.2, max_epochs=2, **PLAIN)
    model.fit(X, Y)
    assert "valid_cross_entropy" in model.history_[0]


def test_a_class_that_no_image_has_is_never_predicted(train):
    X, Y, _ = train
    model = quick(DPNetClassifier, max_epochs=1, **PLAIN)
    with pytest.warns(UserWarning, match="no image has the class of column 3"):
        model.fit(X, np.column_stack([Y, np.zeros(150)]))
    assert (model.predict(X)[:, 3] == 0).all()
    assert np.isfinite(model.coef_).all()


def test_what_needs_one_label_of_each_image_says_so(model, train):
    X, Y, _ = train
    with pytest.raises(ValueError, match="partial_fit takes one label"):
        DPNetClassifier("precomputed").partial_fit(X, Y)
    with pytest.raises(ValueError, match="partial_fit takes one label"):
        model.partial_fit(X, Y[:, 0], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="class_weight weighs images by their label"):
        DPNetClassifier("precomputed", class_weight="balanced").fit(X, Y)
    with pytest.raises(ValueError, match="y has 2 columns, but DPNetClassifier"):
        model.score(X, Y[:, :2])


def test_searches_cross_validate_indicator_matrices(train):
    X, Y, _ = train
    grid = {"C": [1e-6, 1.0]}
    search = GridSearchCV(quick(DPNetClassifier, max_epochs=0, **PLAIN), grid, cv=2)
    assert search.fit(X, Y).best_params_ == {"C": 1.0}
    assert explain(search, X[0], 1).explained == 1


def test_a_pipeline_of_parts_and_a_multilabel_classifier_is_explained(train):
    X, Y, _ = train
    parts = quick(DPNetTransformer, max_epochs=1, **PLAIN)
    model = make_pipeline(parts, RidgeClassifier()).fit(X, Y)
    scores = model.decision_function(X[:3])
    for i, c in np.ndindex(3, K):
        why = explain(model, X[i], c)
        assert why.score == pytest.approx(scores[i, c], abs=1e-5)
        assert why.readout.outcome == "labels"


def test_the_fit_between_epochs_is_scikit_learn_s_for_each_class():
    random = np.random.default_rng(0)
    d = random.normal(size=(40, 6)).astype(np.float32)
    Y = (random.random((40, K)) < expit(d[:, :K] * 2)).astype(int)
    w = random.uniform(0.5, 1.5, 40)
    fits = LabelFits(K, C=2.0, ridge=0.01, label_smoothing=0.0, penalty=None)
    coef, intercept = fits.in_training(d, Y, w)
    for c in range(K):
        # One score decides between two classes here, and so is the difference of two.
        logistic = LogisticRegression(C=0.5 / (0.01 * 40), tol=1e-10, max_iter=5000)
        logistic.fit(d, Y[:, c], w)
        np.testing.assert_allclose(coef[c], logistic.coef_[0], atol=2e-3)
        np.testing.assert_allclose(intercept[c], logistic.intercept_[0], atol=2e-3)


def test_the_final_classifier_has_the_spread_that_is_asked_for():
    random = np.random.default_rng(0)
    d = random.normal(size=(40, 6)).astype(np.float32)
    Y = (d[:, :K] + random.normal(size=(40, K)) > 0).astype(int)
    dataset = MapDataset([d[:, None]], Y, np.ones(40))
    fits = LabelFits(K, C=2.0, ridge=0.01, label_smoothing=0.0, penalty=None)
    coef, intercept = fits.final(dataset, d, 3.0)
    scores = d @ coef.T + intercept
    assert (scores - scores.mean(axis=0)).std() == pytest.approx(3, rel=1e-5)
    assert label_spread(scores) == pytest.approx(3, rel=1e-5)


def test_the_factor_of_scores_is_that_of_the_smallest_entropy():
    random = np.random.default_rng(0)
    scores = random.normal(size=(5000, K))
    Y = (random.random((5000, K)) < expit(2.5 * scores)).astype(int)
    assert label_factor(scores, Y, np.ones(5000)) == pytest.approx(2.5, rel=0.05)
    # Even if all images are right, the next one may not be.
    sides = np.where(Y, 1.0, -1.0)
    assert label_factor(sides, Y, np.ones(5000)) < 20
