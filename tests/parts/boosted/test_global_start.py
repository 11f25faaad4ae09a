"""The global start: its folds, and scores that no image had a part in."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from skdpnet.parts.boosted import global_start
from skdpnet.parts.boosted.global_start import assign_folds, fit_global_start


def test_folds_are_even_in_each_class():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [11, 4, 1]))
    folds = assign_folds(labels, 5, np.random.RandomState(0))
    counts = np.array([np.bincount(folds[labels == c], minlength=5) for c in range(3)])
    assert (np.ptp(counts, axis=1) <= 1).all()
    assert np.ptp(counts.sum(axis=0)) <= 1


def test_it_is_a_logistic_regression_fitted_on_other_images(monkeypatch):
    monkeypatch.setattr(global_start, "_C_GRID", (10.0,))
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    centres = random.normal(size=(3, 6))
    whole = normalize(centres[labels] + random.normal(size=(60, 6))).astype(np.float32)
    start = fit_global_start(whole, labels, 3, np.random.RandomState(4))
    folds = assign_folds(labels, 5, np.random.RandomState(4))
    for c in range(3):
        model = LogisticRegression(C=10.0, tol=1e-8).fit(whole, labels == c)
        assert_allclose(start.coef[c], model.coef_[0], atol=0.02)
        assert_allclose(start.intercept[c], model.intercept_[0], atol=0.02)
        for fold in range(5):
            rows = folds != fold
            model.fit(whole[rows], labels[rows] == c)
            expected = model.decision_function(whole[~rows])
            assert_allclose(start.scores[~rows, c], expected, atol=0.05)


@pytest.mark.parametrize("n_informative", [0, 2])
def test_scores_are_as_good_as_those_of_new_images(n_informative):
    random = np.random.default_rng(1)
    labels = np.arange(80) % 2
    whole = random.normal(size=(80, 60))
    whole[:, :n_informative] += 6 * labels[:, None]
    whole = normalize(whole).astype(np.float32)
    start = fit_global_start(whole, labels, 2, np.random.RandomState(0))
    of_itself = whole @ start.coef.T + start.intercept
    assert (of_itself.argmax(axis=1) == labels).mean() > 0.8
    accuracy = (start.scores.argmax(axis=1) == labels).mean()
    assert accuracy > 0.9 if n_informative else accuracy < 0.7
