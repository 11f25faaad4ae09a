"""Crops: boxes widened to whole pixels, and each image read once."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from skdpnet.explanations.crops import crop, crops_by_image
from skdpnet.explanations.galleries import PartGallery
from skdpnet.images.collection import Images, as_images


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "box, rows, columns",
    [
        ((10, 5.2, 20, 39.9), (5, 40), (10, 20)),
        # Rounding errors do not widen a box.
        ((10 - 1e-9, 5, 20 + 1e-9, 30), (5, 30), (10, 20)),
        # A box is clipped to the image, and keeps a pixel.
        ((-3, -3, 60, 60), (0, 40), (0, 50)),
        ((49.9999999, 40, 55, 45), (39, 40), (49, 50)),
        ((7, 8, 7, 8), (8, 9), (7, 8)),
    ],
)
def test_boxes_are_widened_to_whole_pixels(pixels, box, rows, columns):
    cut = np.asarray(crop(Image.fromarray(pixels), box))
    np.testing.assert_array_equal(cut, pixels[slice(*rows), slice(*columns)])


def test_each_image_is_read_once_and_equal_boxes_are_cut_once(pixels, monkeypatch):
    images = as_images([pixels, 255 - pixels, pixels])
    boxes = np.array([[0.0, 0, 9, 9], [5, 5, 20, 30]])
    galleries = [
        PartGallery(
            part=part,
            name=f"part{part}",
            images=np.array([2, 1]),
            responses=np.zeros(2, np.float32),
            regions=np.zeros(2, int),
            boxes=part_boxes,
        )
        for part, part_boxes in ((4, boxes), (7, boxes[[0, 0]]))
    ]
    loaded = []
    load = Images.load
    monkeypatch.setattr(
        Images, "load", lambda self, i: loaded.append(i) or load(self, i)
    )
    first, second = crops_by_image(images, galleries)
    assert loaded == [1, 2]
    assert [places for _, places in first] == [[(0, 1)], [(1, 1)]]
    assert [places for _, places in second] == [[(0, 0), (1, 0)]]
    np.testing.assert_array_equal(first[0][0], 255 - pixels[5:30, 5:20])
    np.testing.assert_array_equal(second[0][0], pixels[:9, :9])
