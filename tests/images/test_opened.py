"""Opened PIL images are read like their files, and do not stay decoded."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageOps

from skdpnet.images.collection import as_images
from skdpnet.images.framing import Framing
from skdpnet.images.opened import is_undecoded

SQUARE = Framing(8, "squash")
FORMATS = {
    "jpg": {"quality": 95},
    "png": {},
    "webp": {"lossless": True},
    "tif": {"compression": "tiff_lzw"},
    "gif": {},
    "ppm": {},
    "bmp": {},
    "avif": {},
}


def turned(side=64, orientation=6):
    """An image whose EXIF data say that it lies on its side."""
    rows, columns = np.mgrid[:side, : 2 * side]
    image = Image.fromarray(np.stack([rows, columns, rows], -1).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return image, exif


@pytest.fixture(params=FORMATS)
def path(request, tmp_path):
    image, exif = turned()
    path = tmp_path / f"a.{request.param}"
    options = dict(FORMATS[request.param])
    if request.param in ("jpg", "png", "webp", "tif"):
        options["exif"] = exif
    try:
        image.save(path, **options)
    except (OSError, KeyError, ValueError) as error:
        pytest.skip(f"this Pillow does not write it: {error}")
    return path


def uses(images):
    return [
        images.check,
        lambda: images.load(0),
        lambda: images.content_key(0),
        lambda: images.network_input(0, SQUARE, keyed=True),
        lambda: images.geometry(0),
    ]


def test_an_opened_image_is_its_file_and_stays_undecoded(path):
    of_path = as_images([path])
    with Image.open(path) as opened:
        of_image = as_images([opened])
        for from_path, from_image in zip(uses(of_path), uses(of_image), strict=True):
            expected, found = from_path(), from_image()
            assert is_undecoded(opened)
            if isinstance(expected, Image.Image):
                np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
            elif isinstance(expected, tuple):
                np.testing.assert_array_equal(found[0], expected[0])
                assert found[1] == expected[1]
        size = of_image.geometry(0).upright_size
        # Its position in the file is kept, so that the user can decode it later.
        pixels = np.asarray(opened)
        assert not is_undecoded(opened)
        assert pixels.shape[:2] in (size, size[::-1])
        expected = np.asarray(of_path.load(0))
        np.testing.assert_array_equal(np.asarray(of_image.load(0)), expected)


def opened_from_bytes(**options):
    image, exif = turned()
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, exif=exif, **options)
    return Image.open(file)


def drafted(image):
    image.draft("L", (32, 16))
    return image


def turned_by_hand(image):
    image.getexif()[0x0112] = 1
    return image


@pytest.mark.parametrize(
    "change, size, grey",
    [
        (lambda image: image, (64, 128), False),
        (drafted, (16, 32), True),
        (turned_by_hand, (128, 64), False),
        (ImageOps.exif_transpose, (64, 128), False),
    ],
)
def test_what_the_user_changed_counts(change, size, grey):
    images = as_images([change(opened_from_bytes())])
    assert images.geometry(0).upright_size == size
    loaded = images.load(0)
    assert loaded.size == size
    red, green, _ = np.moveaxis(np.asarray(loaded).astype(int), -1, 0)
    assert (red == green).all() == grey
    images.network_input(0, SQUARE)


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_the_frame_that_the_user_chose(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / f"a.{suffix}") as opened:
        opened.seek(1)
        pixels = np.asarray(as_images([opened]).load(0))
    np.testing.assert_allclose(pixels[0, 0], (0, 0, 255), atol=3)


def test_threads_may_read_one_opened_image():
    image = opened_from_bytes()
    images = as_images([image] * 40)
    expected = np.asarray(as_images([opened_from_bytes()]).load(0))
    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(images.load, range(40)):
            np.testing.assert_array_equal(np.asarray(pixels), expected)
    assert is_undecoded(image)
