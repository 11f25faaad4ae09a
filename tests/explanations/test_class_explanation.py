"""Explanations of classes against the means of those of images."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skdpnet import DPNetClassifier, explain, explain_class
from tests.parts.dpnet.made_maps import SETTINGS, two_maps


def test_contributions_are_means_over_the_images(fitted):
    model, parts, X = fitted
    mean = explain_class(model, 1, X)
    each = [explain(model, image, 1) for image in X]
    np.testing.assert_allclose(
        mean.contributions, np.mean([why.contributions for why in each], 0), atol=1e-6
    )
    assert mean.score == pytest.approx(np.mean([why.score for why in each]), abs=1e-5)
    assert mean.score == pytest.approx(model.decision_function(X)[:, 1].mean(), 1e-4)
    assert mean.contributions.sum() + mean.bias == pytest.approx(mean.score)
    np.testing.assert_array_equal(mean.weights, each[0].readout.coef[1])
    assert (np.diff(mean.contributions[mean.order]) <= 0).all()
    assert sorted(mean.order) == list(range(len(parts.parts_)))
    assert (mean.explained, mean.n_images, mean.bias) == (1, 40, each[0].bias)
    assert mean.part_names.tolist() == parts.get_feature_names_out().tolist()
    assert mean.part_maps.tolist() == parts.part_maps_.tolist()
    assert len(repr(mean)) < 200


def test_the_parts_of_a_class_contribute_most_to_it():
    X, y, _ = two_maps(120)
    model = DPNetClassifier(**SETTINGS, max_epochs=5).fit(X, y)
    for label in (1, 2):
        mean = explain_class(model, label, X[y == label])
        assert mean.part_classes[mean.order[0]] == label
        assert mean.contributions[mean.order[0]] > 0


def test_unknown_classes_and_unfitted_models_are_refused(fitted):
    model, _, X = fitted
    with pytest.raises(ValueError, match="5 is none of the 3 classes; they are 0, 1"):
        explain_class(model, 5, X)
    with pytest.raises(NotFittedError):
        explain_class(clone(model), 1, X)
