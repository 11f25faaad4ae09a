"""Explanations of images: contributions that add up to the scores of any model."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline

from skdpnet import DPNetClassifier, explain, explain_each
from tests.explanations.models import MODELS, SVM
from tests.parts.dpnet.made_maps import quick


def logits(model, X):
    """The scores of all classes, by the decision function of the model."""
    final = model[-1] if isinstance(model, Pipeline) else model
    if isinstance(final, DPNetClassifier):
        b = final.transform(X).astype(np.float64)
        scores = b @ final.coef_.T + final.intercept_
        decision = scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores
        np.testing.assert_allclose(model.decision_function(X), decision, atol=1e-5)
        return scores
    decision = model.decision_function(X)
    return np.stack([-decision, decision], 1) if decision.ndim == 1 else decision


@pytest.mark.parametrize("name", MODELS)
def test_contributions_and_bias_add_up_to_the_score_of_each_class(name, data):
    X, y = data
    model = MODELS[name]().fit(X, y)
    expected, predicted = logits(model, X), model.predict(X)
    for c, label in enumerate(model.classes_):
        for i, why in enumerate(explain_each(model, X, label)):
            assert why.explained == label
            assert why.predicted == predicted[i]
            np.testing.assert_allclose(why.scores, expected[i], rtol=1e-4, atol=2e-5)
            assert why.score == why.scores[c]
            total = why.contributions.sum() + why.bias
            assert total == pytest.approx(why.score, abs=1e-12)
            heat = why.heat_map()
            assert heat.sum() == pytest.approx(why.contributions.sum(), abs=1e-12)
    for i, why in enumerate(explain_each(model, X)):
        assert why.explained == why.predicted == predicted[i]
        assert why.score == why.scores.max()


def test_parameters_set_after_fit_change_no_explanation(data):
    model = quick(DPNetClassifier, max_epochs=1).fit(*data)
    before = explain(model, data[0][0]).heat_map()
    model.set_params(beta=None)
    np.testing.assert_array_equal(explain(model, data[0][0]).heat_map(), before)


@pytest.mark.parametrize("shape", [(), (5,)], ids=["features", "regions"])
def test_features_and_regions_are_explained(shape):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(40, *shape, 6)), np.arange(40) % 2
    X[y == 1, ..., 0] += 3
    model = quick(DPNetClassifier, max_epochs=1, n_parts_per_class=2).fit(X, y)
    for image in (X[0], X[:1], X[0].tolist()):
        why = explain(model, image)
        assert why.heat_map().shape == (*(shape or (1,)), 1)
        assert why.heat_map().sum() == pytest.approx(why.contributions.sum())
        assert why.predicted == model.predict(X[:1])[0]


def test_several_maps_are_refused(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    with pytest.raises(ValueError, match="takes one image, got 2"):
        explain(model, X[:2])
    with pytest.raises(ValueError, match="takes one image, got 5"):
        explain(model, X[0, :, 0])


def test_many_images_are_explained_as_each_alone(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    for class_ in (None, "heron"):
        together = list(explain_each(model, X[:9], class_))
        assert len(together) == 9
        for image, why in zip(X, together, strict=False):
            alone = explain(model, image, class_)
            assert (why.explained, why.predicted) == (alone.explained, alone.predicted)
            np.testing.assert_allclose(
                why.contributions, alone.contributions, atol=1e-7
            )
            np.testing.assert_array_equal(why.boxes, alone.boxes)
            np.testing.assert_allclose(why.heat_map(), alone.heat_map(), atol=1e-7)
    with pytest.raises(ValueError, match="'jay' is none of the 3 classes"):
        next(explain_each(model, X, "jay"))


def test_the_method_of_the_classifier_is_the_function(data):
    X, y = data
    model = quick(DPNetClassifier, max_epochs=1).fit(X, y)
    why, method = explain(model, X[0], "cat"), model.explain(X[0], "cat")
    np.testing.assert_array_equal(why.contributions, method.contributions)
    assert method.explained == "cat"


def test_unknown_classes_are_refused(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    with pytest.raises(ValueError, match="'swalow' is none of the 3 .* 'swallow'"):
        explain(model, X[0], "swalow")
    with pytest.raises(ValueError, match="they are 'heron', 'sparrow', 'swallow'$"):
        explain(model, X[0], 7)
    with pytest.raises(ValueError, match="a class must be one label, got array"):
        next(explain_each(model, X[:2], y[:2]))


def test_numbers_of_classes_are_distinguished_from_strings(three):
    X, _, _ = three
    y = np.arange(20) % 12
    model = quick(DPNetClassifier, max_epochs=0, n_parts_per_class=1).fit(X[:20], y)
    assert explain(model, X[0], np.int64(3)).explained == 3
    with pytest.raises(ValueError, match="none of the 12 .* 8, 9, …$"):
        explain(model, X[0], "heron")
    with pytest.raises(ValueError, match="'3' is none of the 12 .* mean 3"):
        explain(model, X[0], "3")
