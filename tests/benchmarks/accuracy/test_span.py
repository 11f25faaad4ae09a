"""Long descriptors in the span of the training descriptors."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone
from sklearn.svm import LinearSVC

from benchmarks.accuracy.span import SpanRotation, SpanSVC


def test_products_with_training_descriptors_stay():
    random = np.random.default_rng(0)
    train, test = random.normal(size=(5, 40)), random.normal(size=(3, 40))
    rotation = SpanRotation()
    few, others = rotation.fit_transform(train), rotation.transform(test)
    assert few.shape == (5, 5) and others.shape == (3, 5)
    np.testing.assert_allclose(few @ few.T, train @ train.T)
    np.testing.assert_allclose(others @ few.T, test @ train.T)
    np.testing.assert_allclose(rotation.transform(train), few, atol=1e-10)


def test_equal_descriptors_span_fewer_dimensions():
    random = np.random.default_rng(2)
    train = np.repeat(random.normal(size=(3, 40)), 2, axis=0).astype(np.float32)
    few = SpanRotation().fit_transform(train)
    assert few.shape == (6, 3) and np.isfinite(few).all()
    np.testing.assert_allclose(few @ few.T, train @ train.T, atol=1e-4)


def test_descriptors_of_few_numbers_stay_as_they_are():
    train = np.arange(12.0).reshape(4, 3)
    rotation = SpanRotation().fit(train)
    assert rotation.transform(train) is train
    assert clone(rotation).fit_transform(train) is train


def test_an_svm_decides_as_without():
    random = np.random.default_rng(1)
    train, test = random.normal(size=(20, 200)), random.normal(size=(50, 200))
    y, svm = np.arange(20) % 2, LinearSVC(tol=1e-10, max_iter=100_000)
    # The bias is in the span too: it is a constant entry that is not rotated.
    scores = svm.fit(train, y).decision_function(test)
    rotation = SpanRotation()
    svm.fit(rotation.fit_transform(train), y)
    rotated = svm.decision_function(rotation.transform(test))
    np.testing.assert_allclose(rotated, scores, atol=1e-7)


def test_coefficients_are_those_of_the_descriptors():
    random = np.random.default_rng(3)
    train, test = random.normal(size=(21, 200)), random.normal(size=(50, 200))
    y, settings = np.arange(21) % 3, {"tol": 1e-10, "max_iter": 100_000}
    expected = LinearSVC(**settings).fit(train, y)
    svm = SpanSVC(**settings).fit(train, y)
    scores = expected.decision_function(test)
    np.testing.assert_allclose(svm.decision_function(test), scores, atol=1e-7)
    np.testing.assert_allclose(svm.coef_, expected.coef_, atol=1e-8)
    few = SpanSVC(**settings).fit(train[:, :5], y)
    np.testing.assert_allclose(
        few.coef_, LinearSVC(**settings).fit(train[:, :5], y).coef_, atol=1e-8
    )
