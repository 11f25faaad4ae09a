"""The maps of timm's networks, whatever layout their output has."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import nn

from skdpnet.backbones.loading import load_backbone

CPU = torch.device("cpu")


@pytest.fixture
def models(monkeypatch):
    """Collect the models that are created, with random weights and effective norms."""
    created = []
    create = timm.create_model

    def without_download(name, pretrained=False, **kwargs):
        torch.manual_seed(0)
        model = create(name, pretrained=False, **kwargs)
        for layer in model.modules():
            if isinstance(layer, (nn.LayerNorm, nn.BatchNorm2d)):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, 0, 0.3)
        created.append(model)
        return model

    monkeypatch.setattr(timm, "create_model", without_download)
    return created


def _maps(name, strides=None):
    backbone = load_backbone(f"timm/{name}", None, CPU, strides)
    side = backbone.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
    maps = backbone.feature_maps(pixels, CPU, torch.float32)
    mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
    x = (torch.from_numpy(pixels) / 255 - mean) / std
    return maps, x.permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", ["levit_128s", "gmlp_ti16_224", "hiera_tiny_224"])
def test_tokens_without_a_grid_are_put_on_a_grid(models, name):
    (maps,), x = _maps(name)
    with torch.no_grad():
        tokens = models[0].forward_features(x)
    assert tokens.ndim == 3
    torch.testing.assert_close(maps.flatten(1, 2), tokens, atol=1e-4, rtol=1e-3)


def test_tokens_come_from_the_last_stage_if_the_model_drops_them(models):
    (maps,), x = _maps("pit_ti_224")
    outputs = []
    models[0].transformers[-1].register_forward_hook(
        lambda *args: outputs.append(args[2][0])
    )
    with torch.no_grad():
        models[0].forward_features(x)
    expected = outputs[0].permute(0, 2, 3, 1)
    torch.testing.assert_close(maps, expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["resnetv2_18", "hiera_tiny_224", "levit_128s"])
def test_the_last_of_several_maps_is_the_last_map(models, name):
    (last,), _ = _maps(name)
    several, _ = _maps(name, (16, 32, 64))
    assert len(several) == (3 if name == "levit_128s" else 2)
    torch.testing.assert_close(several[-1], last, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "n_maps"),
    [("mobilenetv2_050", 3), ("resnetv2_18", 2), ("swin_tiny_patch4_window7_224", 2)],
)
def test_the_last_map_is_added_where_it_is_none_of_the_stages(models, name, n_maps):
    (last,), _ = _maps(name)
    stages, _ = _maps(name, (16, 32))
    with_last, _ = _maps(name, ("last", 32, 16))
    assert len(with_last) == n_maps
    for maps, expected in zip(with_last, [*stages, last], strict=False):
        torch.testing.assert_close(maps, expected, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(with_last[-1], last, atol=1e-4, rtol=1e-3)


def test_the_last_map_can_be_named_alone(models):
    (last,), _ = _maps("mobilenetv2_050")
    (named,), _ = _maps("mobilenetv2_050", ("last",))
    torch.testing.assert_close(named, last)


def test_a_network_without_a_map_is_refused_when_it_is_loaded(models):
    with pytest.raises(ValueError, match="no feature map.*images of 100 pixels"):
        load_backbone("timm/hiera_tiny_224", 100, CPU)
