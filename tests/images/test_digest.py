"""Digests of images follow their formula, and differ between files and pixels."""

import hashlib

import numpy as np
from PIL import Image

from skdpnet.images.digest import digest_of_file, digest_of_pixels


def blake2(content: bytes, person: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16, person=person).hexdigest()


def test_a_file_cannot_be_forged_to_have_the_digest_of_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3), dtype=np.uint8)
    content = b"3x2:" + pixels.tobytes()
    of_pixels = digest_of_pixels(Image.fromarray(pixels))
    assert of_pixels == blake2(content, b"skdpnet pixels")
    assert digest_of_file(content) == blake2(content, b"skdpnet file") != of_pixels


def test_the_shape_of_the_pixels_counts():
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    digests = {
        digest_of_pixels(Image.fromarray(pixels.reshape(shape)))
        for shape in [(2, 3, 3), (3, 2, 3), (1, 6, 3)]
    }
    assert len(digests) == 3
