"""Regions of mirror images, one by one those of the images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageOps

from skdpnet import FeatureMaps
from skdpnet.exceptions import ImageError
from skdpnet.images.collection import as_images
from skdpnet.prototypes.views import covered_shares, flip_columns, mirrored_regions
from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import Whitening

CPU = torch.device("cpu")


class Edges(torch.nn.Module):
    """Brightness, and its rise from left to right, of patches of 16×16 pixels."""

    def forward(self, x):
        halves = torch.nn.functional.avg_pool2d(x.mean(dim=1, keepdim=True), (16, 8))
        left, right = halves[..., ::2], halves[..., 1::2]
        return torch.cat([left + right, right - left], dim=1)


class Counting(Edges):
    """It counts the images that go through it."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x):
        self.calls.append(len(x))
        return super().forward(x)


def photographs(tmp_path):
    """A PIL image, an array, a tensor, and a file that is stored turned."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (4, 4, 4, 3), dtype=np.uint8)
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


def cells_of_mirrors(extractor, given):
    """Return unit cells (n, H, W, 2) of mirror images, each cell a region."""
    height, width, depth = extractor.transform(given).shape[1:]
    whitening = Whitening(np.zeros(depth, np.float32), np.eye(depth, dtype=np.float32))
    grid = RegionGrid(height, width, ((1, 1),))
    images = as_images(given)
    (found,) = mirrored_regions(extractor, images, [True], [whitening], [grid], CPU)
    return found.reshape(len(given), height, width, depth)


def unit(maps):
    norms = np.linalg.norm(maps.astype(np.float64), axis=-1, keepdims=True)
    return maps / np.where(norms > 0, norms, 1)


@pytest.mark.parametrize("framing", ["crop", "squash", "pad", "aspect"])
def test_they_are_the_maps_of_mirror_images_with_their_columns_reversed(
    framing, tmp_path
):
    given, upright = photographs(tmp_path)
    extractor = FeatureMaps(Edges(), image_size=64, framing=framing)
    found = cells_of_mirrors(extractor, given)
    # The portrait lies an odd number of pixels from the sides of its padding, and one
    # pixel more on the right: its mirror image is laid there one pixel further.
    rows = upright[:3] if framing == "pad" else upright
    expected = unit(extractor.transform([ImageOps.mirror(image) for image in rows]))
    for image, own, other in zip(rows, found, expected, strict=False):
        # For "aspect" the canvas is 96 pixels wide, and a portrait covers 64.
        covered = 4 if framing != "aspect" or image.width < image.height else 6
        assert_allclose(own[:, :covered], other[:, :covered][:, ::-1], atol=0.02)
        assert not own[:, covered:].any() and not other[:, covered:].any()


def test_regions_show_the_same_place_in_a_mirror(tmp_path):
    given, _ = photographs(tmp_path)
    extractor = FeatureMaps(Edges(), image_size=64, framing="aspect")
    found, own = cells_of_mirrors(extractor, given), unit(extractor.transform(given))
    assert_allclose(found[..., 0], own[..., 0], atol=0.02)  # as bright
    assert_allclose(found[..., 1], -own[..., 1], atol=0.02)  # falling where it rose


def test_they_are_cached_apart_from_the_images(tmp_path):
    given, _ = photographs(tmp_path)
    params = {"image_size": 64, "framing": "crop", "memory": tmp_path / "maps"}
    extractor = FeatureMaps(Counting(), **params)
    extractor.transform(given)
    first = cells_of_mirrors(extractor, given)
    plain = cells_of_mirrors(FeatureMaps(Edges(), image_size=64, framing="crop"), given)
    assert_allclose(first, plain, atol=1e-6)
    before = sum(extractor.backbone.calls)
    assert_array_equal(cells_of_mirrors(extractor, given), first)
    # Only the probes of the network that each call makes of one synthetic image.
    assert sum(extractor.backbone.calls) - before <= 2


def test_an_image_that_cannot_be_read_any_more_is_named(tmp_path):
    path = tmp_path / "gone.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
    images = as_images([np.zeros((64, 64, 3), np.uint8)] * 3 + [path]).take([0, 3])
    path.unlink()
    extractor = FeatureMaps(Edges(), image_size=64, framing="crop")
    with pytest.raises(ImageError, match="item 3 .*gone.png"):
        mirrored_regions(extractor, images, [True], [], [], CPU)


def test_maps_without_parts_are_left_out():
    class WithAverage(Edges):
        def forward(self, x):
            cells = super().forward(x)
            return cells.mean(dim=(2, 3), keepdim=True), cells

    X = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    extractor = FeatureMaps(WithAverage(), image_size=64, framing="crop")
    whitening = Whitening(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))
    grid = RegionGrid(4, 4, ((2, 2),))
    found = mirrored_regions(
        extractor, as_images(X), [False, True], [whitening], [grid], CPU
    )
    assert [regions.shape for regions in found] == [(3, 9, 2)]


def test_images_cover_the_shares_that_their_shapes_say():
    shapes = [(64, 64), (64, 96), (96, 64)]
    images = as_images([np.zeros((*shape, 3), np.uint8) for shape in shapes])
    extractor = FeatureMaps(Edges(), image_size=64, framing="aspect")
    shares = covered_shares(images, extractor.input_framing())
    assert_allclose(shares, [2 / 3, 1, 2 / 3])


def test_only_covered_columns_are_reversed():
    maps = torch.arange(24.0).reshape(2, 2, 6, 1)
    flipped = flip_columns(maps, np.array([0.5, 1.0]))
    assert flipped[0, 0, :, 0].tolist() == [2, 1, 0, 3, 4, 5]
    assert flipped[0, 1, :, 0].tolist() == [8, 7, 6, 9, 10, 11]
    assert flipped[1, 0, :, 0].tolist() == [17, 16, 15, 14, 13, 12]
    assert maps[0, 0, 0, 0] == 0  # a copy was changed
