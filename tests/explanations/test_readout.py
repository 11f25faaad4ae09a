"""Readouts of models: linear ones, those of estimators, and models without any."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skdpnet import DPNetClassifier, GlobalFeatures, explain
from skdpnet.explanations.model_steps import find_parts
from skdpnet.explanations.readout import (
    EstimatorReadout,
    LinearReadout,
    linear_readout,
    read_model,
)
from tests.explanations.models import (
    LOGISTIC,
    MODELS,
    SVM,
    assigned,
    learned,
    sparse_svm,
)
from tests.parts.dpnet.made_maps import part_maps, quick


@pytest.mark.parametrize("name", MODELS)
def test_linear_scores_are_those_of_the_model(name, data):
    X, y = data
    model = MODELS[name]().fit(X, y)
    parts, readout = read_model(model)
    assert isinstance(readout, LinearReadout)
    np.testing.assert_array_equal(readout.classes, model.classes_)
    descriptors = np.asarray(parts.transform(X), np.float64)
    scores = readout.scores(descriptors)
    predicted = readout.classes[scores.argmax(axis=1)]
    np.testing.assert_array_equal(predicted, model.predict(X))
    for c in range(len(readout.classes)):
        contributions = readout.contributions(descriptors, c)
        np.testing.assert_array_equal(contributions, descriptors * readout.weights(c))
        total = contributions.sum(axis=1) + readout.biases(descriptors, c)
        np.testing.assert_allclose(total, scores[:, c], atol=1e-12)


def test_sparse_coefficients_are_read(data):
    model = make_pipeline(learned(), sparse_svm()).fit(*data)
    before = explain(model, data[0][0])
    model[-1].sparsify()
    after = explain(model, data[0][0])
    np.testing.assert_array_equal(after.contributions, before.contributions)


def test_contributions_are_those_of_the_descriptor_before_standardisation(data):
    X, y = data
    model = make_pipeline(learned(), StandardScaler(), LOGISTIC).fit(X, y)
    why = explain(model, X[3], y[3])
    b, scaler = model[0].transform(X[3:4])[0], model[1]
    np.testing.assert_allclose(why.descriptor, b, rtol=1e-5, atol=1e-6)
    row = model[-1].coef_[-1] / scaler.scale_
    np.testing.assert_allclose(why.readout.coef[-1], row, rtol=1e-5)
    sign = 1 if y[3] == model.classes_[-1] else -1
    if len(model.classes_) == 2:
        np.testing.assert_allclose(why.contributions, sign * row * b, rtol=1e-4)


def test_unfitted_models_are_refused(three):
    X, y, parts = three
    search = GridSearchCV(make_pipeline(learned(), LOGISTIC), {})
    for model in (
        quick(DPNetClassifier),
        make_pipeline(learned(), clone(SVM)),
        search,
        Pipeline([("parts", parts), ("svm", clone(SVM))]),
        Pipeline([("parts", parts), ("scale", StandardScaler()), ("svm", SVM)]),
    ):
        with pytest.raises(NotFittedError):
            explain(model, X[0])
    search = GridSearchCV(clone(SVM), {"C": [1]}, cv=2, refit=False)
    search.fit(parts.transform(X), y)
    with pytest.raises(ValueError, match="refit=False, which leaves no model"):
        explain(Pipeline([("parts", parts), ("svm", search)]), X[0])


def test_models_without_parts_or_without_a_linear_classifier_are_refused(three):
    X, y, parts = three
    b = parts.transform(X)

    with pytest.raises(ValueError, match="DPNetTransformer is not a classifier"):
        explain(parts, X[0])
    with pytest.raises(ValueError, match="SoftAssignParts is not a classifier"):
        explain(make_pipeline(assigned().fit(X, y)), X[0])
    pooled = make_pipeline(GlobalFeatures("precomputed"), clone(SVM)).fit(X, y)
    with pytest.raises(ValueError, match="Pipeline has no parts. Pass a DPNet"):
        explain(pooled, X[0])
    with pytest.raises(ValueError, match="PCA comes before the parts. Pass the steps"):
        explain(make_pipeline(PCA(), parts, clone(SVM)), X[0])
    axes = PCA(4).fit(b)
    rotated = make_pipeline(parts, axes, clone(SVM).fit(axes.transform(b), y))
    with pytest.raises(ValueError, match="only StandardScaler .* leave PCA out"):
        explain(rotated, X[0])
    for classifier in (
        KNeighborsClassifier(),
        SVC(),
        # Three classes have three pairs, so that the coefficients of the pairs have the
        # shape of coefficients of the classes.
        SVC(kernel="linear"),
    ):
        with pytest.raises(ValueError, match="is not a sum of contributions of the"):
            explain(make_pipeline(parts, classifier.fit(b, y)), X[0])


def test_a_linear_svc_of_two_classes_is_linear():
    X, y, _ = part_maps(40, n_classes=2)
    model = make_pipeline(learned(), SVC(kernel="linear")).fit(X, y)
    expected = model.decision_function(X[:1])[0]
    assert explain(model, X[0]).scores[1] == pytest.approx(expected, abs=1e-4)


class NearestMean(ClassifierMixin, BaseEstimator):
    """Scores of 3 minus the squared distance to the mean of the class."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def contributions(self, X, class_number):
        return -np.square(X - self.means_[class_number])

    def class_scores(self, X):
        each = [self.contributions(X, c).sum(axis=1) for c in range(len(self.classes_))]
        return np.stack(each, axis=1) + 3

    def predict(self, X):
        return self.classes_[self.class_scores(X).argmax(axis=1)]


def test_an_estimator_may_compute_contributions_itself(three):
    X, y, parts = three
    b = parts.transform(X)
    model = make_pipeline(parts, NearestMean().fit(b, y))
    first, readout = read_model(model)
    assert first is parts
    assert isinstance(readout, EstimatorReadout)
    scores = readout.scores(b)
    np.testing.assert_array_equal(scores, model[1].class_scores(b))
    for c in range(3):
        contributions = readout.contributions(b, c)
        np.testing.assert_array_equal(contributions, model[1].contributions(b, c))
        np.testing.assert_allclose(readout.biases(b, c), 3, atol=1e-5)
        assert readout.weights(c) is None
    why = explain(model, X[0])
    assert why.predicted == model.predict(X[:1])[0]
    assert why.contributions.sum() + why.bias == pytest.approx(why.score)
    scaler = StandardScaler().fit(b)
    scaled = make_pipeline(parts, scaler, NearestMean().fit(scaler.transform(b), y))
    with pytest.raises(ValueError, match="leave out StandardScaler, which changes it"):
        read_model(scaled)


def test_parts_come_first_and_pipelines_are_flattened(three):
    _, y, parts = three
    scaler, svm = StandardScaler(), clone(SVM)
    inner = make_pipeline(scaler, svm)
    first, steps = find_parts(make_pipeline("passthrough", parts, inner))
    assert first is parts
    assert steps == [scaler, svm]
    assert find_parts(parts) == (parts, [])


def test_a_model_with_its_own_classifier_is_read_linearly(data):
    model = quick(DPNetClassifier, max_epochs=0).fit(*data)
    readout = linear_readout(model)
    np.testing.assert_array_equal(readout.coef, model.coef_)
    np.testing.assert_array_equal(readout.intercept, model.intercept_)
