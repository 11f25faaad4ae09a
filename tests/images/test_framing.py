"""What each framing sees of images, and what the network's input then shows."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from PIL import Image

from skdpnet.images.collection import as_images
from skdpnet.images.framing import CENTER, FRAMINGS, Framing
from skdpnet.images.geometry import preprocess

PHOTOGRAPH = Image.fromarray(skimage.data.coffee())  # 600×400


def sizes(n):
    """Widths and heights of all aspects, some of a few pixels."""
    random = np.random.default_rng(0)
    return np.exp(random.uniform(0, 8, (n, 2))).astype(int).tolist()


@pytest.mark.parametrize(
    ("size", "input_size"),
    [
        ((500, 500), (224, 224)),
        ((400, 300), (288, 224)),
        ((300, 400), (224, 288)),
        ((600, 400), (320, 224)),
        ((630, 210), (320, 224)),
        ((210, 631), (224, 320)),
        ((230, 224), (224, 224)),
    ],
)
def test_aspect_keeps_the_short_side_and_whole_cells(size, input_size):
    view = Framing(224, "aspect").view(*size)
    assert view.size == view.input_size == input_size
    assert view.box == (0, 0, *size) and view.canvas_size == (320, 320)


@pytest.mark.parametrize("side", [32, 96, 224, 256, 448])
def test_aspect_distorts_images_by_half_a_cell_up_to_its_limit(side):
    framing = Framing(side, "aspect")
    assert framing.canvas_side / side == pytest.approx(10 / 7, abs=16 / side)
    for width, height in sizes(300):
        across, down = framing.view(width, height).size
        assert min(across, down) == side and max(across, down) <= framing.canvas_side
        assert across % 32 == down % 32 == 0
        ideal = side * max(width, height) / min(width, height)
        if ideal <= framing.canvas_side:
            assert abs(max(across, down) - ideal) <= 16
            assert (across >= down) == (width >= height) or across == down
        else:
            assert max(across, down) == framing.canvas_side


@pytest.mark.parametrize("size", [100, 8, 225])
def test_aspect_needs_whole_cells(size):
    with pytest.raises(ValueError, match=f"multiple of 32.*got {size}. Use"):
        Framing(size, "aspect")


@pytest.mark.parametrize("name", [name for name in FRAMINGS if name != CENTER])
def test_images_of_the_input_size_are_seen_as_they_are(name):
    framing = Framing(96, name)
    image = PHOTOGRAPH.resize((96, 96))
    np.testing.assert_array_equal(preprocess(image, framing), np.asarray(image))
    # What was framed once is not changed by the same framing.
    once = preprocess(PHOTOGRAPH, framing)
    np.testing.assert_array_equal(preprocess(Image.fromarray(once), framing), once)


def test_squash_is_a_resize_of_the_whole_image():
    expected = PHOTOGRAPH.resize((64, 64), Image.Resampling.BICUBIC)
    got = preprocess(PHOTOGRAPH, Framing(64, "squash"))
    np.testing.assert_allclose(got, np.asarray(expected), atol=1)


@pytest.mark.parametrize("turned", [False, True])
def test_pad_lays_the_whole_image_in_the_middle(turned):
    image = PHOTOGRAPH.transpose(Image.Transpose.ROTATE_90) if turned else PHOTOGRAPH
    got = preprocess(image, Framing(96, "pad", (10, 20, 30)))
    shape = (64, 96) if turned else (96, 64)
    expected = np.asarray(image.resize(shape, Image.Resampling.BICUBIC))
    if turned:
        got, expected = got.swapaxes(0, 1), expected.swapaxes(0, 1)
    np.testing.assert_allclose(got[16:80], expected, atol=1)
    assert (got[:16] == (10, 20, 30)).all() and (got[80:] == (10, 20, 30)).all()


def test_aspect_is_a_resize_to_the_shape_of_the_image():
    expected = PHOTOGRAPH.resize((320, 224), Image.Resampling.BICUBIC)
    got = preprocess(PHOTOGRAPH, Framing(224, "aspect"))
    np.testing.assert_allclose(got, np.asarray(expected), atol=1)


@pytest.mark.parametrize("name", FRAMINGS)
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3000, 2)])
def test_images_of_extreme_shapes(name, size):
    framing = Framing(32, name, (9, 8, 7))
    pixels, _ = as_images([Image.new("RGB", size, (9, 8, 7))]).network_input(0, framing)
    assert (pixels == (9, 8, 7)).all()
    assert pixels.shape[:2] == framing.view(*size).input_size[::-1]
