"""The map "average": the mean of the last map over the cells of each image."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from PIL import Image
from torch import nn

from skdpnet import DPNetClassifier, FeatureMaps, GlobalFeatures, SoftAssignParts
from skdpnet.features.map_arrays import separate

PHOTOGRAPH = Image.fromarray(skimage.data.coffee())
# Sides of images, and rows and columns of their last map at 96 pixels with "aspect".
SHAPES = {(200, 200): (3, 3), (300, 200): (3, 4), (180, 400): (4, 3)}


@pytest.fixture(scope="module")
def images():
    return [
        PHOTOGRAPH.crop((20 * i, 10 * i, 400, 300)).resize(size)
        for i, size in enumerate([*SHAPES, *SHAPES])
    ]


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float32", 1e-5), ("auto", 3e-3)]
)
@pytest.mark.parametrize("framing", ["aspect", "crop"])
def test_it_is_the_mean_over_the_cells_of_the_image(
    images, framing, precision, tolerance, memory, tmp_path
):
    settings = {"image_size": 96, "framing": framing, "precision": precision}
    settings["memory"] = tmp_path if memory else None
    strides = (16, 32)
    stages = FeatureMaps(strides=(*strides, "last"), **settings).fit_transform(images)
    extractor = FeatureMaps(strides=(*strides, "average"), **settings)
    maps = extractor.fit_transform(images)
    for name in ("map0", "map1"):
        np.testing.assert_array_equal(maps[name], stages[name])
    *_, last = separate(stages)
    depth = last.shape[-1]
    assert extractor.map_shapes_[2] == (1, 1, depth) == (1, 1, 1280)
    for i, image in enumerate(images):
        rows, columns = SHAPES[image.size] if framing == "aspect" else (3, 3)
        expected = np.zeros(depth)
        for row in range(rows):
            for column in range(columns):
                expected += last[i, row, column].astype(np.float64)
        expected /= rows * columns
        error = maps["map2"][i, 0, 0] - expected
        assert np.linalg.norm(error) < tolerance * np.linalg.norm(expected)
    # The cells beside the image do not count.
    if framing == "aspect":
        of_canvas = last.astype(np.float64).mean(axis=(1, 2))
        wrong = np.linalg.norm(maps["map2"][:, 0, 0] - of_canvas, axis=1)
        assert (wrong > 0.1 * np.linalg.norm(of_canvas, axis=1)).all()
    # A second call reads them, if they are kept.
    for array, again in zip(
        separate(maps), separate(extractor.transform(images)), strict=True
    ):
        np.testing.assert_array_equal(array, again)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "aspect"),
        ({"strides": (16, 32, "average")}, "aspect"),
        ({"image_size": 96}, "aspect"),
        ({"image_size": 100}, "crop"),
        ({"backbone": nn.AvgPool2d(32)}, "crop"),
        ({"backbone": lambda x: x}, "crop"),
        ({"backbone": "dense_sift"}, "aspect"),
    ],
)
def test_the_framing_auto(settings, name):
    assert FeatureMaps(**settings).input_framing().name == name
    for estimator in (DPNetClassifier, GlobalFeatures, SoftAssignParts):
        assert estimator(**settings).input_framing().name == name
        named = estimator(**settings, framing="squash")
        assert named.input_framing().name == "squash"


@pytest.mark.parametrize("size", [96, 100])
def test_the_maps_of_auto_are_those_of_the_framing_that_it_stands_for(images, size):
    extractor = FeatureMaps(image_size=size, precision="float32")
    name = "aspect" if size == 96 else "crop"
    expected = FeatureMaps(image_size=size, precision="float32", framing=name)
    found = extractor.fit_transform(images)
    np.testing.assert_array_equal(found, expected.fit_transform(images))


def test_the_canvas_of_the_usual_size():
    framing = FeatureMaps().input_framing()
    assert (framing.image_size, framing.canvas_side) == (288, 416)
