"""The scale of the descriptor against its definition."""

import numpy as np

from skdpnet.parts.standardisation import standardisation


def test_each_part_has_mean_zero_and_its_share_of_the_variance():
    b = np.random.default_rng(0).normal(3, 0.1, size=(200, 5)).astype(np.float32)
    shift, scale = standardisation(b)
    assert shift.dtype == scale.dtype == np.float32
    descriptors = (b.astype(np.float64) - shift) * scale
    np.testing.assert_allclose(descriptors.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(descriptors.var(0), 1 / 5, rtol=1e-5)


def test_a_part_that_does_not_vary_is_switched_off():
    b = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    b[:, 1] = 0.25
    b[:, 2] = 1 + np.float32(1e-7) * (np.arange(50) % 2)
    _, scale = standardisation(b)
    assert scale[0] > 0
    np.testing.assert_array_equal(scale[1:], 0)
