"""The scale of precomputed maps changes no result, even beyond the range of float32."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet import DPNetClassifier
from tests.parts.dpnet.made_maps import part_maps, quick


@pytest.fixture(scope="module")
def train():
    return part_maps(150)[:2]


@pytest.fixture(scope="module")
def model(train):
    return quick(DPNetClassifier, max_epochs=2).fit(*train)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [-100, -50, -42, -20, 15, 48, 100])
def test_maps_of_another_scale_give_the_same_model(train, model, dtype, exponent):
    X, y = train
    scaled = np.ldexp(X.astype(dtype), exponent)
    other = quick(DPNetClassifier, max_epochs=2).fit(scaled, y)
    np.testing.assert_array_equal(other.parts_, model.parts_)
    np.testing.assert_array_equal(
        other.decision_function(scaled), model.decision_function(X)
    )


@pytest.mark.parametrize("scale", [1e-22, 1e-13, 1e20, 1e30])
def test_the_scale_of_the_maps_does_not_matter(train, model, scale):
    X = train[0].astype(np.float64) * scale
    expected = model.decision_function(train[0])
    np.testing.assert_allclose(model.decision_function(X), expected, atol=1e-3)


def test_small_maps_of_float16_give_what_large_maps_give(train, model):
    small = np.ldexp(train[0], -20).astype(np.float16)
    rescaled = np.ldexp(small.astype(np.float32), 20)
    np.testing.assert_array_equal(
        model.decision_function(small), model.decision_function(rescaled)
    )


def test_each_image_is_rescaled_separately(train, model):
    X = train[0]
    exponents = np.random.default_rng(0).integers(-100, 100, len(X))
    mixed = np.ldexp(X, exponents[:, None, None, None])
    np.testing.assert_array_equal(
        model.decision_function(mixed), model.decision_function(X)
    )
