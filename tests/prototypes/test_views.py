"""Maps of mirror images, cell by cell those of the images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageOps

from skdpnet import FeatureMaps
from skdpnet.exceptions import ImageError
from skdpnet.images.collection import as_images
from skdpnet.prototypes.views import flip_columns, mirrored_maps


class Edges(torch.nn.Module):
    """Brightness, and its rise from left to right, of patches of 16×16 pixels."""

    def forward(self, x):
        halves = torch.nn.functional.avg_pool2d(x.mean(dim=1, keepdim=True), (16, 8))
        left, right = halves[..., ::2], halves[..., 1::2]
        return torch.cat([left + right, right - left], dim=1)


def photographs(tmp_path):
    """A PIL image, an array, a tensor, and a file that is stored turned."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    images = [Image.fromarray(pixels).resize((96, 64)) for pixels in coarse]
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    images[3].save(path, exif=exif)
    given = [
        images[0],
        np.asarray(images[1]),
        torch.from_numpy(np.array(images[2])).permute(2, 0, 1),
        str(path),
    ]
    upright = [*images[:3], ImageOps.exif_transpose(Image.open(path))]
    return given, upright


@pytest.mark.parametrize("framing", ["crop", "squash", "pad", "aspect"])
def test_they_are_the_maps_of_mirror_images_with_their_columns_reversed(
    framing, tmp_path
):
    given, upright = photographs(tmp_path)
    network = Edges()
    extractor = FeatureMaps(network, image_size=64, framing=framing)
    seen = extractor.input_framing()
    (found,) = mirrored_maps(extractor, as_images(given), seen)
    mirrored = [ImageOps.mirror(image) for image in upright]
    expected = extractor.transform(mirrored)
    # The portrait lies an odd number of pixels from the sides of its padding, and one
    # pixel more on the right.
    rows = upright[:3] if framing == "pad" else upright
    for row, image in enumerate(rows):
        share = seen.view(*image.size).input_share[0]
        covered = round(share * expected.shape[2])
        assert_allclose(
            found[row, :, :covered], expected[row, :, :covered][:, ::-1], atol=0.02
        )
        assert (found[row, :, covered:] == expected[row, :, covered:]).all()


def test_cells_show_the_same_place_in_a_mirror(tmp_path):
    given, _ = photographs(tmp_path)
    extractor = FeatureMaps(Edges(), image_size=64, framing="crop")
    (found,) = mirrored_maps(extractor, as_images(given), extractor.input_framing())
    own = extractor.transform(given)
    assert_allclose(found[..., 0], own[..., 0], atol=0.02)  # as bright
    assert_allclose(found[..., 1], -own[..., 1], atol=0.02)  # falling where it rose


def test_they_are_cached(tmp_path):
    given, _ = photographs(tmp_path)
    calls = []

    class Counting(Edges):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    extractor = FeatureMaps(
        Counting(), image_size=64, framing="crop", memory=tmp_path / "maps"
    )
    seen = extractor.input_framing()
    first = mirrored_maps(extractor, as_images(given), seen)
    n_calls = len(calls)
    again = mirrored_maps(extractor, as_images(given), seen)
    assert_array_equal(first[0], again[0])
    assert len(calls) == n_calls or sum(calls[n_calls:]) <= 2  # a probe of the network


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    extractor = FeatureMaps(Edges(), image_size=64, framing="crop")
    images = as_images([np.zeros((64, 64, 3), np.uint8), "missing.png"])
    with pytest.raises(ImageError, match="item 1 .'missing.png'"):
        mirrored_maps(extractor, images, extractor.input_framing())


def test_only_covered_columns_are_reversed():
    maps = np.arange(12.0).reshape(2, 1, 6, 1)
    flipped = flip_columns(maps, [0.5, 1.0])
    assert flipped[0, 0, :, 0].tolist() == [2, 1, 0, 3, 4, 5]
    assert flipped[1, 0, :, 0].tolist() == [11, 10, 9, 8, 7, 6]
    assert maps[0, 0, 0, 0] == 0  # a copy was changed
