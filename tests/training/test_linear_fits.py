"""The linear classifier against scikit-learn's, and against its optimality."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from skdpnet.training import linear_fits
from skdpnet.training.linear_fits import ClassifierPenalty, fit_logistic, fit_svm

RIDGE = 0.01
CS = pytest.mark.parametrize("C", [0.01, 1.0, 100.0])


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 120)
    b = random.normal(size=(120, 6)) + np.eye(3, 6)[y]
    return b.astype(np.float32), y, random.uniform(0.2, 2, 120)


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    """Compare minima, to more digits than training needs."""
    monkeypatch.setattr(linear_fits, "_TRAINING_TOLERANCE", 1e-6)


def logistic_gradient(data, coef, intercept, smoothing=0.0):
    """Gradient of cross-entropy + ridge, with respect to V and the intercepts."""
    b, y, w = data
    target = (1 - smoothing) * np.eye(3)[y] + smoothing / 3
    error = w[:, None] * (softmax(b @ coef.T + intercept, axis=1) - target) / len(y)
    return error.T @ b + 2 * RIDGE * coef, error.sum(axis=0)


def svm_gradient(data, coef, intercept):
    """Gradient of squared hinges + ridge, with respect to V and the intercepts."""
    b, y, w = data
    side = 2 * np.eye(3)[y] - 1
    margin = np.maximum(1 - side * (b @ coef.T + intercept), 0)
    error = -2 * w[:, None] * side * margin / len(y)
    return error.T @ b + 2 * RIDGE * coef, error.sum(axis=0)


def assert_optimal(coef, gradient, strength):
    """Check the conditions of Karush, Kuhn and Tucker for ``strength · |V|``."""
    on_coef, on_intercept = gradient
    strength = np.broadcast_to(strength, coef.shape)
    zero = coef == 0
    assert (np.abs(on_coef)[zero] <= strength[zero] + 1e-4).all()
    np.testing.assert_allclose(
        on_coef[~zero], (-strength * np.sign(coef))[~zero], atol=1e-4
    )
    np.testing.assert_allclose(on_intercept, 0, atol=1e-4)


@CS
def test_without_a_penalty_the_logistic_fit_is_that_of_scikit_learn(data, C):
    b, y, w = data
    coef, intercept = fit_logistic(b, y, w, 3, ridge=0.5 / (C * len(y)))
    expected = LogisticRegression(C=C, tol=1e-10, max_iter=5000).fit(b, y, w)
    np.testing.assert_allclose(coef, expected.coef_, atol=1e-3)
    shift = intercept - expected.intercept_  # the softmax ignores a common shift
    np.testing.assert_allclose(shift, shift.mean(), atol=1e-3)


@CS
def test_the_svm_is_that_of_scikit_learn(data, C):
    b, y, w = data
    coef, intercept = fit_svm(b, y, w, 3, 0.5 / (C * len(y)))
    # A large constant input makes the penalty on the intercept negligible.
    svm = LinearSVC(C=C, dual=False, intercept_scaling=1e3, tol=1e-10, max_iter=100_000)
    expected = svm.fit(b, y, w)
    np.testing.assert_allclose(coef, expected.coef_, atol=2e-3)
    np.testing.assert_allclose(intercept, expected.intercept_, atol=2e-3)


def test_label_smoothing_is_a_fit_to_soft_targets(data):
    coef, intercept = fit_logistic(*data, 3, RIDGE, label_smoothing=0.3)
    assert_optimal(coef, logistic_gradient(data, coef, intercept, 0.3), 0.0)
    # An image with a soft target is as good as three images that share its weight.
    b, y, w = data
    thrice = np.tile(b, (3, 1)), np.repeat(np.arange(3), len(y))
    shares = np.concatenate([w * (0.7 * (y == c) + 0.1) for c in range(3)])
    expected, _ = fit_logistic(*thrice, 3 * shares, 3, RIDGE)
    np.testing.assert_allclose(coef, expected, atol=1e-3)


@pytest.mark.parametrize("strength", [0.003, 0.03, 0.3, 30.0])
@pytest.mark.parametrize("fit", [fit_logistic, fit_svm])
def test_absolute_values_give_exact_zeros_and_the_optimum(data, fit, strength):
    penalty = ClassifierPenalty(lambda v: strength * v.abs().sum(), sparse=True)
    coef, intercept = fit(*data, 3, RIDGE, penalty)
    gradient = logistic_gradient if fit is fit_logistic else svm_gradient
    assert_optimal(coef, gradient(data, coef, intercept), strength)
    n_zeros = (coef == 0).sum()
    assert n_zeros > 0 or strength < 0.03
    assert n_zeros == coef.size or strength < 30


@pytest.mark.parametrize("strength", [0.0, 0.03])
@pytest.mark.parametrize("fit", [fit_logistic, fit_svm])
def test_positive_weights_are_the_optimum_of_all_positive_weights(data, fit, strength):
    penalty = ClassifierPenalty(lambda v: strength * v.abs().sum(), sparse=True)
    used = penalty if strength else None
    coef, intercept = fit(*data, 3, RIDGE, used, positive=True)
    gradient = logistic_gradient if fit is fit_logistic else svm_gradient
    on_coef, on_intercept = gradient(data, coef, intercept)
    zero = coef == 0
    assert 0 < zero.sum() < coef.size and (coef >= 0).all()
    # Where a weight is 0, the objective does not fall as the weight grows.
    assert (on_coef[zero] >= -strength - 1e-4).all()
    np.testing.assert_allclose(on_coef[~zero], -strength, atol=1e-4)
    np.testing.assert_allclose(on_intercept, 0, atol=1e-4)


@pytest.mark.parametrize("strength", [0.0, 0.03])
@pytest.mark.parametrize("fit", [fit_logistic, fit_svm])
def test_the_last_columns_may_be_free_of_the_bound(data, fit, strength):
    def weigh(v):
        return strength * v[:, :4].abs().sum()

    used = ClassifierPenalty(weigh, sparse=True) if strength else None
    start = -np.ones((3, 6)), np.zeros(3)
    options = {"start": start} if fit is fit_logistic else {}
    coef, intercept = fit(*data, 3, RIDGE, used, positive=True, n_free=2, **options)
    gradient = logistic_gradient if fit is fit_logistic else svm_gradient
    on_coef, on_intercept = gradient(data, coef, intercept)
    bounded, free = coef[:, :4], coef[:, 4:]
    assert (bounded >= 0).all() and (bounded == 0).any() and (free < 0).any()
    slope = on_coef[:, :4] + strength
    assert (slope[bounded == 0] >= -1e-4).all()
    np.testing.assert_allclose(slope[bounded > 0], 0, atol=1e-4)
    np.testing.assert_allclose(on_coef[:, 4:], 0, atol=1e-4)
    np.testing.assert_allclose(on_intercept, 0, atol=1e-4)


def test_the_sparse_fit_is_the_elastic_net_of_scikit_learn(data):
    b, y, w = data
    # C (1 - l1_ratio) / 2 is the ridge and C · l1_ratio the other penalty, times n.
    strength, n = 0.02, len(y)
    C = 1 / (n * (2 * RIDGE + strength))
    # Before scikit-learn 1.8 the penalty had a name, which is deprecated since.
    named = LogisticRegression().penalty == "l2"
    saga = LogisticRegression(
        C=C, l1_ratio=strength * n * C, solver="saga", tol=1e-6, max_iter=10_000,
        random_state=0, **({"penalty": "elasticnet"} if named else {}),
    )  # fmt: skip
    expected = saga.fit(b, y, w).coef_
    penalty = ClassifierPenalty(lambda v: strength * v.abs().sum(), sparse=True)
    coef, _ = fit_logistic(b, y, w, 3, RIDGE, penalty)
    np.testing.assert_allclose(coef, expected, atol=1e-3)
    assert 0 < (coef == 0).sum() < coef.size


@pytest.mark.parametrize("fit", [fit_logistic, fit_svm])
def test_weights_without_a_penalty_are_no_zeros(data, fit):
    strength = np.array([0, 0, 0, 50, 50, 50.0])

    def function(v):
        return (v.abs() @ v.new_tensor(strength)).sum()

    coef, intercept = fit(*data, 3, RIDGE, ClassifierPenalty(function, sparse=True))
    np.testing.assert_array_equal(coef == 0, np.tile(strength > 0, (3, 1)))
    # What remains is the fit on the other descriptors alone.
    expected, bias = fit(data[0][:, :3], *data[1:], 3, RIDGE)
    np.testing.assert_allclose(coef[:, :3], expected, atol=1e-3)
    np.testing.assert_allclose(intercept - bias, (intercept - bias).mean(), atol=1e-3)


def test_a_smooth_penalty_gives_what_an_independent_search_finds(data):
    b, y, w = data

    def loss(flat):
        coef, intercept = flat[:18].reshape(3, 6), flat[18:]
        log_p = log_softmax(b @ coef.T + intercept, axis=1)
        entropy = -(w * log_p[np.arange(len(y)), y]).mean()
        penalty = 0.1 * ((coef**2).sum(axis=0) ** 2).sum()
        return entropy + RIDGE * (coef**2).sum() + penalty

    expected = minimize(loss, np.zeros(21), options={"gtol": 1e-6}).x[:18]
    penalty = ClassifierPenalty(lambda v: 0.1 * v.square().sum(dim=0).square().sum())
    coef, _ = fit_logistic(b, y, w, 3, RIDGE, penalty)
    np.testing.assert_allclose(coef.ravel(), expected, atol=1e-3)
    free, _ = fit_logistic(b, y, w, 3, RIDGE)
    assert np.abs(coef - free).max() > 0.1


@pytest.mark.parametrize("strength", [0.0, 0.03])
def test_the_start_has_no_influence_on_the_minimum(data, strength):
    penalty = ClassifierPenalty(lambda v: strength * v.abs().sum(), sparse=True)
    expected, bias = fit_logistic(*data, 3, RIDGE, penalty if strength else None)
    random = np.random.default_rng(1)
    for scale in (0.1, 10):
        start = (
            (scale * random.normal(size=(3, 6))).astype(np.float32),
            (scale * random.normal(size=3)).astype(np.float32),
        )
        kept = [array.copy() for array in start]
        coef, intercept = fit_logistic(
            *data, 3, RIDGE, penalty if strength else None, start=start
        )
        np.testing.assert_allclose(coef, expected, atol=1e-3)
        np.testing.assert_array_equal(coef == 0, expected == 0)
        shift = intercept - bias
        np.testing.assert_allclose(shift, shift.mean(), atol=1e-3)
        for array, before in zip(start, kept, strict=True):
            np.testing.assert_array_equal(array, before)


def test_a_class_without_images_is_never_predicted(data):
    b, y, w = data
    for fit in (fit_logistic, fit_svm):
        coef, intercept = fit(b, y, w, 5, 0.001)
        assert coef.shape == (5, 6)
        assert ((b @ coef.T + intercept).argmax(1) < 3).all()
        assert np.isfinite(coef).all()


def test_perfectly_separated_classes_give_finite_scores():
    b = np.eye(3, dtype=np.float32)
    for fit in (fit_logistic, fit_svm):
        coef, intercept = fit(b, np.arange(3), np.ones(3), 3, 1e-6)
        assert np.isfinite(coef).all()
        assert ((b @ coef.T + intercept).argmax(1) == np.arange(3)).all()
