"""Conformal p-values, by the definition and by what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.open_set._p_values import conformal_p_values


def by_loops(calibration, scores):
    return [
        (1 + sum(c <= score for c in calibration)) / (1 + len(calibration))
        for score in scores
    ]


def test_they_are_those_of_the_definition():
    random = np.random.default_rng(0)
    # Rounded, so that there are ties.
    calibration, scores = random.normal(size=30).round(1), random.normal(size=50)
    found = conformal_p_values(calibration, scores.round(1))
    np.testing.assert_allclose(found, by_loops(calibration, scores.round(1)))


def test_groups_are_compared_apart():
    random = np.random.default_rng(1)
    calibration, scores = random.normal(size=40), random.normal(size=30)
    groups, of_scores = random.integers(3, size=40), random.integers(4, size=30)
    found = conformal_p_values(calibration, scores, groups, of_scores)
    for group in range(3):
        expected = by_loops(calibration[groups == group], scores[of_scores == group])
        np.testing.assert_allclose(found[of_scores == group], expected)
    assert (found[of_scores == 3] == 1).all()


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_images_like_those_of_the_calibration_are_rejected_as_often_as_allowed(alpha):
    """n = 19: the share of p-values of at most α is floor(20 α) / 20 exactly."""
    random = np.random.default_rng(2)
    draws = random.exponential(size=(4000, 20))
    p_values = [conformal_p_values(row[1:], row[:1])[0] for row in draws]
    expected = np.floor(20 * alpha + 1e-9) / 20
    deviation = np.sqrt(expected * (1 - expected) / len(draws))
    rejected = np.mean(np.array(p_values) <= alpha)
    assert abs(rejected - expected) < 4 * deviation
