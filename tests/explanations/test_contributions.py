"""Explanations of one image: contributions, boxes and heat maps of any model."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    GlobalFeatures,
    SoftAssignParts,
    explain,
    explain_each,
    part_gallery,
)
from tests.parts.dpnet.made_maps import part_maps, quick

N = 100
SVM = LinearSVC(random_state=0)
LOGISTIC = LogisticRegression(max_iter=1000)


def learned(**params):
    return quick(DPNetTransformer, max_epochs=1, **params)


def assigned():
    return SoftAssignParts(
        "precomputed", region_scales=(0.2, 0.4), n_parts_per_class=4, random_state=0
    )


def sparse_svm():
    return SGDClassifier(penalty="l1", random_state=0)


MODELS = {
    "DPNet": lambda: quick(DPNetClassifier, max_epochs=1),
    "DPNet, hard": lambda: quick(DPNetClassifier, max_epochs=1, beta=None),
    "DPNet in a pipeline": lambda: make_pipeline(quick(DPNetClassifier, max_epochs=1)),
    "SVM": lambda: make_pipeline(learned(), SVM),
    "logistic": lambda: make_pipeline(learned(), LOGISTIC),
    "ridge, no bias": lambda: make_pipeline(
        learned(), RidgeClassifier(fit_intercept=False)
    ),
    "SGD": lambda: make_pipeline(learned(), sparse_svm()),
    "search": lambda: make_pipeline(
        learned(), GridSearchCV(clone(SVM), {"C": [0.1, 1]}, cv=2)
    ),
    "search of all": lambda: GridSearchCV(
        make_pipeline(assigned(), clone(SVM)), {"linearsvc__C": [0.1, 1]}, cv=2
    ),
    "scaled": lambda: make_pipeline(learned(), StandardScaler(), LOGISTIC),
    "scaled thrice": lambda: Pipeline(
        [
            ("parts", learned()),
            ("none", "passthrough"),
            ("mean", StandardScaler(with_std=False)),
            ("rest", make_pipeline(StandardScaler(with_mean=False), StandardScaler())),
            ("svm", clone(SVM)),
        ]
    ),
    "two stages": lambda: make_pipeline(assigned(), LOGISTIC),
    "classifier as parts": lambda: make_pipeline(
        quick(DPNetClassifier, max_epochs=1), clone(SVM)
    ),
    "named parts": lambda: make_pipeline(
        learned().set_output(transform="pandas"), clone(SVM)
    ),
}


@pytest.fixture(scope="module", params=[2, 3], ids=["binary", "3 classes"])
def data(request):
    # Noisy enough that some scores are near one another.
    labels = ["bird", "cat", "dog"][: request.param]
    X, y, _ = part_maps(N, n_classes=request.param, labels=labels, strength=1.0)
    return X, y


def logits(model, X):
    """The score of every class, as scikit-learn's own decision says it."""
    inner = model[-1] if isinstance(model, Pipeline) else model
    if isinstance(inner, DPNetClassifier):
        b = inner.transform(X).astype(np.float64)
        scores = b @ inner.coef_.T + inner.intercept_
        decided = scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores
        np.testing.assert_allclose(model.decision_function(X), decided, atol=1e-5)
        return scores
    decision = model.decision_function(X)
    return np.stack([-decision, decision], 1) if decision.ndim == 1 else decision


@pytest.mark.parametrize("name", MODELS)
def test_contributions_and_bias_add_up_to_every_class_s_logit(name, data):
    X, y = data
    model = MODELS[name]().fit(X, y)
    expected, predicted = logits(model, X), model.predict(X)
    for c, label in enumerate(model.classes_):
        for i, why in enumerate(explain_each(model, X, label)):
            assert why.explained == label
            assert why.predicted == predicted[i]
            np.testing.assert_allclose(why.scores, expected[i], rtol=1e-4, atol=2e-5)
            assert why.score == why.scores[c]
            added = why.contributions.sum() + why.bias
            assert added == pytest.approx(why.score, abs=1e-12)
            heat = why.heat_map()
            assert heat.sum() == pytest.approx(why.contributions.sum(), abs=1e-12)
    for i, why in enumerate(explain_each(model, X)):
        assert why.explained == why.predicted == predicted[i]
        assert why.score == why.scores.max()


def test_a_sparse_classifier_is_read_too(data):
    model = make_pipeline(learned(), sparse_svm()).fit(*data)
    before = explain(model, data[0][0])
    model[-1].sparsify()
    after = explain(model, data[0][0])
    np.testing.assert_array_equal(after.contributions, before.contributions)


def test_folded_standardisation_weighs_the_transformer_s_own_numbers(data):
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


def test_a_difference_says_why_this_and_not_that(data):
    X, y = data
    model = make_pipeline(learned(), clone(SVM)).fit(X, y)
    why = explain(model, X[0], "bird")
    this, that = why.difference("cat"), explain(model, X[0], "cat")
    back = that.difference("bird")
    np.testing.assert_array_equal(this.contributions, -back.contributions)
    np.testing.assert_array_equal(this.heat_map([0, 3]), -back.heat_map([0, 3]))
    assert (this.score, this.bias) == (-back.score, -back.bias)
    assert (this.explained, this.against, back.against) == ("bird", "cat", "bird")
    np.testing.assert_allclose(
        this.contributions, why.contributions - that.contributions, atol=1e-12
    )
    assert this.score == why.score - that.score
    assert this.contributions.sum() + this.bias == pytest.approx(this.score)
    same = this.difference("bird")
    assert not same.contributions.any()
    assert same.score == same.bias == 0


def test_it_tells_the_model_that_was_fitted_not_parameters_set_since(data):
    model = quick(DPNetClassifier, max_epochs=1).fit(*data)
    before = explain(model, data[0][0]).heat_map()
    model.set_params(beta=None)
    np.testing.assert_array_equal(explain(model, data[0][0]).heat_map(), before)


def test_an_explanation_prints_briefly_and_pickles(data):
    X, y = data
    why = explain(quick(DPNetClassifier, max_epochs=1).fit(X, y), X[0], "cat")
    assert "explained='cat', against=None, score=" in repr(why)
    assert len(repr(why)) < 200
    again = pickle.loads(pickle.dumps(why))
    np.testing.assert_array_equal(again.heat_map(), why.heat_map())


@pytest.mark.parametrize("shape", [(), (5,)], ids=["features", "regions"])
def test_features_and_regions_are_explained(shape):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(40, *shape, 6)), np.arange(40) % 2
    X[y == 1, ..., 0] += 3
    model = quick(DPNetClassifier, max_epochs=1, n_parts_per_class=2).fit(X, y)
    for given in (X[0], X[:1], X[0].tolist()):
        why = explain(model, given)
        assert why.heat_map().shape == (*(shape or (1,)), 1)
        assert why.heat_map().sum() == pytest.approx(why.contributions.sum())
        assert why.predicted == model.predict(X[:1])[0]


@pytest.fixture(scope="module")
def three():
    X, y, _ = part_maps(40, labels=["sparrow", "swallow", "heron"])
    return X, y, learned().fit(X, y)


def test_unfitted_models_are_told(three):
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
    once = GridSearchCV(clone(SVM), {"C": [1]}, cv=2, refit=False)
    once.fit(parts.transform(X), y)
    with pytest.raises(ValueError, match="refit=False, which leaves no model"):
        explain(Pipeline([("parts", parts), ("svm", once)]), X[0])


def test_models_without_parts_or_without_a_linear_classifier_are_told(three):
    X, y, parts = three
    b = parts.transform(X)

    def behind(*steps):
        return make_pipeline(parts, *steps)

    with pytest.raises(ValueError, match="DPNetTransformer names no class"):
        explain(parts, X[0])
    with pytest.raises(ValueError, match="SoftAssignParts names no class"):
        explain(make_pipeline(assigned().fit(X, y)), X[0])
    pooled = make_pipeline(GlobalFeatures("precomputed"), clone(SVM)).fit(X, y)
    with pytest.raises(ValueError, match="Pipeline has no parts. Pass a DPNet"):
        explain(pooled, X[0])
    with pytest.raises(ValueError, match="PCA comes before the parts. Pass the steps"):
        explain(make_pipeline(PCA(), parts, clone(SVM)), X[0])
    axes = PCA(4).fit(b)
    rotated = behind(axes, clone(SVM).fit(axes.transform(b), y))
    with pytest.raises(ValueError, match="only StandardScaler .* leave PCA out"):
        explain(rotated, X[0])
    for classifier in (
        KNeighborsClassifier(),
        SVC(),
        # Three pairs of classes: coefficients of the right shape, but of pairs.
        SVC(kernel="linear"),
    ):
        with pytest.raises(ValueError, match="is no sum of one contribution a part"):
            explain(behind(classifier.fit(b, y)), X[0])


def test_a_linear_machine_of_two_classes_is_linear():
    X, y, _ = part_maps(40, n_classes=2)
    model = make_pipeline(learned(), SVC(kernel="linear")).fit(X, y)
    expected = model.decision_function(X[:1])[0]
    assert explain(model, X[0]).scores[1] == pytest.approx(expected, abs=1e-4)


def test_unknown_classes_and_parts_are_told(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    with pytest.raises(ValueError, match="'swalow' is none of the 3 .* 'swallow'"):
        explain(model, X[0], "swalow")
    with pytest.raises(ValueError, match="they are 'heron', 'sparrow', 'swallow'$"):
        explain(model, X[0], 7)
    why = explain(model, X[0])
    with pytest.raises(ValueError, match="did you mean 'heron'"):
        why.difference("herons")
    for parts_asked in (12, -1, [3, 12], np.ones(5, bool)):
        with pytest.raises(IndexError, match=r"no part|does not fit 12 parts"):
            why.heat_map(parts_asked)
    with pytest.raises(TypeError, match="float"):
        why.heat_map(1.0)
    many = np.arange(20) % 12
    wide = quick(DPNetClassifier, max_epochs=0, n_parts_per_class=1).fit(X[:20], many)
    assert explain(wide, X[0], np.int64(3)).explained == 3
    with pytest.raises(ValueError, match="none of the 12 .* 8, 9, …$"):
        explain(wide, X[0], "heron")
    with pytest.raises(ValueError, match="'3' is none of the 12 .* mean 3"):
        explain(wide, X[0], "3")


def test_one_map_at_a_time(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    with pytest.raises(ValueError, match="takes one image, got 2"):
        explain(model, X[:2])
    with pytest.raises(ValueError, match=r"takes one image, got 5"):
        explain(model, X[0, :, 0])


def test_many_images_are_explained_as_each_alone(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    for asked in (None, "heron"):
        many = list(explain_each(model, X[:9], asked))
        assert len(many) == 9
        for image, why in zip(X, many, strict=False):
            alone = explain(model, image, asked)
            assert (why.explained, why.predicted) == (alone.explained, alone.predicted)
            np.testing.assert_allclose(why.contributions, alone.contributions)
            np.testing.assert_array_equal(why.boxes, alone.boxes)
            np.testing.assert_allclose(why.heat_map(), alone.heat_map(), atol=1e-7)
    with pytest.raises(ValueError, match="'jay' is none of the 3 classes"):
        next(explain_each(model, X, "jay"))


def test_top_parts_are_present_and_speak_for_the_class(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    for why in explain_each(model, X[:9]):
        for told in (why, why.difference("heron"), why.difference("swallow")):
            above_average = told.descriptor > 0
            row = model[-1].coef_
            weight = row[list(told.classes).index(told.explained)]
            if told.against is not None:
                weight = weight - row[list(told.classes).index(told.against)]
            np.testing.assert_allclose(told.weights, weight)
            expected = {
                p for p in range(len(weight)) if above_average[p] and weight[p] > 0
            }
            top = told.top_parts()
            assert set(top.tolist()) == expected
            assert (np.diff(told.contributions[top]) <= 0).all()
            np.testing.assert_array_equal(told.top_parts(2), top[:2])


def test_the_classifier_s_method_is_the_function(data):
    X, y = data
    model = quick(DPNetClassifier, max_epochs=1).fit(X, y)
    why, method = explain(model, X[0], "cat"), model.explain(X[0], "cat")
    np.testing.assert_array_equal(why.contributions, method.contributions)
    assert method.explained == "cat"


def test_one_class_and_one_part_are_asked_for(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    with pytest.raises(ValueError, match="a class must be one label, got array"):
        next(explain_each(model, X[:2], y[:2]))
    with pytest.raises(TypeError, match="by whole numbers, got 'heron_part0'"):
        explain(model, X[0]).heat_map("heron_part0")
    with pytest.raises(ValueError, match="one number, got .0, 1.: see part_galleries"):
        part_gallery(model, [0, 1], X)
