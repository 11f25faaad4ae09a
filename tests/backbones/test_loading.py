"""Backbones have the right maps and layout, are frozen, and say what is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from skdpnet.backbones import backbone as backbone_module
from skdpnet.backbones.backbone import MapsOverflowError
from skdpnet.backbones.loading import _load_named, load_backbone
from skdpnet.exceptions import BackboneUnavailableError

CPU = torch.device("cpu")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


class Shrink(nn.Module):
    """A small network with batch normalisation and dropout."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 5, 8, stride=8), nn.BatchNorm2d(5), nn.Dropout(0.5)
        )

    def forward(self, x):
        return self.layers(x)


def test_module_is_copied_frozen_and_normalised(images):
    original = Shrink()
    with torch.no_grad():
        original.layers[1].running_mean.fill_(0.3)
    backbone = load_backbone(original, 64, CPU)
    (maps,) = backbone.feature_maps(images, CPU, torch.float32)
    assert maps.shape == (3, 8, 8, 5)
    (again,) = backbone.feature_maps(images, CPU, torch.float32)
    torch.testing.assert_close(maps, again, rtol=0, atol=0)

    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = torch.tensor((images / 255 - mean) / std, dtype=torch.float32)
    conv = original.layers[0]
    patch = x[0, 8:16, 16:24].permute(2, 0, 1)
    expected = (conv.weight * patch).sum((1, 2, 3)) + conv.bias
    norm = original.layers[1]
    expected = (expected - 0.3) / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(maps[0, 1, 2], expected, rtol=1e-4, atol=1e-4)

    assert original.training, "the user's module is left as it was"
    assert all(p.requires_grad for p in original.parameters())
    assert (original.layers[1].running_mean == 0.3).all()
    copy = backbone.network
    assert (copy.layers[1].running_mean == 0.3).all()
    assert not copy.training
    assert not any(p.requires_grad for p in copy.parameters())


def test_a_callable_is_used_without_changes(images):
    def average(x):
        return nn.functional.avg_pool2d(x, 16)

    backbone = load_backbone(average, 64, CPU)
    (maps,) = backbone.feature_maps(images, CPU, torch.float32)
    assert maps.shape == (3, 4, 4, 3)


@pytest.mark.parametrize("n_passes", [1, 2, 3])
def test_passes_of_a_few_images_give_the_same_maps(images, monkeypatch, n_passes):
    pass_sizes = []

    def average(x):
        pass_sizes.append(len(x))
        return nn.functional.avg_pool2d(x, 16), nn.functional.avg_pool2d(x, 32)

    backbone = load_backbone(average, 64, CPU)
    whole = backbone.feature_maps(images, CPU, torch.float32)
    assert pass_sizes == [3]
    image_bytes = 4 * images[0].size
    images_per_pass = -(-3 // n_passes)
    monkeypatch.setattr(backbone_module, "_PASS_BYTES", image_bytes * images_per_pass)
    again = backbone.feature_maps(images, CPU, torch.float32)
    assert pass_sizes[1:] == {1: [3], 2: [2, 1], 3: [1, 1, 1]}[n_passes]
    for expected, maps in zip(whole, again, strict=True):
        assert maps.is_contiguous()
        torch.testing.assert_close(maps, expected, rtol=0, atol=0)


def test_the_normalisation_is_copied_to_the_device_once(images, monkeypatch):
    """A GPU waits for each copy."""
    backbone = load_backbone(lambda x: x, 64, CPU)
    expected = backbone.feature_maps(images, CPU, torch.float32)
    monkeypatch.setattr(torch, "tensor", None)
    again = backbone.feature_maps(images, CPU, torch.float32)
    torch.testing.assert_close(again, expected, rtol=0, atol=0)


def test_maps_have_the_dtype_asked_for_unless_they_exceed_its_range(images):
    backbone = load_backbone(lambda x: x * 1e4, 64, CPU)
    args = (images, CPU, torch.float32)
    (maps,) = backbone.feature_maps(*args, torch.float16)
    assert maps.dtype == torch.float16
    (exact,) = backbone.feature_maps(*args)
    torch.testing.assert_close(maps.float(), exact, rtol=1e-3, atol=1e-3)

    marked = images.copy()
    marked[:2] = 120
    backbone = load_backbone(lambda x: x * 4e4, 64, CPU)
    with pytest.raises(MapsOverflowError, match="beyond float16") as caught:
        backbone.feature_maps(marked, CPU, torch.float32, torch.float16)
    assert caught.value.row == 2


def test_fingerprint_changes_with_the_weights():
    module = Shrink()
    fingerprint = load_backbone(module, 64, CPU).fingerprint
    assert load_backbone(module, 64, CPU).fingerprint == fingerprint
    with torch.no_grad():
        module.layers[0].bias[0] += 1e-3
    assert load_backbone(module, 64, CPU).fingerprint != fingerprint


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda x: x.mean((2, 3)), r"4-D tensor.*\(3, 3\)"),
        (lambda x: {"map": {"x": x}}, "4-D tensor.*dict"),
        (lambda x: (x, x.mean((2, 3))), r"4-D tensor.*\(3, 3\)"),
        (lambda x: x * float("nan"), "NaN or infinite"),
        (lambda x: x.mean(0, keepdim=True), "one feature map per image, got 1 for 3"),
        (lambda x: (x, torch.cat([x, x])), "one feature map per image, got 6 for 3"),
    ],
)
def test_output_that_is_not_a_finite_map_is_refused(images, output, message):
    backbone = load_backbone(output, 64, CPU)
    with pytest.raises(ValueError, match=message):
        backbone.feature_maps(images, CPU, torch.float32)


def test_unknown_names_are_refused_with_a_close_name():
    with pytest.raises(ValueError, match="Did you mean 'resnet50'"):
        load_backbone("resnet5", None, CPU)
    with pytest.raises(ValueError, match="vit_small_patch16_224"):
        load_backbone("timm/vit_smal_patch16_224", None, CPU)
    with pytest.raises(ValueError, match="must be a name"):
        load_backbone(3, None, CPU)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Return an empty folder for weights, while every connection is refused."""
    import socket

    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"), [("resnet50", "0676ba61"), ("vgg19", "dcbb")]
)
def test_missing_weights_say_what_where_and_what_works(no_network, name, file, capsys):
    with pytest.raises(BackboneUnavailableError) as caught:
        load_backbone(name, None, CPU)
    message = str(caught.value)
    assert f"{name!r}" in message
    assert "IMAGENET1K_V1" in message
    assert str(no_network / "hub" / "checkpoints") in message
    assert file in message
    assert "efficientnet_lite0" in message
    assert "precomputed" in message


def test_missing_timm_weights_say_what_works(no_network, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        huggingface_hub.constants, "HF_HUB_CACHE", str(no_network / "hub")
    )
    with pytest.raises(BackboneUnavailableError, match="HF_HOME.*efficientnet_lite0"):
        load_backbone("timm/resnet18.a1_in1k", None, CPU)


@pytest.mark.parametrize(
    ("name", "shape"), [("resnet50", (1, 2, 2, 2048)), ("vgg19", (1, 2, 2, 512))]
)
def test_torchvision_weights_are_loaded_from_their_folder(no_network, name, shape):
    from torchvision import models

    random = np.random.default_rng(0)
    with torch.device("meta"):
        empty = models.get_model(name)
    state = {
        # Each tensor repeats a single number, so that the file is small.
        key: torch.tensor(random.uniform(0.5, 1), dtype=value.dtype).expand(value.shape)
        for key, value in empty.state_dict().items()
    }
    url = models.get_model_weights(name)["IMAGENET1K_V1"].url
    folder = no_network / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / url.rsplit("/", 1)[-1])
    backbone = load_backbone(name, 64, CPU)
    first = next(iter(backbone.network.parameters()))
    torch.testing.assert_close(first, next(iter(state.values())).contiguous())
    with torch.no_grad():
        for p in backbone.network.parameters():
            p.mul_(1e-3)
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    (maps,) = backbone.feature_maps(pixels, CPU, torch.float32)
    assert tuple(maps.shape) == shape


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("resnet18", 96, (3, 3, 512)),
        ("vit_tiny_patch16_224", 96, (6, 6, 192)),
        ("deit_tiny_distilled_patch16_224", None, (14, 14, 192)),
        ("swin_tiny_patch4_window7_224", None, (7, 7, 768)),
    ],
)
def test_timm_models_give_maps_whatever_their_layout(monkeypatch, name, size, shape):
    import timm

    create = timm.create_model

    def without_download(name, pretrained=False, **kwargs):
        return create(name, pretrained=False, **kwargs)

    monkeypatch.setattr(timm, "create_model", without_download)
    backbone = load_backbone(f"timm/{name}", size, CPU)
    side = backbone.image_size
    assert side == (size or 224)
    pixels = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    (maps,) = backbone.feature_maps(pixels, CPU, torch.float32)
    assert tuple(maps.shape) == (1, *shape)


def test_patch_tokens_keep_their_place(monkeypatch):
    """A change in a corner of the image moves that corner's patch the most."""
    import timm

    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda n, pretrained=False, **k: create(n, **k)
    )
    torch.manual_seed(0)
    backbone = load_backbone("timm/vit_tiny_patch16_224", 64, CPU)
    plain = np.full((1, 64, 64, 3), 128, np.uint8)
    marked = plain.copy()
    marked[0, 48:, :16] = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    (moved,) = backbone.feature_maps(marked, CPU, torch.float32)
    moved -= backbone.feature_maps(plain, CPU, torch.float32)[0]
    strongest = int(moved.norm(dim=3).argmax())
    assert divmod(strongest, 4) == (3, 0)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("resnet50", [(8, 8, 512), (4, 4, 1024), (2, 2, 2048)]),
        ("vgg19", [(8, 8, 512), (4, 4, 512), (2, 2, 512)]),
    ],
)
def test_stages_of_torchvision_networks(monkeypatch, name, shapes):
    from torchvision import models

    get_model = models.get_model
    monkeypatch.setattr(models, "get_model", lambda n, weights: get_model(n))
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    staged = load_backbone(name, 64, CPU, (8, 16, 32))
    maps = staged.feature_maps(pixels, CPU, torch.float32)
    assert [tuple(stage.shape[1:]) for stage in maps] == shapes
    torch.manual_seed(0)
    _load_named.cache_clear()
    last = load_backbone(name, 64, CPU).feature_maps(pixels, CPU, torch.float32)
    torch.testing.assert_close(maps[-1], last[0])
    assert staged.fingerprint != load_backbone(name, 64, CPU).fingerprint
    _load_named.cache_clear()


def test_strides_that_a_network_lacks_are_left_out_or_refused(monkeypatch):
    import timm

    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda n, pretrained=False, **k: create(n, **k)
    )
    coarse = load_backbone("efficientnet_lite0", 64, CPU, (32, 64))
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    assert len(coarse.feature_maps(pixels, CPU, torch.float32)) == 1
    with pytest.raises(ValueError, match=r"strides=\(64,\).*2, 4, 8, 16, 32"):
        load_backbone("efficientnet_lite0", 64, CPU, (64,))
    # All maps of a vision transformer have the same stride; the last is taken.
    tokens = load_backbone("timm/vit_tiny_patch16_224", 64, CPU, (16, 32))
    (maps,) = tokens.feature_maps(pixels, CPU, torch.float32)
    assert tuple(maps.shape) == (1, 4, 4, 192)
