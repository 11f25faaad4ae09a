"""The size of images in model files that name none: the usual one when they were saved.

The usual size of the networks EfficientNet-Lite was once smaller than it is now.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

import skdpnet
from skdpnet import GlobalFeatures
from skdpnet.backbones import loading
from skdpnet.backbones.efficientnet_lite import EFFICIENTNET_LITE
from skdpnet.exceptions import ModelFileError
from skdpnet.persistence.model_file import read, write


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    return random.integers(0, 256, (2, 40, 56, 3), dtype=np.uint8)


@pytest.fixture
def path(images, tmp_path):
    """File of an estimator whose parameters name no size."""
    model = GlobalFeatures("efficientnet_lite0", framing="crop").fit(images)
    model.save(tmp_path / "model")
    return tmp_path / "model"


def change(path, **metadata):
    """Replace metadata of a file, or leave it out where it is None.

    The record of the network is left out, as in files of the time before it.
    """
    old, arrays = read(path)
    new = {**old, "network": None, **metadata}
    write(path, {key: text for key, text in new.items() if text is not None}, arrays)


def test_a_file_of_now_keeps_the_usual_size(path, images):
    loaded = skdpnet.load(path)
    assert loaded.image_size is None
    assert loaded.input_framing().image_size == 288
    assert "usual_size" not in read(path)[0]


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_the_size_stays_if_the_usual_one_changes(name, images, tmp_path, monkeypatch):
    """For any network by name: the file says at which size it was used."""
    usual = dict(EFFICIENTNET_LITE)
    make = timm.create_model

    def of_size(size):
        usual["efficientnet_lite0"] = replace(
            usual["efficientnet_lite0"], image_size=size
        )
        monkeypatch.setattr(loading, "EFFICIENTNET_LITE", usual)

        def create(model, pretrained, **options):
            torch.manual_seed(0)
            config = {"input_size": (3, size, size)}
            return make(model, pretrained_cfg_overlay=config, **options)

        monkeypatch.setattr(timm, "create_model", create)
        loading._load_named.cache_clear()

    backbone = name if name in usual else f"timm/{name}"
    of_size(96)
    model = GlobalFeatures(backbone, framing="crop").fit(images)
    descriptors = model.transform(images)
    model.save(tmp_path / "model")
    of_size(64)
    fresh = GlobalFeatures(backbone, framing="crop").fit(images)
    assert fresh.input_framing().image_size == 64
    loaded = skdpnet.load(tmp_path / "model")
    assert loaded.image_size is None
    assert loaded.input_framing().image_size == 96
    np.testing.assert_array_equal(loaded.transform(images), descriptors)
    # Another fit is at the usual size, as that of a new estimator.
    assert loaded.fit(images).map_shapes_ == fresh.map_shapes_
    assert loaded.input_framing().image_size == 64
    loading._load_named.cache_clear()


def test_a_model_of_an_earlier_version_that_is_saved_now(path, images):
    change(path, usual_size="224")
    loaded = skdpnet.load(path)
    loaded.save(path)
    metadata, _ = read(path)
    assert "network" not in metadata and metadata["usual_size"] == "288"
    assert skdpnet.load(path).image_size == 224


def test_a_file_without_the_usual_size_has_the_former_one(path, images):
    then = GlobalFeatures("efficientnet_lite0", framing="crop", image_size=224)
    descriptors = then.fit_transform(images)
    then.save(path)
    parameters = json.loads(read(path)[0]["parameters"])
    assert parameters["image_size"] == 224
    parameters["image_size"] = None
    change(path, usual_size=None, parameters=json.dumps(parameters))
    loaded = skdpnet.load(path)
    assert loaded.image_size == loaded.input_framing().image_size == 224
    np.testing.assert_array_equal(loaded.transform(images), descriptors)
    # It is the same model when it is saved again.
    loaded.save(path)
    assert skdpnet.load(path).image_size == 224


def test_a_file_names_the_usual_size_of_its_version(path):
    change(path, usual_size="352")
    assert skdpnet.load(path).image_size == 352
    change(path, usual_size="large")
    with pytest.raises(ModelFileError, match="large"):
        skdpnet.load(path)


def test_lite2_was_larger():
    from skdpnet.persistence.saving import _size_then

    assert _size_then({}, "efficientnet_lite2") == 260
    assert _size_then({"usual_size": "320"}, "efficientnet_lite2") is None


@pytest.mark.parametrize("size", [None, 96])
def test_other_backbones_and_sizes_are_as_they_were(size, tmp_path):
    maps = np.random.default_rng(0).random((3, 4, 4, 5))
    model = GlobalFeatures("precomputed", image_size=size).fit(maps)
    model.save(tmp_path / "model")
    assert "usual_size" not in read(tmp_path / "model")[0]
    assert skdpnet.load(tmp_path / "model").image_size == size


def test_a_size_that_was_named_is_kept(images, tmp_path):
    model = GlobalFeatures("efficientnet_lite0", image_size=96).fit(images)
    model.save(tmp_path / "model")
    change(tmp_path / "model", usual_size=None)
    assert skdpnet.load(tmp_path / "model").image_size == 96


class OfFeatures(GlobalFeatures):
    """An estimator of a user, of which the backbone is no parameter."""

    def __init__(self, *, image_size=None, memory=None, device="auto"):
        super().__init__(
            "precomputed", image_size=image_size, memory=memory, device=device
        )


def test_an_estimator_without_the_parameter_backbone_is_loaded(tmp_path):
    OfFeatures().fit(np.ones((3, 4))).save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", estimators=[OfFeatures])
    assert loaded.image_size is None
    assert loaded.is_precomputed
