"""Mirrors show the network's input reversed, under keys of their own."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from PIL import Image

from skdpnet.exceptions import ImageError
from skdpnet.images.collection import as_images
from skdpnet.images.framing import FRAMINGS, Framing
from skdpnet.images.mirrors import mirrors_of

RGB = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


def every_kind(folder):
    """Return an image as items of several kinds; the last file is stored turned."""
    image = Image.fromarray(RGB)
    image.save(folder / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    image.save(folder / "turned.png", exif=exif)
    chw = torch.from_numpy(RGB.transpose(2, 0, 1).copy())
    return [image, RGB, RGB / 255, chw, str(folder / "a.png"), folder / "turned.png"]


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("name", FRAMINGS)
def test_the_input_is_that_of_the_image_reversed(name, keyed, tmp_path):
    images = as_images(every_kind(tmp_path))
    framing = Framing(32, name)
    for i in range(len(images)):
        own, _ = images.network_input(i, framing)
        seen, key = mirrors_of(images).network_input(i, framing, keyed=keyed)
        assert_array_equal(seen, np.fliplr(own))
        assert key == (mirrors_of(images).content_key(i) if keyed else "")


def test_an_array_that_is_the_input_already_is_not_changed():
    square = RGB[:, :48].copy()
    seen, _ = mirrors_of(as_images([square])).network_input(0, Framing(48, "crop"))
    assert_array_equal(seen, square[:, ::-1])
    assert_array_equal(square, RGB[:, :48])


def test_keys_are_digests_of_the_keys_of_images(tmp_path):
    images = as_images(every_kind(tmp_path))
    for i in range(len(images)):
        own, mirrored = images.content_key(i), mirrors_of(images).content_key(i)
        hashed = hashlib.blake2b(own.encode(), digest_size=16, person=b"skdpnet mirror")
        assert mirrored == hashed.hexdigest() != own


def test_a_key_needs_no_decoding(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    path.write_bytes(path.read_bytes()[:-200])  # cannot be decoded any more
    assert len(mirrors_of(as_images([path])).content_key(0)) == 32


def test_errors_name_the_image_by_its_number_in_the_list():
    images = as_images([RGB, RGB, "missing.png"]).take([1, 2])
    mirrors = mirrors_of(images).take([1])
    for read in (
        lambda: mirrors.content_key(0),
        lambda: mirrors.network_input(0, Framing(32, "crop")),
    ):
        with pytest.raises(ImageError, match=r"item 2 \('missing.png'\)") as caught:
            read()
        assert caught.value.index == 2
