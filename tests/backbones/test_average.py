"""The average of a network's last map, and the networks that take any shape."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torchvision import models

from skdpnet import FeatureMaps
from skdpnet.backbones.loading import _load_named, load_backbone
from skdpnet.backbones.stages import cut_timm, cut_torchvision, takes_any_shape

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def resnet50():
    torch.manual_seed(0)
    return models.resnet50(weights=None).eval()


@pytest.fixture(scope="module")
def mobilenet():
    """A network with a further layer after its last stage."""
    torch.manual_seed(0)
    return timm.create_model("mobilenetv2_050", pretrained=False)


def maps_of(network, x):
    with torch.no_grad():
        output = network(x)
    return output if isinstance(output, tuple) else (output,)


def images(*size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


def of_resnet(model, strides):
    return cut_torchvision(model, "resnet50", strides)


def of_timm(model, strides):
    return cut_timm(model, strides, 64)


@pytest.mark.parametrize("size", [(64, 64), (64, 96)])
def test_the_average_stands_in_place_of_the_last_map(mobilenet, size):
    x = images(*size)
    (last,) = maps_of(of_timm(mobilenet, ("last",)), x)
    stages = maps_of(of_timm(mobilenet, (16, 32)), x)
    averaged = maps_of(of_timm(mobilenet, (16, 32, "average")), x)
    assert len(averaged) == 3
    for found, expected in zip(averaged, stages, strict=False):
        torch.testing.assert_close(found, expected)
    # The mean over the cells of the image, by a loop.
    rows, columns = last.shape[2:]
    cells = [last[:, :, i, j] for i in range(rows) for j in range(columns)]
    expected = sum(cells) / len(cells)
    torch.testing.assert_close(averaged[2][:, :, 0, 0], expected, atol=1e-5, rtol=1e-4)
    assert averaged[2].shape == (2, last.shape[1], 1, 1)


def test_the_average_of_a_last_map_that_no_stride_names(resnet50):
    x = images(64, 96)
    (last,) = maps_of(of_resnet(resnet50, ("last",)), x)
    of_16, average = maps_of(of_resnet(resnet50, (16, "average")), x)
    (expected,) = maps_of(of_resnet(resnet50, (16,)), x)
    torch.testing.assert_close(of_16, expected)
    torch.testing.assert_close(average, last.mean(dim=(2, 3), keepdim=True))
    assert average.shape == (2, 2048, 1, 1)


@pytest.mark.parametrize("name", ["resnet50", "timm"])
def test_the_average_of_a_map_that_a_stride_names_is_left_out(resnet50, name):
    x = images(64, 64)
    if name == "resnet50":
        cut, model = of_resnet, resnet50
    else:
        cut, model = of_timm, timm.create_model("resnet18", pretrained=False).eval()
    named = maps_of(cut(model, (16, 32)), x)
    averaged = maps_of(cut(model, (16, 32, "average")), x)
    assert [tuple(found.shape[2:]) for found in averaged] == [(4, 4), (2, 2)]
    for found, expected in zip(averaged, named, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("strides", [(16, 32, "last", "average"), (16, "average")])
def test_the_average_beside_the_last_map_or_one_stride(mobilenet, strides):
    x = images(64, 64)
    maps = maps_of(of_timm(mobilenet, strides), x)
    shapes = [tuple(found.shape[2:]) for found in maps]
    # Beside the last map itself, its average says nothing new.
    assert shapes == (
        [(4, 4), (2, 2), (2, 2)] if "last" in strides else [(4, 4), (1, 1)]
    )


@pytest.mark.parametrize("name", ["resnet50", "timm"])
def test_the_average_may_be_named_alone(resnet50, mobilenet, name):
    cut, model = (of_resnet, resnet50) if name == "resnet50" else (of_timm, mobilenet)
    x = images(64, 96)
    (last,), (average,) = (
        maps_of(cut(model, (word,)), x) for word in ("last", "average")
    )
    torch.testing.assert_close(average, last.mean(dim=(2, 3), keepdim=True))


def test_strides_and_words_may_have_any_order():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    first, second = (
        load_backbone("efficientnet_lite0", 64, CPU, strides)
        for strides in ((16, 32, "average"), ["average", np.int64(32), 16])
    )
    for found, expected in zip(
        *(each.feature_maps(pixels, CPU, torch.float32) for each in (first, second)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected)


class Embedded(nn.Module):
    """A network with an embedding for each position of a square of 128 pixels."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(3, 8, 8))

    def forward(self, x):
        return nn.functional.avg_pool2d(x, 16) + self.embedding


class Margins(nn.Module):
    """A network that loses a margin, so that maps grow by less than images."""

    def forward(self, x):
        return nn.functional.avg_pool2d(x[..., 8:-8, 8:-8], 16)


class Resized(nn.Module):
    """A network that gives a square map of any image."""

    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x, 4)


class Pooled(nn.Module):
    """A map, and the average of the image."""

    def forward(self, x):
        average = x.mean(dim=(2, 3), keepdim=True)
        return nn.functional.avg_pool2d(x, 16), average


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Pooled(), True),
        (nn.AvgPool2d(16), True),
        (Embedded(), False),
        # 128 pixels are 2 cells of 64, but no whole number of cells is 160.
        (nn.AvgPool2d(64), False),
        (nn.AvgPool2d(64, ceil_mode=True), False),
        (Margins(), False),
        (Resized(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_networks_of_any_shape_are_found_by_trial(network, expected):
    assert takes_any_shape(network, 128) is expected


@pytest.mark.parametrize("strides", [None, (16, 32), (16, 32, "average")])
def test_the_embedded_network_takes_any_shape(strides):
    assert load_backbone("efficientnet_lite0", 96, CPU, strides).any_shape


def test_networks_of_larger_strides_get_squares_by_default(monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda n, pretrained=False, **k: create(n, **k)
    )
    images = np.random.default_rng(0).integers(0, 256, (1, 90, 130, 3), np.uint8)
    settings = {"backbone": "timm/shvit_s1", "image_size": 128}
    (maps,) = FeatureMaps(**settings).transform(images)
    assert maps.shape[:2] == (2, 2)
    # The average has one cell for images of any shape.
    averaged = FeatureMaps(**settings, strides=(16, 32, "average"))
    assert averaged.input_framing().name == "aspect"
    _load_named.cache_clear()


def test_modules_and_vision_transformers_are_not_known_to():
    assert not load_backbone(nn.AvgPool2d(16), 64, CPU).any_shape
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=64)
    assert not takes_any_shape(cut_timm(model, None, 64), 64)
