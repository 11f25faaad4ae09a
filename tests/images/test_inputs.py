"""The arrays that other programs pass to a network."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from skdpnet.images import ImageError, network_inputs
from skdpnet.images.framing import Framing


def test_an_image_of_the_inputs_size_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(256, size=(64, 96, 3), dtype=np.uint8)
    (array,) = network_inputs([pixels], Framing(64, "aspect"))
    assert array.dtype == np.float32 and array.shape == (3, 64, 96)
    for channel in range(3):
        np.testing.assert_array_equal(
            np.rint(array[channel] * 255), pixels[:, :, channel]
        )
    assert 0 <= array.min() and array.max() <= 1


def test_files_are_framed_as_pillow_would(photographs):
    paths = photographs[0][:2]
    for path, array in zip(
        paths, network_inputs(paths, Framing(64, "squash")), strict=True
    ):
        with Image.open(path) as image:
            small = image.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
        difference = np.rint(255 * array).transpose(1, 2, 0) - np.asarray(small, float)
        assert abs(difference).max() <= 1


def test_bad_images_are_named(tmp_path):
    path = tmp_path / "empty.png"
    path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"empty\.png"):
        network_inputs([str(path)], Framing(64, "crop"))
