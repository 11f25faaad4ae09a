"""Calibration against fits without each image, a grid of factors, and NumPy."""

import numpy as np
import pytest
from scipy.special import log_softmax

from skdpnet.training.calibration import leave_one_out_scores, logit_factor, spread
from skdpnet.training.linear_fits import fit_svm


def made(n, n_parts, seed=0):
    """Descriptors of three classes that overlap, labels and weights."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 3
    d = random.normal(size=(n, n_parts)) + 1.5 * np.eye(3, n_parts)[y]
    return (d / np.sqrt(n_parts)).astype(np.float32), y, random.uniform(0.5, 1.5, n)


def refits(d, y, w, ridge, new):
    """Score each image by the SVM that is fitted on the others."""
    rows = []
    for i in range(len(d)):
        others = np.arange(len(d)) != i
        # The loss is a mean over the images, one less than in the fit on all.
        of_others = ridge * len(d) / (len(d) - 1)
        coef, intercept = fit_svm(d[others], y[others], w[others], 3, of_others)
        rows.append(new[i] @ coef.T + intercept)
    return np.array(rows)


@pytest.mark.parametrize(
    ("n", "n_parts"), [(60, 6), (45, 20), (24, 40)], ids=["few", "many", "more than n"]
)
@pytest.mark.parametrize("C", [0.3, 3.0])
def test_scores_are_close_to_those_of_fits_without_the_image(n, n_parts, C):
    d, y, w = made(n, n_parts)
    ridge = 0.5 / (C * n)
    coef, intercept = fit_svm(d, y, w, 3, ridge)
    exact = refits(d, y, w, ridge, d)
    scores = leave_one_out_scores(d, d, y, w, coef, intercept, ridge)
    naive = d @ coef.T + intercept
    error, naive_error = (np.abs(s - exact).mean() for s in (scores, naive))
    assert error < 0.35 * naive_error
    assert np.corrcoef(scores.ravel(), exact.ravel())[0, 1] > 0.97


def test_scores_are_those_of_the_descriptor_that_was_left_out():
    d, y, w = made(60, 6)
    new = d + np.random.default_rng(1).normal(scale=0.3, size=d.shape)
    new = new.astype(np.float32)
    ridge = 0.5 / len(d)
    svm = fit_svm(d, y, w, 3, ridge)
    exact = refits(d, y, w, ridge, new)
    error = np.abs(leave_one_out_scores(d, new, y, w, *svm, ridge) - exact).mean()
    of_others = np.abs(leave_one_out_scores(d, d, y, w, *svm, ridge) - exact).mean()
    assert error < 0.3 * of_others


def test_where_all_images_are_inside_the_margins_the_scores_are_exact():
    # With a large ridge the SVM is least squares, of which one Newton step is exact.
    d, y, w = made(30, 5)
    ridge = 20.0
    coef, intercept = fit_svm(d, y, w, 3, ridge)
    side = 2 * np.eye(3)[y] - 1
    assert (side * (d @ coef.T + intercept) < 1).all()
    exact = refits(d, y, w, ridge, d)
    scores = leave_one_out_scores(d, d, y, w, coef, intercept, ridge)
    np.testing.assert_allclose(scores, exact, atol=2e-3)
    assert np.abs(d @ coef.T + intercept - exact).max() > 0.02


def test_images_of_weight_0_are_new_images():
    d, y, w = made(40, 6)
    w[:10] = 0
    ridge = 0.5 / len(d)
    coef, intercept = fit_svm(d, y, w, 3, ridge)
    scores = leave_one_out_scores(d, d, y, w, coef, intercept, ridge)
    in_sample = d @ coef.T + intercept
    np.testing.assert_allclose(scores[:10], in_sample[:10], atol=1e-5)
    assert np.abs(scores[10:] - in_sample[10:]).max() > 0.01


def test_images_outside_all_margins_keep_their_scores():
    d = np.concatenate([np.eye(3), 5 * np.eye(3)]).astype(np.float32)
    y, w = np.arange(6) % 3, np.ones(6)
    coef, intercept = fit_svm(d, y, w, 3, 1e-4)
    scores = leave_one_out_scores(d, d, y, w, coef, intercept, 1e-4)
    side = 2 * np.eye(3)[y] - 1
    in_sample = d @ coef.T + intercept
    outside = side * in_sample >= 1
    assert outside.any()
    np.testing.assert_allclose(scores[outside], in_sample[outside], rtol=1e-4)


def entropy(scores, y, w, factor):
    """Cross-entropy of the images, and of one image that may be of any class."""
    n, log_p = len(y), log_softmax(factor * scores, axis=1)
    of_unknown = (w[:, None] * log_p).mean()
    of_known = (w * log_p[np.arange(n), y]).mean()
    return -(n * of_known + of_unknown) / (n + 1)


@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_the_factor_is_the_best_of_a_grid(scale):
    d, y, w = made(90, 3)
    scores = scale * d.astype(float)
    grid = np.geomspace(0.01, 100, 4001)
    best = grid[np.argmin([entropy(scores, y, w, factor) for factor in grid])]
    assert logit_factor(scores, y, w) == pytest.approx(best, rel=5e-3)
    assert 0.01 < best < 100


def test_the_scores_of_images_of_weight_0_have_no_influence():
    d, y, w = made(60, 3)
    w[:30] = 0
    wrong = d.astype(float)
    wrong[:30] *= -10
    expected = logit_factor(d.astype(float), y, w)
    assert logit_factor(wrong, y, w) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", [3, 30, 300])
def test_more_images_that_are_all_correct_make_more_certain_logits(n):
    y = np.arange(n) % 3
    factor = logit_factor(0.5 * np.eye(3)[y], y, np.ones(n))
    p = np.exp(0.5 * factor) / (np.exp(0.5 * factor) + 2)
    # n images that are correct, and one that is so by chance.
    assert p == pytest.approx((n + 1 / 3) / (n + 1), rel=1e-4)


def test_scores_that_are_all_wrong_give_equal_probabilities():
    y = np.arange(30) % 3
    scores = -np.eye(3)[y]
    factor = logit_factor(scores, y, np.ones(30))
    assert 0 < factor < 0.02
    assert np.isfinite(entropy(scores, y, np.ones(30), factor))


def test_a_perfectly_separated_set_gives_finite_scores_and_factor():
    d = np.repeat(np.eye(3), 5, axis=0).astype(np.float32)
    y, w = np.repeat(np.arange(3), 5), np.ones(15)
    coef, intercept = fit_svm(d, y, w, 3, 1e-6)
    scores = leave_one_out_scores(d, d, y, w, coef, intercept, 1e-6)
    assert (scores.argmax(1) == y).all()
    assert np.isfinite(scores).all()
    assert np.isfinite(logit_factor(scores, y, w))


def test_the_spread_is_the_deviation_within_images():
    scores = np.random.default_rng(0).normal(size=(20, 4))
    squares = [(row[c] - row.mean()) ** 2 for row in scores for c in range(4)]
    assert spread(scores) == pytest.approx(np.sqrt(np.mean(squares)))
    shifted = scores + np.arange(20)[:, None]  # as the softmax, it ignores the shifts
    assert spread(shifted) == pytest.approx(spread(scores))
    assert spread(-3 * scores) == pytest.approx(3 * spread(scores))
