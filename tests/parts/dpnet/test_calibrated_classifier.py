"""`CalibratedClassifierCV` around the classifier."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss

from skdpnet import DPNetClassifier
from tests.parts.dpnet.made_maps import part_maps, quick, two_maps

VERSION = tuple(int(number) for number in sklearn.__version__.split(".")[:2])
METHODS = [
    "sigmoid",
    pytest.param(
        "temperature",
        marks=pytest.mark.skipif(
            VERSION < (1, 8), reason="temperature scaling came with scikit-learn 1.8"
        ),
    ),
]


def check(model, X, y):
    """Probabilities are valid, and far more likely than those of a uniform guess."""
    p = model.predict_proba(X)
    assert p.shape == (len(X), len(model.classes_))
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(X), model.classes_[p.argmax(axis=1)])
    loss = log_loss(y, p, labels=model.classes_)
    assert loss < 0.7 * np.log(len(model.classes_))


@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_probabilities_of_new_images(method, ensemble):
    names = ["wren", "auk", "finch"]
    X, y, _ = part_maps(90, labels=names)
    classifier = quick(DPNetClassifier, max_epochs=2)
    model = CalibratedClassifierCV(classifier, method=method, cv=3, ensemble=ensemble)
    model.fit(X, y)
    assert list(model.classes_) == sorted(names)
    check(model, *part_maps(60, seed=1, labels=names)[:2])


@pytest.mark.parametrize("method", METHODS)
def test_two_classes_and_image_weights(method):
    X, y, _ = part_maps(60, n_classes=2)
    classifier = quick(DPNetClassifier, max_epochs=2)
    model = CalibratedClassifierCV(classifier, method=method, cv=3)
    model.fit(X, y, sample_weight=np.linspace(0.5, 1.5, 60))
    check(model, *part_maps(40, seed=1, n_classes=2)[:2])


def test_a_fitted_classifier_on_other_images(model):
    fitted = model
    calibrated = CalibratedClassifierCV(FrozenEstimator(fitted))
    calibrated.fit(*part_maps(60, seed=1)[:2])
    check(calibrated, *part_maps(60, seed=2)[:2])
    [one] = calibrated.calibrated_classifiers_
    assert one.estimator.estimator is fitted


def test_several_maps_of_an_image():
    X, y, _ = two_maps(60)
    classifier = quick(DPNetClassifier, max_epochs=2)
    model = CalibratedClassifierCV(classifier, cv=3).fit(X, y)
    check(model, *two_maps(60, seed=1)[:2])
    # What is calibrated is a clone, with the same parameters.
    one = model.calibrated_classifiers_[0].estimator
    assert one.get_params() == clone(classifier).get_params()
