"""The linear classifier against scikit-learn's, and against its optimality."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from skdpnet.training.linear_fits import fit_logistic, fit_svm


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 120)
    b = random.normal(size=(120, 6)) + np.eye(3, 6)[y]
    return b.astype(np.float32), y, random.uniform(0.2, 2, 120)


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_without_a_penalty_the_logistic_fit_is_that_of_scikit_learn(data, C):
    b, y, w = data
    coef, intercept = fit_logistic(b, y, w, 3, ridge=0.5 / (C * len(y)))
    expected = LogisticRegression(C=C, tol=1e-10, max_iter=5000).fit(b, y, w)
    np.testing.assert_allclose(coef, expected.coef_, atol=1e-3)
    shift = intercept - expected.intercept_  # the softmax ignores a common shift
    np.testing.assert_allclose(shift, shift.mean(), atol=1e-3)


def test_with_a_penalty_no_step_lowers_the_loss(data):
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

    coef, intercept = fit_logistic(b, y, w, 3, 0.01, penalty)
    best = loss(coef.astype(float), intercept.astype(float))
    random = np.random.default_rng(1)
    for _ in range(50):
        step = 0.05 * random.normal(size=coef.shape)
        shift = 0.05 * random.normal(size=3)
        assert loss(coef + step, intercept + shift) > best - 1e-7


def test_a_class_without_images_is_never_predicted(data):
    b, y, w = data
    coef, intercept = fit_logistic(b, y, w, 5, 0.001)
    assert coef.shape == (5, 6)
    assert ((b @ coef.T + intercept).argmax(1) < 3).all()
    assert np.isfinite(coef).all()


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
def test_the_svm_is_that_of_scikit_learn_up_to_a_factor(data, C):
    b, y, w = data
    coef, intercept = fit_svm(b, y, w, 3, 0.5 / (C * len(y)), 0.1)
    # A large constant input makes the penalty on the intercept negligible.
    svm = LinearSVC(C=C, dual=False, intercept_scaling=1e3, tol=1e-10, max_iter=100_000)
    expected = svm.fit(b, y, w)
    factor = np.linalg.norm(coef) / np.linalg.norm(expected.coef_)
    np.testing.assert_allclose(coef / factor, expected.coef_, atol=2e-3)
    np.testing.assert_allclose(intercept / factor, expected.intercept_, atol=2e-3)


def test_no_other_factor_gives_a_smaller_cross_entropy(data):
    b, y, w = data
    coef, intercept = fit_svm(b, y, w, 3, 0.01, 0.1)
    target = 0.9 * np.eye(3)[y] + 0.1 / 3

    def entropy(factor):
        log_p = log_softmax(factor * (b @ coef.T + intercept), axis=1)
        return -(w * (target * log_p).sum(1)).mean()

    assert entropy(1.0) < min(entropy(0.98), entropy(1.02))


def test_a_penalty_changes_the_svm(data):
    b, y, w = data
    free, _ = fit_svm(b, y, w, 3, 0.01, 0.1)
    bound, _ = fit_svm(b, y, w, 3, 0.01, 0.1, lambda v: 10 * v[:, 0].square().sum())
    share = np.abs(bound[:, 0]).sum() / np.abs(bound).sum()
    assert share < 0.2 * np.abs(free[:, 0]).sum() / np.abs(free).sum()


def test_perfectly_separated_classes_give_finite_logits():
    b = np.eye(3, dtype=np.float32)
    coef, intercept = fit_svm(b, np.arange(3), np.ones(3), 3, 1e-6, 0.0)
    assert np.isfinite(coef).all()
    assert ((b @ coef.T + intercept).argmax(1) == np.arange(3)).all()
