"""How similar the parts are, compared with results by hand and by chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skdpnet import metrics


def test_redundancy_of_three_parts():
    parts = [[1, 0, 0], [0.6, 0.8, 0], [0, 0, -1]]
    measured = metrics.redundancy(parts)
    assert measured.mean == pytest.approx(
        0.6 / 3
    ) and measured.maximum == pytest.approx(0.6)
    # Only the direction counts, and the opposite direction as much as the same one.
    scaled = np.array(parts) * [[-2], [1e200], [1e-200]]
    np.testing.assert_allclose(metrics.redundancy(scaled), measured)


def test_parts_of_different_maps_are_not_compared():
    parts = [[1, 0], [1, 0], [0, 1], [0.6, 0.8]]
    measured = metrics.redundancy(parts, [0, 1, 0, 1])
    assert measured.mean == pytest.approx((0 + 0.6) / 2)
    assert measured.maximum == pytest.approx(0.6)
    assert metrics.redundancy(parts, [0, 1, 2, 3]) == (0, 0)
    assert metrics.redundancy(parts).maximum == 1


def test_redundancy_by_chance_is_that_of_the_docstring():
    random = np.random.default_rng(0)
    for depth in (2, 16, 512):
        parts = random.normal(size=(400, depth))
        exact = math.exp(math.lgamma(depth / 2) - math.lgamma((depth + 1) / 2))
        expected = exact / math.sqrt(math.pi)
        assert metrics.redundancy(parts).mean == pytest.approx(expected, rel=0.02)
        # Zeros at the end of the rows change nothing.
        padded = np.pad(parts, ((0, 0), (0, 9)))
        np.testing.assert_allclose(
            metrics.redundancy(padded), metrics.redundancy(parts)
        )


def test_redundancy_rejects_invalid_arguments():
    with pytest.raises(ValueError, match="part 1 is all zeros"):
        metrics.redundancy([[1, 0], [0, 0]])
    with pytest.raises(ValueError, match=r"parts holds nan at \(0, 1\)"):
        metrics.redundancy([[1, np.nan]])
    with pytest.raises(ValueError, match=r"part_maps must have the shape \(2,\)"):
        metrics.redundancy(np.eye(2), [0])
    with pytest.raises(ValueError, match="parts must have 2 axes"):
        metrics.redundancy([1, 0])
