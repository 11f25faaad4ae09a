"""Global descriptors against the averages of maps in NumPy."""

from __future__ import annotations

import numpy as np
import skimage.data
import torch
from PIL import Image

from skdpnet import FeatureMaps, GlobalFeatures
from skdpnet.backbones.loading import load_backbone
from skdpnet.images.framing import Framing
from skdpnet.images.geometry import preprocess
from tests.parts.dpnet.made_maps import two_maps

CPU = torch.device("cpu")


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


def test_the_average_is_that_of_the_cells_of_the_image():
    """Not of the canvas that images of several shapes share."""
    photograph = Image.fromarray(skimage.data.coffee())
    images = [photograph.resize(size) for size in ((96, 96), (128, 96), (96, 140))]
    settings = {
        **{"strides": (16, 32), "image_size": 96, "framing": "aspect"},
        "precision": "float32",
    }
    got = GlobalFeatures(**settings).fit_transform(images)
    framing = Framing(96, "aspect")
    backbone = load_backbone("efficientnet_lite0", 96, CPU, (16, 32))
    for image, descriptor in zip(images, got, strict=True):
        pixels = preprocess(image, framing)[None]
        maps = backbone.feature_maps(pixels, CPU, torch.float32)
        means = [feature_map[0].double().mean((0, 1)).numpy() for feature_map in maps]
        unit = [mean / np.linalg.norm(mean) for mean in means]
        expected = np.concatenate(unit) / np.sqrt(2)
        np.testing.assert_allclose(descriptor, expected, atol=1e-4)
    maps = FeatureMaps(**settings).transform(images)
    given = GlobalFeatures("precomputed", framing="aspect").fit_transform(maps)
    np.testing.assert_allclose(given, got, atol=1e-6)
