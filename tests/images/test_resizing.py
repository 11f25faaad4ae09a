"""Images are resized as Pillow resizes them."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from PIL import Image

from skdpnet.images.resizing import resized

PHOTOGRAPH = Image.fromarray(skimage.data.chelsea())
WIDTH, HEIGHT = PHOTOGRAPH.size


def by_pillow(image: Image.Image, size, box) -> np.ndarray:
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box)).astype(int)


@pytest.mark.parametrize(
    "size",
    [(288, 288), (64, 320), (600, 500), (1, 1), (7, 300), (WIDTH, 100), (900, HEIGHT)],
)
def test_a_whole_image_is_that_of_pillow(size):
    box = 0, 0, WIDTH, HEIGHT
    got = resized(PHOTOGRAPH, size, box)
    assert got.shape == (*size[::-1], 3) and got.dtype == np.uint8
    difference = np.abs(got - by_pillow(PHOTOGRAPH, size, box))
    assert difference.max() <= (2 if size[0] > WIDTH and size[1] > HEIGHT else 1)
    # Rounding of the weights, not another filter.
    assert difference.mean() < 0.05


@pytest.mark.parametrize("image_size", [(1, 1), (1, 50), (50, 1), (3, 2)])
def test_narrow_images(image_size):
    image = PHOTOGRAPH.resize(image_size)
    got = resized(image, (32, 20), (0, 0, *image_size)).astype(int)
    expected = by_pillow(image, (32, 20), (0, 0, *image_size))
    assert np.abs(got - expected).max() <= 1


@pytest.mark.parametrize("parts", [(0.5, 0.125), (0.875, 0), (0, 0.25)])
@pytest.mark.parametrize("start", [(0, 0), (0.5, 0), (0.5, 0.25)])
def test_a_box_may_end_and_begin_within_a_pixel(parts, start):
    box = (*start, WIDTH - parts[0], HEIGHT - parts[1])
    got = resized(PHOTOGRAPH, (128, 100), box).astype(int)
    difference = np.abs(got - by_pillow(PHOTOGRAPH, (128, 100), box))
    assert difference.max() <= 1
    # A whole image instead of the box would be told apart.
    other = by_pillow(PHOTOGRAPH, (128, 100), (0, 0, WIDTH, HEIGHT))
    assert np.abs(other - by_pillow(PHOTOGRAPH, (128, 100), box)).max() > 1


@pytest.mark.parametrize("n", range(20))
def test_the_last_row_and_column_are_never_lost(n):
    random = np.random.default_rng(n)
    across, down = random.integers(200, 1000, 2) - random.integers(1, 8, 2) / 8
    image = Image.new("RGB", (1000, 1000), (10, 20, 30))
    size = (int(random.integers(1, 97)), int(random.integers(1, 97)))
    got = resized(image, size, (0, 0, across, down))
    assert got.shape == (*size[::-1], 3)
    assert (got == (10, 20, 30)).all()


def test_a_box_inside_the_image_differs_along_its_edges_alone():
    box, size = (40, 30, 240, 230), (100, 100)
    got = resized(PHOTOGRAPH, size, box).astype(int)
    difference = np.abs(got - by_pillow(PHOTOGRAPH, size, box))
    assert difference[2:-2, 2:-2].max() <= 1
    cropped = PHOTOGRAPH.crop(box)
    assert np.abs(got - by_pillow(cropped, size, (0, 0, 200, 200))).max() <= 1


def test_nothing_is_done_to_an_image_of_the_size():
    for box in ((0, 0, WIDTH, HEIGHT), (10, 20, 110, 90)):
        same = resized(PHOTOGRAPH, (box[2] - box[0], box[3] - box[1]), box)
        np.testing.assert_array_equal(same, np.asarray(PHOTOGRAPH.crop(box)))


def test_a_size_beyond_the_memory_is_told():
    with pytest.raises(MemoryError, match="1000000000×1000000000 pixels.*image_size"):
        resized(PHOTOGRAPH, (10**9, 10**9), (0, 0, WIDTH, HEIGHT))


@pytest.mark.parametrize("box", [None, (40, 60, 290, 260)])
def test_large_images_are_pillows(monkeypatch, box):
    monkeypatch.setattr("skdpnet.images.resizing._MOST_PIXELS", 100_000)
    image = Image.fromarray(skimage.data.astronaut())  # 512 × 512
    seen = box or (0, 0, *image.size)
    expected = image.resize((64, 48), Image.Resampling.BICUBIC, seen)
    np.testing.assert_array_equal(resized(image, (64, 48), seen), np.array(expected))
