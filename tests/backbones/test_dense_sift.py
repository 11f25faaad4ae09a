"""Dense SIFT: the descriptors of OpenCV and of a plain formula, as a backbone."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from skdpnet import FeatureMaps, GlobalFeatures, SoftAssignParts, best_regions
from skdpnet.backbones import DenseSIFT
from skdpnet.backbones.dense_sift import IMAGENET_MEAN, IMAGENET_STD
from skdpnet.backbones.fingerprint import fingerprint
from skdpnet.backbones.loading import load_backbone
from skdpnet.features.map_arrays import separate
from tests.probes import n_real_images

CPU = torch.device("cpu")


def photograph(side: int, name: str = "chelsea") -> np.ndarray:
    image = Image.fromarray(getattr(skimage.data, name)())
    return np.array(image.resize((side, side)))


def normalised(images: np.ndarray) -> torch.Tensor:
    """Bring uint8 images (N, S, S) or (N, S, S, 3) to what a module gets."""
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=3)
    x = (images / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    return torch.tensor(x, dtype=torch.float32).permute(0, 3, 1, 2)


def descriptors(sift: DenseSIFT, *images: np.ndarray) -> np.ndarray:
    """Descriptors (N, H, W, 128) of the only bin size."""
    (feature_map,) = sift(normalised(np.stack(images)))
    return feature_map.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut"])
@pytest.mark.parametrize("bin_size", [6, 8, 12])
@pytest.mark.parametrize(
    ("window", "mean", "low"), [("gaussian", 0.999, 0.995), ("flat", 0.997, 0.99)]
)
def test_descriptors_are_those_of_opencv(name, bin_size, window, mean, low):
    # OpenCV blurs by the first scale of its pyramid, and rounds keypoints to pixels,
    # where the centres of cells are for an odd step.
    blur, step = math.sqrt(1.6**2 - 0.5**2), 7
    grey = np.array(Image.fromarray(photograph(224, name)).convert("L"))
    sift = DenseSIFT(
        bin_sizes=[bin_size], step=step, magnification=bin_size / blur, root=False,
        window=window,
    )  # fmt: skip
    (ours,) = descriptors(sift, grey)
    centres = np.arange(len(ours)) * step + step // 2
    # It leaves out what is beyond the edges.
    reach = math.ceil(2.5 * bin_size) + 1
    inside = (centres >= reach) & (centres < 224 - reach)
    keypoints = [
        cv2.KeyPoint(float(x), float(y), 2 * bin_size / 3, 0, 0, 0)
        for y, x in itertools.product(centres[inside], centres[inside])
    ]
    _, theirs = cv2.SIFT_create().compute(grey, keypoints)
    # Its directions turn the other way.
    theirs = theirs.reshape(-1, 16, 8)[:, :, -np.arange(8) % 8].reshape(-1, 128)
    ours = ours[np.ix_(inside, inside)].reshape(-1, 128)
    clear = np.linalg.norm(ours, axis=1) > 0
    assert clear.mean() > 0.7
    ours, theirs = ours[clear], theirs[clear]
    cosines = (ours * theirs).sum(1) / np.linalg.norm(theirs, axis=1)
    assert cosines.mean() > mean
    assert np.quantile(cosines, 0.01) > low


def bin_means() -> np.ndarray:
    """Means of a Gaussian of 2 bins over each of 4 bins, from 1 below to 1 above."""
    places = np.array([-1.5, -0.5, 0.5, 1.5])[:, None] + np.linspace(-1, 1, 20001)
    return np.exp(-(places**2) / (2 * 2**2)).mean(axis=1)


def by_loops(grey, centre, bin_size, sigma, root, window="gaussian"):
    """SIFT descriptor around a point (row, column), and the contrast there."""
    means = bin_means()
    margin = 60
    radius = math.ceil(4 * sigma)
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    image = np.pad(grey, margin, mode="edge")
    for axis in (0, 1):
        image = np.apply_along_axis(np.convolve, axis, image, kernel, mode="same")
    down, across = np.gradient(image)
    histogram, total = np.zeros((4, 4, 8)), 0.0
    for y, x in itertools.product(range(1 - margin, len(grey) + margin - 1), repeat=2):
        v, u = (y - centre[0]) / bin_size, (x - centre[1]) / bin_size
        if max(abs(v), abs(u)) >= 2.5:
            continue
        gaussian = math.exp(-(v**2 + u**2) / (2 * 2**2))
        gy, gx = down[y + margin, x + margin], across[y + margin, x + margin]
        position = math.atan2(gy, gx) / (2 * math.pi) * 8
        for i, j in itertools.product(range(4), repeat=2):
            near = max(0, 1 - abs(v - i + 1.5)) * max(0, 1 - abs(u - j + 1.5))
            near *= gaussian if window == "gaussian" else means[i] * means[j]
            total += near
            for k in range(math.floor(position), math.floor(position) + 2):
                share = (1 - abs(position - k)) * near
                histogram[i, j, k % 8] += share * math.hypot(gy, gx)
    descriptor = histogram.ravel()
    contrast = descriptor.sum() / total
    descriptor = np.minimum(descriptor / np.linalg.norm(descriptor), 0.2)
    descriptor /= np.linalg.norm(descriptor)
    return (np.sqrt(descriptor / descriptor.sum()) if root else descriptor), contrast


@pytest.mark.parametrize("window", ["gaussian", "flat"])
@pytest.mark.parametrize(
    ("side", "step", "bin_size", "root"),
    # 46 is no multiple of the step, so that cells are a little wider than it. The bins
    # of neighbours coincide for sizes 4 and 6 with a step of 4.
    [(46, 4, 5.5, True), (46, 5, 5.5, False), (46, 7, 5.5, True),
     (40, 4, 4, False), (40, 4, 6, True)],
)  # fmt: skip
def test_descriptors_are_those_of_the_formula_up_to_the_edges(
    side, step, bin_size, root, window
):
    grey = photograph(side)[:, :, 1]
    sift = DenseSIFT(
        bin_sizes=[bin_size], step=step, magnification=4, root=root,
        contrast_threshold=0, window=window,
    )  # fmt: skip
    (got,) = descriptors(sift, grey)
    n_cells = side // step
    assert got.shape == (n_cells, n_cells, 128)
    for row, column in [(0, 0), (0, 3), (n_cells - 1, 1), (4, n_cells - 1), (3, 4)]:
        centre = (np.array([row, column]) + 0.5) * side / n_cells - 0.5
        expected, _ = by_loops(grey / 255, centre, bin_size, bin_size / 4, root, window)
        # The root turns what rounding leaves of 0 into a little more.
        tolerance = 5e-4 if root else 2e-5
        np.testing.assert_allclose(got[row, column], expected, atol=tolerance)


@pytest.mark.parametrize("window", ["gaussian", "flat"])
def test_descriptors_below_the_threshold_of_contrast_are_zero(window):
    grey = photograph(32)[:, :, 1]
    settings = {"bin_sizes": [4], "window": window}
    (every,) = descriptors(DenseSIFT(contrast_threshold=0, **settings), grey)
    contrasts = {}
    for row, column in [(1, 1), (4, 6), (6, 2)]:
        centre = (np.array([row, column]) + 0.5) * 4 - 0.5
        of_cell = by_loops(grey / 255, centre, 4, 4 / 6, True, window)
        contrasts[row, column] = of_cell[1]
    for cell, contrast in contrasts.items():
        below = DenseSIFT(contrast_threshold=0.99 * contrast, **settings)
        above = DenseSIFT(contrast_threshold=1.01 * contrast, **settings)
        np.testing.assert_array_equal(descriptors(below, grey)[0][cell], every[cell])
        assert not descriptors(above, grey)[0][cell].any()


def test_root_sift_has_unit_length_and_hellinger_distances():
    grey = photograph(64)[:, :, 1]
    (plain,) = descriptors(DenseSIFT(bin_sizes=[8], root=False), grey)
    (root,) = descriptors(DenseSIFT(bin_sizes=[8]), grey)
    np.testing.assert_allclose(np.linalg.norm(plain, axis=2), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(root, axis=2), 1, atol=1e-6)
    np.testing.assert_allclose(
        root, np.sqrt(plain / plain.sum(2, keepdims=True)), atol=1e-6
    )


@pytest.mark.parametrize(
    ("flip", "bins"),
    [
        (np.s_[:, ::-1], lambda d: d[:, ::-1, :, ::-1][..., (4 - np.arange(8)) % 8]),
        (np.s_[::-1, :], lambda d: d[::-1, :, ::-1, :][..., -np.arange(8) % 8]),
    ],
)
def test_a_mirrored_image_has_mirrored_descriptors(flip, bins):
    grey = photograph(66)[:, :, 1]
    here, there = descriptors(DenseSIFT(bin_sizes=[6], root=False), grey, grey[flip])
    mirrored = bins(here.reshape(16, 16, 4, 4, 8)).reshape(16, 16, 128)
    np.testing.assert_allclose(there, mirrored, atol=1e-5)


def test_brightness_and_contrast_do_not_change_descriptors():
    # Values that stay whole numbers, so that nothing is rounded.
    grey = photograph(64)[:, :, 1] // 4 * 2
    sift = DenseSIFT(bin_sizes=[6], root=False, contrast_threshold=0)
    here, brighter, half = descriptors(sift, grey, grey + 90, grey // 2)
    np.testing.assert_allclose(brighter, here, atol=1e-5)
    np.testing.assert_allclose(half, here, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "direction"),
    [
        (np.tile(np.arange(48) >= 24, (48, 1)), 0),
        (np.tile(np.arange(48)[:, None] >= 24, 48), 2),
        (np.tile(np.arange(48) < 24, (48, 1)), 4),
        (np.tile(np.arange(48)[:, None] < 24, 48), 6),
        (np.add.outer(np.arange(48), np.arange(48)) >= 48, 1),
    ],
)
def test_an_edge_fills_the_bins_of_its_direction(image, direction):
    (got,) = descriptors(DenseSIFT(bin_sizes=[4]), (255 * image).astype(np.uint8))
    of_directions = got[5, 5].reshape(16, 8).sum(0)
    assert of_directions.argmax() == direction
    assert of_directions[direction] > 0.95 * of_directions.sum()


@pytest.mark.parametrize("window", ["gaussian", "flat"])
@pytest.mark.parametrize("threshold", [0, 0.005])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_images_of_one_colour_have_no_descriptors(value, threshold, window):
    sift = DenseSIFT(window=window, contrast_threshold=threshold)
    maps = sift(normalised(np.full((2, 32, 32), value, np.uint8)))
    assert len(maps) == 4
    assert all(torch.isfinite(feature_map).all() for feature_map in maps)
    if threshold == 0:
        return
    assert not any(feature_map.any() for feature_map in maps)


def test_colour_counts_by_its_luma():
    colour = photograph(48, "coffee")
    luma = colour @ np.array([0.299, 0.587, 0.114])
    x = normalised(colour[None])
    # Not rounded to whole grey values.
    mean, std = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
    grey = torch.tensor((luma[..., None] / 255 - mean) / std, dtype=torch.float32)
    for one, other in zip(
        DenseSIFT()(x), DenseSIFT()(grey.permute(2, 0, 1)[None]), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_an_image_does_not_depend_on_its_batch():
    images = np.stack([photograph(48, n)[:, :, 0] for n in ("chelsea", "coffee")])
    together = DenseSIFT()(normalised(images))
    for i, image in enumerate(images):
        alone = DenseSIFT()(normalised(image[None]))
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], other[i], atol=1e-6, rtol=0)


@pytest.mark.parametrize("bin_size", [4.0, 5.5, 6.0, 8.0, 10.0])
def test_flat_windows_are_close_to_the_gaussian(bin_size):
    grey = photograph(128)[:, :, 1]
    settings = {"bin_sizes": [bin_size], "root": False}
    exact, flat = (
        descriptors(DenseSIFT(window=window, **settings), grey)[0]
        for window in ("gaussian", "flat")
    )
    assert (exact * flat).sum(2)[exact.any(2)].mean() > 0.997


@pytest.mark.parametrize("window", ["gaussian", "flat"])
def test_everything_is_computed_on_the_device_of_the_images(window):
    # Tensors of two devices do not mix; this one computes shapes alone.
    sift = DenseSIFT(window=window)
    feature_map = sift._describe(torch.empty(2, 40, 48, device="meta"), 6.0)
    assert feature_map.device.type == "meta"
    assert feature_map.shape == (2, 128, 10, 12)


def test_the_maps_of_this_version():
    """Numbers of version 1; if they change, raise `_VERSION`, and renew them."""
    sift = DenseSIFT(bin_sizes=[4, 8], step=8)
    assert sift.version == 1
    y, x = np.mgrid[:24, :24]
    image = ((x * y + 3 * x) % 256).astype(np.uint8)
    got = [m[0, [0, 37, 81, 127], 1, 2].numpy() for m in sift(normalised(image[None]))]
    expected = [
        [0.00332, 0.05835, 0.20087, 0.01386],
        [0.06195, 0.02063, 0.17042, 0.00104],
    ]
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bin_sizes": ()}, "bin_sizes must be a sequence of numbers of at least 1"),
        ({"bin_sizes": (4, 0.5)}, "bin_sizes must be"),
        ({"bin_sizes": 4}, "bin_sizes must be"),
        ({"step": 0}, "step must be a whole number of at least 1, got 0"),
        ({"step": 2.5}, "step must be"),
        ({"magnification": 0}, "magnification must be a number above 0"),
        ({"contrast_threshold": float("nan")}, "contrast_threshold must be"),
        ({"window": "box"}, r"window must be one of \('gaussian', 'flat'\)"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        DenseSIFT(**settings)


def test_images_without_a_cell():
    maps = FeatureMaps(DenseSIFT(step=40), image_size=32)
    with pytest.raises(ValueError, match="32×32 pixels have no cell of step=40"):
        maps.fit_transform([photograph(64)])


# As a backbone.


def test_the_name_stands_for_the_default_settings():
    named = load_backbone("dense_sift", None, CPU)
    assert named.image_size == 224
    pixels = photograph(224)[None]
    maps = named.feature_maps(pixels, CPU, torch.float32)
    assert [tuple(m.shape) for m in maps] == [(1, 56, 56, 128)] * 4
    module = load_backbone(DenseSIFT(), None, CPU)
    for one, other in zip(
        maps, module.feature_maps(pixels, CPU, torch.float32), strict=True
    ):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
    strides = load_backbone("dense_sift", 64, CPU, (16, 32))
    assert strides.fingerprint == named.fingerprint


@pytest.mark.parametrize("compute", [torch.float16, torch.bfloat16])
def test_arithmetic_stays_in_float32(compute):
    named = load_backbone("dense_sift", 64, CPU)
    pixels = photograph(64)[None]
    exact = named.feature_maps(pixels, CPU, torch.float32)
    for one, other in zip(named.feature_maps(pixels, CPU, compute), exact, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)
    kept = named.feature_maps(pixels, CPU, compute, torch.float16)
    for one, other in zip(kept, exact, strict=True):
        torch.testing.assert_close(one.float(), other, atol=1e-3, rtol=0)


def test_settings_and_the_version_change_the_fingerprint(monkeypatch):
    prints = {
        fingerprint(DenseSIFT(**settings))
        for settings in (
            *({}, {"bin_sizes": (4, 6)}, {"step": 8}, {"magnification": 3}),
            *({"root": False}, {"contrast_threshold": 0.01}, {"window": "flat"}),
        )
    }
    assert len(prints) == 7
    assert fingerprint(DenseSIFT()) in prints
    monkeypatch.setattr("skdpnet.backbones.dense_sift._VERSION", 2)
    assert fingerprint(DenseSIFT()) not in prints


@pytest.mark.parametrize("backbone", ["dense_sift", DenseSIFT(bin_sizes=[4], step=8)])
def test_maps_are_kept_in_memory(photographs, tmp_path, monkeypatch, backbone):
    paths = photographs[0][:3]
    computed = []
    forward = DenseSIFT.forward

    def count(self, images):
        computed.append(n_real_images(images))
        return forward(self, images)

    monkeypatch.setattr(DenseSIFT, "forward", count)
    settings = {"image_size": 48, "memory": tmp_path}
    first = FeatureMaps(backbone, **settings).fit_transform(paths)
    assert sum(computed) == 3
    again = FeatureMaps(backbone, **settings).fit_transform(paths)
    assert sum(computed) == 3
    for one, other in zip(separate(first), separate(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_grey_images_are_taken(photographs):
    with Image.open(photographs[0][0]) as image:
        grey = image.convert("L")
    maps = FeatureMaps("dense_sift", image_size=48)
    one, other = maps.fit_transform([grey, grey.convert("RGB")])
    np.testing.assert_array_equal(one["map2"], other["map2"])


def test_estimators_take_the_maps_and_can_be_saved(photographs, tmp_path):
    import skdpnet

    paths, y = photographs
    pooled = GlobalFeatures("dense_sift", image_size=48)
    expected = pooled.fit_transform(paths)
    assert expected.shape == (12, 4 * 128)
    pooled.save(tmp_path / "pooled.safetensors")
    again = skdpnet.load(tmp_path / "pooled.safetensors")
    np.testing.assert_array_equal(again.transform(paths), expected)

    parts = SoftAssignParts(
        "dense_sift", image_size=48, n_parts_per_class=4, random_state=0
    ).fit(paths, y)
    assert parts.map_shapes_ == ((12, 12, 128),) * 4
    with Image.open(paths[0]) as image:
        width, height = image.size
    left, top, right, bottom = best_regions(parts, paths[:1]).boxes[0].T
    assert (0 <= left).all() and (left < right).all() and (right <= width).all()
    assert (0 <= top).all() and (top < bottom).all() and (bottom <= height).all()
