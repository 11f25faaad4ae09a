"""The classifier that may answer that an image is of no known class."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdpnet import DPNetClassifier, explain
from skdpnet.open_set import OpenSetClassifier
from tests.parts.dpnet.made_maps import part_maps, quick

LABELS = ["crow", "owl", "wren"]


@pytest.fixture(scope="module")
def data():
    return part_maps(90, labels=LABELS)[:2]


@pytest.fixture(scope="module")
def model(data):
    """Fitted on other images; tests must not change it."""
    X, y, _ = part_maps(90, seed=1, labels=LABELS)
    return quick(DPNetClassifier, max_epochs=3).fit(X, y)


@pytest.fixture
def gaussians():
    random = np.random.default_rng(0)
    y = np.arange(300) % 3
    return random.normal(size=(300, 2)) + 3 * np.eye(3)[y][:, :2], y


@parametrize_with_checks(
    [OpenSetClassifier(LogisticRegression(), conformity_score="logit", cv=2)],
    expected_failed_checks=lambda _: {
        "check_classifiers_classes": "−1, which means none here, is one of its labels"
    },
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_noise_is_none_and_new_images_are_mostly_known(data, model):
    known, y, _ = part_maps(200, seed=2, labels=LABELS)
    unknown = part_maps(100, seed=3, strength=0)[0]
    classifier = OpenSetClassifier(FrozenEstimator(model)).fit(*data)
    answers = classifier.predict(known)
    named = answers != "none"
    assert np.array_equal(answers[named], model.predict(known)[named])
    assert (answers == y).mean() > 0.8
    assert (classifier.predict(unknown) == "none").mean() > 0.8
    assert np.array_equal(classifier.predict(known), classifier.predict(known))


def test_known_images_are_rejected_as_often_as_alpha_says(gaussians):
    """Mean over calibration sets: within four standard errors of 2000 images."""
    random = np.random.default_rng(1)
    X, y = gaussians
    frozen = FrozenEstimator(LogisticRegression().fit(X, y))
    rejected = []
    for _ in range(200):
        labels = random.integers(3, size=49)
        images = random.normal(size=(49, 2)) + 3 * np.eye(3)[labels][:, :2]
        classifier = OpenSetClassifier(frozen, alpha=0.2, conformity_score="logit")
        classifier.fit(images[:39], labels[:39])
        rejected.append((classifier.predict(images[39:]) == -1).mean())
    error = np.std(rejected) / np.sqrt(len(rejected))
    assert abs(np.mean(rejected) - 0.2) < 4 * error


def test_calibration_scores_are_those_of_held_out_images(gaussians):
    X, y = gaussians
    folds = StratifiedKFold(4)
    classifier = OpenSetClassifier(
        LogisticRegression(), conformity_score="probability", cv=folds
    ).fit(X, y)
    expected = cross_val_predict(
        LogisticRegression(), X, y, cv=folds, method="predict_proba"
    )
    scores = np.sort(classifier.calibration_scores_)
    np.testing.assert_allclose(scores, np.sort(expected.max(axis=1)))
    counts = np.bincount(expected.argmax(axis=1))
    assert np.bincount(classifier.calibration_classes_).tolist() == counts.tolist()
    whole = LogisticRegression().fit(X, y)
    np.testing.assert_allclose(classifier.estimator_.coef_, whole.coef_)


def test_alpha_may_be_set_after_fit(data, model):
    classifier = OpenSetClassifier(FrozenEstimator(model), alpha=0.0).fit(*data)
    X = part_maps(60, seed=4)[0]
    assert np.array_equal(classifier.predict(X), model.predict(X))
    p_values = classifier.p_values(X)
    for alpha in (0.1, 0.5):
        answers = classifier.set_params(alpha=alpha).predict(X)
        assert np.array_equal(answers == "none", p_values <= alpha)


def test_class_conditional_p_values_compare_within_the_predicted_class(gaussians):
    X, y = gaussians
    classifier = OpenSetClassifier(
        LogisticRegression(), conformity_score="logit", class_conditional=True
    ).fit(X, y)
    predicted = classifier.estimator_.predict(X)
    logits = classifier.estimator_.decision_function(X).max(axis=1)
    of_class = classifier.calibration_classes_
    for i in range(0, 300, 50):
        others = classifier.calibration_scores_[of_class == predicted[i]]
        expected = (1 + (others <= logits[i]).sum()) / (1 + len(others))
        assert classifier.p_values(X)[i] == pytest.approx(expected)


def test_a_part_classifier_is_calibrated_by_folds_and_explained(data):
    X, y = data
    classifier = OpenSetClassifier(quick(DPNetClassifier, max_epochs=1), cv=2)
    again = clone(classifier).fit(list(X), y.tolist())
    classifier.fit(X, y)
    np.testing.assert_allclose(classifier.p_values(X), again.p_values(X), atol=1e-6)
    why = explain(classifier.estimator_, X[0])
    assert why.predicted == classifier.estimator_.predict(X[:1])[0]
    copy = pickle.loads(pickle.dumps(classifier))
    assert np.array_equal(copy.predict(X), classifier.predict(X))


@pytest.mark.parametrize(
    ("labels", "given", "none"),
    [
        (LABELS, None, "none"),
        (["a", "b", "c"], "not one of these", "not one of these"),
        ([0, 1, 2], None, -1),
        ([-1, 0, 1], 9, 9),
    ],
)
def test_the_answer_for_images_of_no_class(gaussians, labels, given, none):
    X, y = gaussians[0], np.array(labels)[gaussians[1]]
    classifier = OpenSetClassifier(
        LogisticRegression(), conformity_score="logit", none_label=given, alpha=0.9
    ).fit(X, y)
    assert classifier.none_label_ == none
    assert none in classifier.predict(X).tolist()


def test_long_answers_are_not_cut_in_arrays_of_objects(gaussians):
    X, y = gaussians[0], np.array(["a", "b", "c"], dtype=object)[gaussians[1]]
    classifier = OpenSetClassifier(
        LogisticRegression(), conformity_score="logit", alpha=0.9
    ).fit(X, y)
    answers = classifier.predict(X)
    assert answers.dtype == object and set(answers) == {"a", "b", "c", "none"}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": 1.0}, "alpha must be"),
        ({"alpha": -0.1}, "alpha must be"),
        ({"conformity_score": "score"}, "conformity_score must be"),
        ({"class_conditional": "yes"}, "class_conditional must be"),
        ({"none_label": 1}, "1 is the label of a known class"),
        ({"none_label": "none"}, "must be a number"),
    ],
)
def test_parameters_that_cannot_be_used(gaussians, params, message):
    settings = {"conformity_score": "logit", **params}
    with pytest.raises(ValueError, match=message):
        OpenSetClassifier(LogisticRegression(), **settings).fit(*gaussians)


def test_a_regressor_has_no_classes_to_reject(gaussians):
    with pytest.raises(ValueError, match="must be a classifier, got Ridge"):
        OpenSetClassifier(Ridge(), conformity_score="logit").fit(*gaussians)
    with pytest.raises(ValueError, match="must be a classifier"):
        OpenSetClassifier(FrozenEstimator(Ridge().fit(*gaussians))).fit(*gaussians)


def test_a_class_that_a_fold_holds_out_wholly(gaussians):
    X, y = gaussians
    folds = [(np.flatnonzero(y < 2), np.flatnonzero(y == 2))]
    classifier = OpenSetClassifier(
        LogisticRegression(), conformity_score="logit", cv=folds
    )
    with pytest.raises(ValueError, match=r"classes \[2\] are held out"):
        classifier.fit(X, y)


def test_a_classifier_of_several_labels_is_refused(data):
    X, y = data
    several = quick(DPNetClassifier).fit(X, np.column_stack([y == "owl", y != "owl"]))
    with pytest.raises(ValueError, match="fit one on labels"):
        OpenSetClassifier(FrozenEstimator(several)).fit(X, (y == "owl").astype(int))


def test_calibration_images_of_unknown_classes(data, model):
    X, y = data
    classifier = OpenSetClassifier(FrozenEstimator(model))
    with pytest.raises(ValueError, match="not among the classes.*'swan'"):
        classifier.fit(X, np.where(y == "owl", "swan", y))
    with pytest.raises(NotFittedError):
        classifier.p_values(X)
    with pytest.raises(NotFittedError):
        OpenSetClassifier(FrozenEstimator(quick(DPNetClassifier))).fit(X, y)


def test_too_few_calibration_images_to_reject_anything(data, model):
    X, y = data
    frozen = FrozenEstimator(model)
    with pytest.warns(UserWarning, match="alpha=0.1 needs 9 .*, there are 6"):
        OpenSetClassifier(frozen).fit(X[:6], y[:6])
    with pytest.warns(UserWarning, match="needs 99 .* for 3 of 3 classes"):
        OpenSetClassifier(frozen, alpha=0.01, class_conditional=True).fit(X, y)
