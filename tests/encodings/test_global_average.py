"""Global descriptors against the averages of maps in NumPy."""

from __future__ import annotations

import numpy as np

from skdpnet import FeatureMaps, GlobalFeatures
from tests.parts.dpnet.made_maps import two_maps


def test_the_descriptor_is_the_normalised_average(photographs, tmp_path):
    paths, _ = photographs
    maps = FeatureMaps(image_size=96, memory=tmp_path).fit_transform(paths)
    average = maps.astype(np.float64).mean((1, 2))
    average /= np.linalg.norm(average, axis=1, keepdims=True)
    got = GlobalFeatures(image_size=96, memory=tmp_path).fit_transform(paths)
    np.testing.assert_allclose(got, average, atol=1e-6)


def test_the_descriptor_of_an_empty_map_is_zero_not_nan():
    got = GlobalFeatures(backbone="precomputed").fit_transform(np.zeros((2, 3, 3, 4)))
    assert (got == 0).all()


def test_averages_of_several_maps_are_concatenated():
    X = two_maps(60)[0]
    means = [X[name].mean((1, 2)) for name in ("map0", "map1")]
    unit = [mean / np.linalg.norm(mean, axis=1, keepdims=True) for mean in means]
    got = GlobalFeatures("precomputed").fit_transform(X)
    np.testing.assert_allclose(got, np.hstack(unit) / np.sqrt(2), rtol=1e-5)
