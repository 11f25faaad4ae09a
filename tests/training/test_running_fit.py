"""Least squares on running sums, against scikit-learn's ridge and its optimality."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from skdpnet.training.calibration import spread
from skdpnet.training.linear_fits import ClassifierPenalty
from skdpnet.training.running_fit import RunningLeastSquares

N, C, P = 90, 3, 5
STRENGTH = 2.0  # C of the estimators


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    y = np.arange(N) % C
    d = random.normal(size=(N, P)) + np.eye(C, P)[y]
    return d.astype(np.float32), y, random.uniform(0.2, 2, N)


def summed(*batches, n_classes=C):
    sums = RunningLeastSquares.empty(n_classes, P)
    for batch in batches:
        sums.add(*batch)
    return sums


def rows(data, which):
    return [array[which] for array in data]


def assert_same(first, second):
    np.testing.assert_allclose(first.products, second.products, rtol=1e-10)
    np.testing.assert_allclose(first.targets, second.targets, rtol=1e-10, atol=1e-9)


def ridge(data):
    """The fit of scikit-learn, which does not penalise the intercepts."""
    d, y, w = data
    return Ridge(alpha=0.5 / STRENGTH).fit(d, 2 * np.eye(C)[y] - 1, w)


def test_the_solution_is_scikit_learn_s_ridge_on_targets_of_1(data):
    expected = ridge(data)
    solution = summed(data).solve(STRENGTH)
    np.testing.assert_allclose(solution[:, :-1], expected.coef_, atol=1e-5)
    np.testing.assert_allclose(solution[:, -1], expected.intercept_, atol=1e-5)


def test_the_fit_is_the_solution_with_the_wanted_spread(data):
    d, _, w = data
    coef, intercept = summed(data).fit(STRENGTH, None, 2.5)
    scores = d @ coef.T + intercept
    centred = scores - scores.mean(axis=1, keepdims=True)
    variance = np.average((centred**2).mean(axis=1), weights=w)
    assert np.sqrt(variance) == pytest.approx(2.5, rel=1e-5)
    expected = ridge(data)
    factor = np.linalg.norm(coef) / np.linalg.norm(expected.coef_)
    np.testing.assert_allclose(coef / factor, expected.coef_, atol=1e-5)
    np.testing.assert_allclose(intercept / factor, expected.intercept_, atol=1e-5)
    assert coef.dtype == intercept.dtype == np.float32


def test_the_spread_is_that_of_the_scores(data):
    d, y, _ = data
    classifier = np.random.default_rng(1).normal(size=(C, P + 1))
    sums = summed((d, y, np.full(N, 3.0)))
    expected = spread(d @ classifier[:, :-1].T + classifier[:, -1])
    assert sums.spread(classifier) == pytest.approx(expected)
    assert sums.n_images == pytest.approx(3 * N)


def test_neither_the_batches_nor_their_order_matter(data):
    y = data[1]
    expected = summed(data)
    random = np.random.default_rng(2).permutation(N)
    assert_same(summed(rows(data, random)), expected)
    assert_same(summed(*(rows(data, part) for part in np.split(random, 6))), expected)
    assert_same(summed(*(rows(data, y == c) for c in (2, 0, 1))), expected)
    one_by_one = summed(*(rows(data, y == c) for c in range(C)))
    np.testing.assert_allclose(
        one_by_one.fit(STRENGTH, None, 1.0)[0],
        expected.fit(STRENGTH, None, 1.0)[0],
        atol=1e-6,
    )


def test_images_count_by_their_weights(data):
    d, y, _ = data
    times = np.arange(N) % 4  # some of them none at all
    repeated = [np.repeat(array, times, axis=0) for array in (d, y)]
    assert_same(
        summed((d, y, times.astype(float))), summed((*repeated, np.ones(times.sum())))
    )


def test_a_class_without_images_is_never_predicted(data):
    d = data[0]
    coef, intercept = summed(data, n_classes=5).fit(STRENGTH, None, 1.0)
    assert coef.shape == (5, P)
    assert ((d @ coef.T + intercept).argmax(axis=1) < C).all()


@pytest.mark.parametrize("strength", [0.01, 0.1, 1.0, 100.0])
def test_absolute_values_give_exact_zeros_and_the_optimum(data, strength):
    d, y, w = data
    penalty = ClassifierPenalty(lambda v: strength * v.abs().sum(), sparse=True)
    sums = summed(data)
    coef, intercept = sums.fit(STRENGTH, penalty, 1.0)
    assert np.isfinite(coef).all() and np.isfinite(intercept).all()
    if strength == 100:
        assert (coef == 0).all()
        return
    # The scale is that of the best intercepts: they make the mean residual 0. With
    # weights s·V the mean residual is t̄ - s (V d̄ + v), for all classes.
    mean, share = w @ d / w.sum(), w / w.sum()
    targets = 2 * np.eye(C)[y] - 1
    scale = (share @ targets) / (coef @ mean + intercept)
    np.testing.assert_allclose(scale, scale[0], rtol=1e-3)
    V, v = scale[0] * coef, scale[0] * intercept
    error = 2 * share[:, None] * (d @ V.T + v - targets)
    gradient = error.T @ d + 2 * 0.5 / (STRENGTH * w.sum()) * V
    zero = coef == 0
    assert (np.abs(gradient[zero]) <= strength + 2e-3).all()
    np.testing.assert_allclose(
        gradient[~zero], -strength * np.sign(coef[~zero]), atol=2e-3
    )
    assert strength < 0.1 or 0 < zero.sum()
    assert (~zero).any()


def test_a_penalty_of_nothing_changes_nothing(data):
    sums = summed(data)
    for sparse in (False, True):
        penalty = ClassifierPenalty(lambda v: 0 * v.sum(), sparse=sparse)
        coef, intercept = sums.fit(STRENGTH, penalty, 1.0)
        expected, bias = sums.fit(STRENGTH, None, 1.0)
        np.testing.assert_allclose(coef, expected, atol=1e-4)
        np.testing.assert_allclose(intercept, bias, atol=1e-4)


def test_sums_around_a_classifier_give_it_back():
    random = np.random.default_rng(3)
    coef, intercept = random.normal(size=(C, P)), random.normal(size=C)
    sums = RunningLeastSquares.around(coef, intercept, 200.0)
    assert sums.n_images == pytest.approx(200)
    # Without the ridge. The scores of classes differ as before, up to a factor.
    found, bias = sums.fit(1e9, None, 1.0)
    wanted = coef - coef.mean(axis=0), intercept - intercept.mean()
    factor = np.linalg.norm(wanted[0]) / np.linalg.norm(found - found.mean(axis=0))
    np.testing.assert_allclose(factor * (found - found.mean(0)), wanted[0], atol=1e-5)
    np.testing.assert_allclose(factor * (bias - bias.mean()), wanted[1], atol=1e-5)


def test_sums_around_a_classifier_have_moments_of_descriptors_and_targets():
    random = np.random.default_rng(4)
    coef, intercept = random.normal(size=(C, P)), random.normal(size=C)
    sums = RunningLeastSquares.around(coef, intercept, 50.0)
    variances = np.append(np.full(P, 1 / P), 1.0)
    np.testing.assert_allclose(sums.products, 50 * np.diag(variances))
    # In each image one target is 1 and the others are -1.
    solution = sums.solve(1e12)
    assert solution[:, -1].sum() == pytest.approx(2 - C)
    targets = 2 * np.eye(C) - 1
    assert sums.spread(solution) == pytest.approx(spread(targets), rel=1e-6)


def test_sums_around_a_classifier_take_the_variances_of_its_images():
    random = np.random.default_rng(4)
    coef, intercept = random.normal(size=(C, P)), random.normal(size=C)
    variances = random.uniform(0.1, 2, P)
    sums = RunningLeastSquares.around(coef, intercept, 50.0, variances)
    np.testing.assert_allclose(np.diag(sums.products)[:P], 50 * variances)
    found = sums.solve(1e12)[:, :P]
    wanted = coef - coef.mean(axis=0)
    factor = np.linalg.norm(found) / np.linalg.norm(wanted)
    np.testing.assert_allclose(found, factor * wanted, atol=1e-6)


def test_later_images_weigh_against_the_earlier_classifier(data):
    random = np.random.default_rng(5)
    classifier = random.normal(size=(C, P)), random.normal(size=C)

    def distance(n_images):
        sums = RunningLeastSquares.around(*classifier, n_images)
        sums.add(*data)
        found, _ = sums.fit(STRENGTH, None, 1.0)
        cosines = [
            (found * other).sum() / np.linalg.norm(found) / np.linalg.norm(other)
            for other in (classifier[0] - classifier[0].mean(0), ridge(data).coef_)
        ]
        return cosines[0] - cosines[1]

    assert distance(1e6) > 0.1 > -0.1 > distance(1)


def test_left_out_scores_are_those_of_fits_without_the_image(data):
    d, y, w = data
    new = d + np.random.default_rng(6).normal(scale=0.3, size=d.shape)
    expected = []
    for i in range(N):
        others = np.arange(N) != i
        solution = summed(rows(data, others)).solve(STRENGTH)
        expected.append(solution[:, :-1] @ new[i] + solution[:, -1])
    scores = summed(data).leave_one_out_scores(d, new, y, w, STRENGTH)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
