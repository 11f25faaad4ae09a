"""The linear classifier against scikit-learn's, and against its own optimality."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from skdpnet.classifier import fit_classifier


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 120)
    b = random.normal(size=(120, 6)) + np.eye(3, 6)[y]
    return b.astype(np.float32), y, random.uniform(0.2, 2, 120)


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_without_a_penalty_it_is_the_logistic_regression(data, C):
    b, y, w = data
    coef, intercept = fit_classifier(b, y, w, 3, ridge=0.5 / (C * len(y)))
    expected = LogisticRegression(C=C, tol=1e-10, max_iter=5000).fit(b, y, w)
    np.testing.assert_allclose(coef, expected.coef_, atol=1e-3)
    shift = intercept - expected.intercept_  # the softmax ignores what all share
    np.testing.assert_allclose(shift, shift.mean(), atol=1e-3)


def test_with_a_penalty_no_step_in_any_direction_is_better(data):
    b, y, w = data

    def penalty(v):
        return 0.1 * v.square().sum(dim=0).square().sum()

    def loss(coef, intercept):
        logits = b @ coef.T + intercept
        logits -= logits.max(1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        entropy = -(w * log_p[np.arange(len(y)), y]).mean()
        v = torch.from_numpy(coef)
        return entropy + 0.01 * (coef**2).sum() + penalty(v).item()

    coef, intercept = fit_classifier(b, y, w, 3, 0.01, penalty)
    best = loss(coef.astype(float), intercept.astype(float))
    random = np.random.default_rng(1)
    for _ in range(50):
        step = 0.05 * random.normal(size=coef.shape)
        shift = 0.05 * random.normal(size=3)
        assert loss(coef + step, intercept + shift) > best - 1e-7


def test_a_class_that_is_absent_is_never_the_answer(data):
    b, y, w = data
    coef, intercept = fit_classifier(b, y, w, 5, 0.001)
    assert coef.shape == (5, 6)
    assert ((b @ coef.T + intercept).argmax(1) < 3).all()
    assert np.isfinite(coef).all()
