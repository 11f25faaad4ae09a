"""The intervals hold the truth about as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skdpnet.reporting.intervals import accuracy_interval, difference_interval


def test_wilson_interval_solves_its_equation():
    """Its ends are the shares from which the accuracy is 1.96 standard errors away."""
    for n_right, n in ((0, 8), (13, 20), (20, 20), (700, 1000)):
        accuracy = n_right / n
        for end in accuracy_interval(np.arange(n) < n_right):
            error = 1.959964 * np.sqrt(end * (1 - end) / n)
            assert_allclose(abs(accuracy - end), error, atol=1e-6)


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("lost, gained", [(0.05, 0.05), (0.02, 0.2)])
def test_the_difference_is_in_its_interval(n, lost, gained):
    random = np.random.default_rng(0)
    shares = [gained, lost, 1 - gained - lost]
    n_inside = 0
    for _ in range(1000):
        # Images that the first alone recognised, the second alone, and both.
        kind = random.choice(3, size=n, p=shares)
        low, high = difference_interval(kind != 1, kind != 0)
        n_inside += low <= gained - lost <= high
    assert 0.93 <= n_inside / 1000 <= 1


def test_the_difference_changes_its_sign_with_the_order():
    random = np.random.default_rng(0)
    first, second = random.random((2, 40)) < [[0.9], [0.6]]
    low, high = difference_interval(first, second)
    assert_allclose(difference_interval(second, first), (-high, -low))
    assert low < first.mean() - second.mean() < high


def test_equal_answers_and_none_in_common_have_intervals():
    always, never = np.ones(10, bool), np.zeros(10, bool)
    low, high = difference_interval(always, always)
    assert low == -high < 0, "ten images do not show that methods are equal"
    low, high = difference_interval(always, never)
    assert 0 < low < high <= 1
