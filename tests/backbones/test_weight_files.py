"""Weights from files: those that fit are used, and others are refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision import models

import skdpnet
from skdpnet import DPNetClassifier, FeatureMaps, GlobalFeatures
from skdpnet.backbones.loading import load_backbone
from skdpnet.exceptions import BackboneUnavailableError, DifferentNetworkWarning

CPU = torch.device("cpu")
NAME = "timm/resnet10t"
PIXELS = np.random.RandomState(0).randint(0, 256, (2, 64, 64, 3)).astype(np.uint8)


def network(seed: int, name: str = "resnet10t", **options):
    """A network of timm's with random weights, and other statistics in its norms."""
    torch.manual_seed(seed)
    model = timm.create_model(name, **options).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    return model


def normalised(model) -> torch.Tensor:
    config = timm.data.resolve_model_data_config(model)
    scaled = (PIXELS / 255 - config["mean"]) / config["std"]
    return torch.from_numpy(scaled).float().permute(0, 3, 1, 2)


def last_map(model) -> np.ndarray:
    """The map by timm itself, in our layout."""
    with torch.no_grad():
        return model.forward_features(normalised(model)).permute(0, 2, 3, 1).numpy()


def saved(state, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file({key: state[key].contiguous() for key in state}, path)
    else:
        torch.save(state, path)
    return path


def maps_of(path, name=NAME) -> np.ndarray:
    backbone = load_backbone(name, 64, CPU, weights=path)
    return backbone.feature_maps(PIXELS, CPU, torch.float32)[0].numpy()


WRAPPED = {
    "state dict": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "arch": "resnet10t"},
    "parallel": lambda state: {f"module.{key}": state[key] for key in state},
    "no classifier": lambda state: {k: state[k] for k in state if "fc." not in k},
    "other classes": lambda state: {**state, "fc.weight": torch.zeros(7, 512)},
    "float16": lambda state: {
        k: v.half() if v.ndim == 4 else v for k, v in state.items()
    },
    "early torch": lambda state: {k: state[k] for k in state if "num_batches" not in k},
}


@pytest.mark.parametrize("form", WRAPPED)
def test_maps_are_those_of_the_network_with_these_weights(tmp_path, form):
    model = network(1)
    path = saved(WRAPPED[form](model.state_dict()), tmp_path / "w.pth")
    near = (
        {"rtol": 1e-2, "atol": 2e-2}
        if form == "float16"
        else {"rtol": 1e-4, "atol": 1e-5}
    )
    np.testing.assert_allclose(maps_of(path), last_map(model), **near)


def test_safetensors_are_read_too(tmp_path):
    model = network(2)
    path = saved(model.state_dict(), tmp_path / "w.safetensors")
    np.testing.assert_allclose(
        maps_of(str(path)), last_map(model), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", ["resnet50", "vgg19"])
def test_networks_of_torchvision_take_their_own(tmp_path, name):
    with torch.device("meta"):
        empty = models.get_model(name)
    generator = torch.Generator().manual_seed(0)
    state = {
        # Each tensor repeats a single number, so that the file is small.
        key: (0.01 * torch.rand((), generator=generator)).expand(value.shape)
        for key, value in empty.state_dict().items()
        if not key.startswith(("classifier.", "fc."))
    }
    path = saved(state, tmp_path / "w.pth")
    first = next(iter(load_backbone(name, 64, CPU, weights=path).network.parameters()))
    value = next(iter(state.values())).flatten()[0]
    assert torch.allclose(first / first.flatten()[0], torch.ones(()))
    if name == "vgg19":  # no batch norm is folded into its weights
        assert first.flatten()[0] == value


def test_the_embedded_network_takes_timms_names(tmp_path):
    model = network(3, "tf_efficientnet_lite0")
    path = saved(model.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone("efficientnet_lite0", 64, CPU, weights=path)
    scaled = torch.from_numpy(PIXELS).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = model.forward_features((scaled - 127) / 128).permute(0, 2, 3, 1)
    got = backbone.feature_maps(PIXELS, CPU, torch.float32)[0]
    relative = (got - expected).norm() / expected.norm()
    assert relative < 1e-3
    own = load_backbone("efficientnet_lite0", 64, CPU)
    assert own.fingerprint != backbone.fingerprint


def test_position_embeddings_are_brought_to_the_size(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224")
    path = saved(model.state_dict(), tmp_path / "w.pth")
    backbone = load_backbone("timm/vit_tiny_patch16_224", 64, CPU, weights=path)
    assert backbone.feature_maps(PIXELS, CPU, torch.float32)[0].shape == (2, 4, 4, 192)
    model.set_input_size(img_size=64)
    tokens = model.eval().forward_features(normalised(model))[:, 1:]
    np.testing.assert_allclose(
        backbone.feature_maps(PIXELS, CPU, torch.float32)[0].flatten(1, 2).numpy(),
        tokens.detach().numpy(),
        rtol=1e-3,
        atol=1e-3,
    )


def wrong_states(state):
    keys = list(state)
    last = [key for key in keys if not key.startswith("fc.")][-1]
    fewer = {key: state[key] for key in keys[5:]}
    renamed = {f"backbone.{key}": state[key] for key in keys}
    reshaped = {**state, keys[0]: torch.zeros(1, 3, 3, 3)}
    return {
        "missing": (fewer, rf"5 of \d+ are missing \('{keys[0]}'"),
        "unexpected": (
            {**state, "extra.a": torch.ones(1), "extra.b": torch.ones(1)},
            r"2 are unexpected \('extra.a', 'extra.b'\)",
        ),
        "renamed": (renamed, rf"are missing.*{len(keys)} are unexpected.*…"),
        "shape": (reshaped, rf"{keys[0]} has the shape \(1, 3, 3, 3\), not"),
        "one": ({last: state[last]}, "are missing"),
    }


@pytest.mark.parametrize("name", ["missing", "unexpected", "renamed", "shape", "one"])
def test_weights_of_another_network_are_refused(tmp_path, name):
    state, words = wrong_states(network(1).state_dict())[name]
    path = saved(state, tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=f"not those of backbone 'timm/resnet10t'.*{words}"
    ):
        load_backbone(NAME, 64, CPU, weights=path)


def test_files_without_weights_are_refused(tmp_path):
    def refused(path, words, error=BackboneUnavailableError, name=NAME):
        with pytest.raises(error, match=words):
            load_backbone(name, 64, CPU, weights=path)

    refused(tmp_path / "no.pth", r"no\.pth' does not exist.*load\(path, weights=PATH\)")
    refused(tmp_path, "is not a file")
    (tmp_path / "text.pth").write_text("hello, world")
    refused(tmp_path / "text.pth", "not one that torch.save wrote|cannot be read")
    (tmp_path / "text.safetensors").write_text("hello, world")
    refused(tmp_path / "text.safetensors", "cannot be read")
    cut = saved(network(1).state_dict(), tmp_path / "cut.pth")
    cut.write_bytes(cut.read_bytes()[:5000])
    refused(cut, "cannot be read|not one that torch.save wrote")
    whole = saved(network(1), tmp_path / "module.pth")
    refused(whole, r"can run code.*state_dict\(\)")
    other = saved({"epoch": 3, "loss": torch.ones(1)}, tmp_path / "other.pth")
    refused(other, "no state dict.*'epoch', 'loss'", ValueError)
    good = saved(network(1).state_dict(), tmp_path / "good.pth")
    refused(good, "'dense_sift' has no such weights", ValueError, "dense_sift")
    refused(good, "'hog' has no such weights", ValueError, "hog")
    refused(good, "backbone ResNet has no such", ValueError, network(1))


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_no_code_in_a_file_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": torch.ones(1), "b": Harm()}, "w.pth")
    with pytest.raises(BackboneUnavailableError, match="can run code"):
        load_backbone(NAME, 64, CPU, weights="w.pth")
    assert not os.path.exists("harm")


def test_maps_are_cached_by_the_content_of_the_weights(tmp_path):
    one, other = network(1).state_dict(), network(2).state_dict()
    path = saved(one, tmp_path / "w.pth")
    maps = FeatureMaps(NAME, weights=path, image_size=64, memory=tmp_path / "maps")
    first = maps.fit_transform(PIXELS)
    n_files = len(list((tmp_path / "maps").rglob("*")))
    copy = saved(one, tmp_path / "copy.safetensors")
    maps.set_params(weights=copy)
    np.testing.assert_array_equal(maps.transform(PIXELS), first)
    assert len(list((tmp_path / "maps").rglob("*"))) == n_files
    # Another file under the same name is seen in the same process.
    saved(other, path)
    second = maps.set_params(weights=path).transform(PIXELS)
    expected = FeatureMaps(NAME, weights=path, image_size=64).transform(PIXELS)
    np.testing.assert_array_equal(second, expected)
    assert np.abs(second - first).max() > 0.1


@pytest.fixture
def model(tmp_path):
    path = saved(network(1).state_dict(), tmp_path / "w.pth")
    return DPNetClassifier(
        NAME,
        weights=path,
        image_size=64,
        n_parts_per_class=2,
        max_epochs=1,
        random_state=0,
    )


def images_and_labels():
    random = np.random.RandomState(0)
    return random.randint(0, 256, (8, 64, 64, 3)).astype(np.uint8), [0, 1] * 4


def test_a_saved_model_finds_its_weights_or_says_what_to_pass(tmp_path, model):
    X, y = images_and_labels()
    expected = model.fit(X, y).decision_function(X)
    file = tmp_path / "model.safetensors"
    model.save(file)
    loaded = skdpnet.load(file)
    assert loaded.weights == str(tmp_path / "w.pth")
    np.testing.assert_array_equal(loaded.decision_function(X), expected)
    moved = tmp_path / "moved.pth"
    (tmp_path / "w.pth").rename(moved)
    with pytest.raises(
        BackboneUnavailableError, match=r"w\.pth.*load\(path, weights=PATH\)"
    ):
        skdpnet.load(file)
    again = skdpnet.load(file, weights=moved)
    np.testing.assert_array_equal(again.decision_function(X), expected)
    # Weights of another training are told.
    saved(network(2).state_dict(), moved)
    with pytest.warns(DifferentNetworkWarning, match="its weights are others"):
        skdpnet.load(file, weights=moved).decision_function(X)
    # A module in place of the name needs no file.
    module = skdpnet.load(file, backbone=lambda x: x)
    assert module.weights is None


def test_a_model_file_names_no_other_computer(tmp_path, model):
    X, y = images_and_labels()
    model.fit(X, y)
    with pytest.raises(ValueError, match="two slashes"):
        model.set_params(weights="//host/share/w.pth").save(tmp_path / "m")


def test_given_maps_have_no_weights():
    features = np.random.RandomState(0).rand(4, 8)
    with pytest.raises(ValueError, match="precomputed.*weights=None"):
        GlobalFeatures("precomputed", weights="w.pth").fit(features)
    for bad in (3, ""):
        with pytest.raises(ValueError, match="weights must be the path of a file"):
            GlobalFeatures(NAME, weights=bad).fit(PIXELS)
