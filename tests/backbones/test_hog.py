"""HOG: the channels of a plain formula, pixel by pixel, as a backbone."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

import skdpnet
from skdpnet import DPNetClassifier, FeatureMaps, GlobalFeatures, SoftAssignParts
from skdpnet.backbones import HOG
from skdpnet.backbones.dense_sift import IMAGENET_MEAN, IMAGENET_STD
from skdpnet.backbones.fingerprint import fingerprint
from skdpnet.backbones.loading import load_backbone
from tests.probes import n_real_images

CPU = torch.device("cpu")


def normalised(images: np.ndarray) -> torch.Tensor:
    """Bring uint8 images (N, S, S', 3) to what a module gets."""
    x = (images / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    return torch.tensor(x, dtype=torch.float32).permute(0, 3, 1, 2)


def cells_of(*images: np.ndarray, cell_size: int = 8) -> np.ndarray:
    """Cells (N, H, W, 31) of images."""
    maps = HOG(cell_size=cell_size)(normalised(np.stack(images)))
    return maps.permute(0, 2, 3, 1).numpy()


def random_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_loops(image: np.ndarray, cell_size: int) -> np.ndarray:
    """HOG of an image (S, S', 3), in whole numbers up to the histograms."""
    height, width = image.shape[:2]
    n_rows, n_columns = height // cell_size, width // cell_size
    values = np.pad(image.astype(int), ((1, 1), (1, 1), (0, 0)), mode="edge")
    histograms = np.zeros((n_rows, n_columns, 18))
    for y, x in itertools.product(range(height), range(width)):
        down = values[y + 2, x + 1] - values[y, x + 1]
        across = values[y + 1, x + 2] - values[y + 1, x]
        strength = down**2 + across**2
        colour = int(strength.argmax())
        # Gradients straight up or down are midway between two directions.
        if across[colour] == 0:
            bins = [4, 5] if down[colour] > 0 else [13, 14]
        else:
            angle = math.degrees(math.atan2(down[colour], across[colour]))
            bins = [round(angle / 20) % 18]
        v = (y + 0.5) * n_rows / height - 0.5
        u = (x + 0.5) * n_columns / width - 0.5
        for row in (math.floor(v), math.floor(v) + 1):
            for column in (math.floor(u), math.floor(u) + 1):
                if 0 <= row < n_rows and 0 <= column < n_columns:
                    near = (1 - abs(v - row)) * (1 - abs(u - column))
                    share = near * math.sqrt(strength[colour]) / len(bins)
                    histograms[row, column, bins] += share
    both = histograms[..., :9] + histograms[..., 9:]
    energy = np.pad((both**2).sum(2), 1, mode="edge")
    out = np.zeros((n_rows, n_columns, 31))
    for row, column in itertools.product(range(n_rows), range(n_columns)):
        # Lower right, upper right, lower left, upper left.
        for block, (i, j) in enumerate([(1, 1), (0, 1), (1, 0), (0, 0)]):
            total = energy[row + i : row + i + 2, column + j : column + j + 2].sum()
            norm = math.sqrt(total + 1e-4)
            signed = np.minimum(histograms[row, column] / norm, 0.2)
            out[row, column, :18] += 0.5 * signed
            out[row, column, 18:27] += 0.5 * np.minimum(both[row, column] / norm, 0.2)
            out[row, column, 27 + block] = 0.2357 * signed.sum()
    return out


@pytest.mark.parametrize(
    ("height", "width", "cell_size"),
    [(32, 32, 8), (24, 40, 8), (29, 37, 8), (20, 18, 5)],
)
def test_cells_are_those_of_the_formula_up_to_the_edges(height, width, cell_size):
    image = random_image(height, width)
    (got,) = cells_of(image, cell_size=cell_size)
    assert got.shape == (height // cell_size, width // cell_size, 31)
    np.testing.assert_allclose(got, by_loops(image, cell_size), atol=2e-4)


def test_smooth_colours_are_those_of_the_formula():
    # Few of its entries reach the clip, and many gradients are straight.
    y, x = np.mgrid[:32, :40]
    image = np.stack([x * x // 7, 4 * y, (x * y) // 5], axis=2).astype(np.uint8)
    (got,) = cells_of(image)
    np.testing.assert_allclose(got, by_loops(image, 8), atol=2e-4)
    assert (got[..., :18] < 0.39).any() and (got > 0.39).any()


@pytest.mark.parametrize(
    ("flip", "direction", "blocks"),
    [
        (np.s_[:, ::-1], lambda k: (9 - k) % 18, [2, 3, 0, 1]),
        (np.s_[::-1, :], lambda k: -k % 18, [1, 0, 3, 2]),
    ],
)
@pytest.mark.parametrize("size", [(32, 48), (27, 35)])
def test_a_mirrored_image_has_mirrored_cells(flip, direction, blocks, size):
    # Grey values of few levels have many gradients straight up, down and across.
    image = random_image(*size) // 64 * 64
    here, there = cells_of(image, image[flip])
    signed = direction(np.arange(18))
    unsigned = 18 + direction(np.arange(9)) % 9
    order = [*signed, *unsigned, *(27 + np.array(blocks))]
    np.testing.assert_allclose(there, here[flip][..., order], atol=1e-5)


@pytest.mark.parametrize(
    ("angle", "direction"),
    [(0, 0), (40, 2), (140, 7), (180, 9), (200, 10), (340, 17)],
)
def test_a_step_edge_fills_the_channels_of_its_direction(angle, direction):
    y, x = np.mgrid[:48, :48] - 23.5
    towards = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    # Steep, but sampled finely enough to have one direction.
    ramp = 255 / (1 + np.exp(-towards))
    image = np.repeat(ramp.astype(np.uint8)[..., None], 3, axis=2)
    (got,) = cells_of(image)
    signed, unsigned = got[2:4, 2:4, :18].sum((0, 1)), got[2:4, 2:4, 18:27].sum((0, 1))
    assert signed.argmax() == direction
    assert signed[direction] > 0.6 * signed.sum()
    assert unsigned.argmax() == direction % 9
    if angle % 180 == 0:
        assert signed[direction] == signed.sum()


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (12, 130, 77)])
def test_images_of_one_colour_are_zero(colour):
    image = np.full((24, 40, 3), colour, np.uint8)
    assert not cells_of(image).any()
    # Values that are rounded more coarsely are still of one colour.
    assert not HOG()(normalised(image[None]).half()).any()


def test_all_numbers_are_finite_for_any_contrast():
    image = np.zeros((16, 16, 3), np.uint8)
    image[8, 8] = 1
    for x in (normalised(image[None]), 1e4 * normalised(image[None])):
        got = HOG()(x)
        assert torch.isfinite(got).all()
        assert got.any()


def test_the_strongest_colour_counts():
    grey = random_image(32, 32)[..., :1]
    alone = np.concatenate([grey, grey * 0 + 9, grey // 2], axis=2)
    same = np.repeat(grey, 3, axis=2)
    np.testing.assert_allclose(cells_of(alone), cells_of(same), atol=1e-4)


def test_an_image_does_not_depend_on_its_batch():
    images = np.stack([random_image(40, 48, seed) for seed in range(3)])
    together = cells_of(*images)
    for image, of_batch in zip(images, together, strict=True):
        np.testing.assert_allclose(cells_of(image)[0], of_batch, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_arithmetic_stays_in_float32_under_autocast(dtype):
    x = normalised(random_image(32, 32)[None])
    with torch.autocast("cpu", dtype=dtype):
        got = HOG()(x)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, HOG()(x), atol=0, rtol=0)


def test_double_images_are_taken():
    x = normalised(random_image(32, 32)[None])
    torch.testing.assert_close(HOG()(x.double()), HOG()(x), atol=0, rtol=0)


def test_everything_is_computed_on_the_device_of_the_images():
    # Tensors of two devices do not mix; this one computes shapes alone.
    feature_map = HOG()._describe(torch.empty(2, 3, 40, 48, device="meta"))
    assert feature_map.device.type == "meta"
    assert feature_map.shape == (2, 31, 5, 6)


def test_the_maps_of_this_version():
    """Numbers of version 1; if they change, raise `_VERSION`, and renew them."""
    assert HOG().version == 1
    y, x = np.mgrid[:24, :24]
    image = np.stack([(x * y + 3 * x) % 256, 2 * y, 5 * x], axis=2).astype(np.uint8)
    got = cells_of(image)[0, 1, 2, [0, 3, 20, 26, 27, 30]]
    # From `by_loops`.
    expected = [0, 0.36908, 0.4, 0, 0.1505, 0.19434]
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("cell_size", [0, 2.5, "8", None])
def test_cell_sizes_out_of_range(cell_size):
    with pytest.raises(ValueError, match="cell_size must be a whole number"):
        HOG(cell_size=cell_size)


def test_images_without_a_cell():
    maps = FeatureMaps(HOG(cell_size=40), image_size=32)
    with pytest.raises(ValueError, match="32×32 pixels have no cell of cell_size=40"):
        maps.fit_transform([random_image(64, 64)])


# As a backbone.


def test_the_name_stands_for_the_default_settings():
    named = load_backbone("hog", None, CPU)
    assert named.image_size == 224
    assert named.any_shape
    pixels = random_image(224, 224)[None]
    (feature_map,) = named.feature_maps(pixels, CPU, torch.float32)
    assert tuple(feature_map.shape) == (1, 28, 28, 31)
    np.testing.assert_allclose(feature_map[0], cells_of(pixels[0])[0], atol=1e-4)
    assert load_backbone("hog", 64, CPU, (16, 32)).fingerprint == named.fingerprint


def test_settings_and_the_version_change_the_fingerprint(monkeypatch):
    default = fingerprint(HOG())
    assert fingerprint(HOG(cell_size=4)) != default
    monkeypatch.setattr("skdpnet.backbones.hog._VERSION", 2)
    assert fingerprint(HOG()) != default


@pytest.mark.parametrize("backbone", ["hog", HOG(cell_size=4)])
def test_maps_are_kept_in_memory(photographs, tmp_path, monkeypatch, backbone):
    paths = photographs[0][:3]
    computed = []
    forward = HOG.forward

    def count(self, images):
        computed.append(n_real_images(images))
        return forward(self, images)

    monkeypatch.setattr(HOG, "forward", count)
    settings = {"image_size": 48, "memory": tmp_path}
    first = FeatureMaps(backbone, **settings).fit_transform(paths)
    assert sum(computed) == 3
    again = FeatureMaps(backbone, **settings).fit_transform(paths)
    assert sum(computed) == 3
    np.testing.assert_array_equal(first, again)


def test_whole_images_lie_on_a_canvas():
    # Too wide for the canvas's 96 pixels, tall, and square.
    images = [random_image(64, 96), random_image(96, 64), random_image(64, 64)]
    settings = {"image_size": 64, "precision": "float32"}
    maps = FeatureMaps("hog", framing="aspect", **settings).fit_transform(images)
    assert maps.shape == (3, 12, 12, 31)
    for image, on_canvas in zip(images, maps, strict=True):
        (cells,) = cells_of(image)
        height, width = cells.shape[:2]
        np.testing.assert_allclose(on_canvas[:height, :width], cells, atol=1e-4)
        assert not on_canvas[height:].any() and not on_canvas[:, width:].any()
    cropped = FeatureMaps("hog", framing="crop", **settings).fit_transform(images)
    assert cropped.shape == (3, 8, 8, 31)
    np.testing.assert_allclose(cropped[0], cells_of(images[0][:, 16:80])[0], atol=1e-4)


def test_grey_images_are_those_of_three_equal_colours(photographs):
    with Image.open(photographs[0][0]) as image:
        grey = image.convert("L")
    maps = FeatureMaps("hog", image_size=48)
    one, other = maps.fit_transform([grey, grey.convert("RGB")])
    np.testing.assert_array_equal(one, other)


def test_estimators_take_the_maps_and_can_be_saved(photographs, tmp_path):
    paths, y = photographs
    settings = {"image_size": 64}
    pooled = GlobalFeatures("hog", **settings)
    expected = pooled.fit_transform(paths)
    assert expected.shape == (12, 31)
    pooled.save(tmp_path / "pooled.safetensors")
    again = skdpnet.load(tmp_path / "pooled.safetensors")
    np.testing.assert_array_equal(again.transform(paths), expected)

    small = {"n_parts_per_class": 2, "random_state": 0, **settings}
    parts = SoftAssignParts("hog", **small).fit(paths, y)
    assert [shape[2] for shape in parts.map_shapes_] == [31]
    classifier = DPNetClassifier("hog", max_epochs=2, **small).fit(paths, y)
    assert classifier.predict_proba(paths).shape == (12, 2)
