"""Loaded estimators compute what the saved ones did, and what cannot be is refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn

import skdpnet
from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    GlobalFeatures,
    SoftAssignParts,
    best_regions,
)
from skdpnet.exceptions import ModelFileError
from tests.parts.dpnet.made_maps import part_maps, two_maps
from tests.persistence.models import SETTINGS, assert_identical

ESTIMATORS = [
    DPNetClassifier(**SETTINGS, max_epochs=2),
    DPNetClassifier(**SETTINGS, max_epochs=2, context=True),
    DPNetTransformer(**SETTINGS, max_epochs=2, beta=None, n_components=5),
    SoftAssignParts(**SETTINGS, n_rounds=2),
    GlobalFeatures("precomputed"),
]
ALL = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
LABELS = {
    "int": np.array([3, -1, 7]),
    "str": np.array(["owl", "wren", "kākāpō"]),
    "object": np.array(["owl", "wren", "kākāpō"], dtype=object),
    "float": np.array([2, 0, -5], np.float32),
}


def assert_same_model(model, loaded, X):
    assert type(loaded) is type(model)
    assert_identical(loaded.transform(X), model.transform(X))
    assert loaded.get_feature_names_out().tolist() == (
        model.get_feature_names_out().tolist()
    )
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            assert_identical(getattr(loaded, method)(X), getattr(model, method)(X))
    if hasattr(model, "parts_"):
        for array, expected in zip(
            best_regions(loaded, X), best_regions(model, X), strict=True
        ):
            assert_identical(array, expected)
    for name, value in vars(model).items():
        if name.endswith("_") and isinstance(value, np.ndarray):
            assert_identical(getattr(loaded, name), value)
    for whitening, expected in zip(
        getattr(loaded, "whitenings_", []),
        getattr(model, "whitenings_", []),
        strict=True,
    ):
        assert_identical(whitening.mean, expected.mean)
        assert_identical(whitening.projection, expected.projection)
        assert whitening.projection.strides == expected.projection.strides
    for name in ("map_shapes_", "grids_", "n_iter_", "n_features_in_", "device_"):
        assert getattr(loaded, name, None) == getattr(model, name, None)


@ALL
@pytest.mark.parametrize("maps", [1, 2])
@pytest.mark.parametrize("kind", LABELS)
def test_a_loaded_estimator_computes_the_same(estimator, maps, kind, tmp_path):
    X, y, _ = part_maps(24) if maps == 1 else two_maps(24)
    model = clone(estimator).fit(X, LABELS[kind][y])
    before = torch.random.get_rng_state()
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert_same_model(model, loaded, X)
    assert loaded.get_params() == model.get_params() == clone(loaded).get_params()
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("shape", [(6,), (4, 6)])
@ALL
def test_estimators_of_two_classes_on_features_and_regions(estimator, shape, tmp_path):
    X = np.random.default_rng(0).normal(size=(20, *shape))
    y = np.arange(20) % 2 == 0
    model = clone(estimator).fit(X, y)
    model.save(str(tmp_path / "model"))
    assert_same_model(model, skdpnet.load(str(tmp_path / "model")), X)


@pytest.mark.parametrize("framing", ["pad", "aspect"])
def test_the_framing_is_kept(framing, tmp_path):
    X, y, _ = part_maps(24)
    model = DPNetClassifier(**SETTINGS, max_epochs=1, framing=framing).fit(X, y)
    model.save(tmp_path / "model")
    assert skdpnet.load(tmp_path / "model").framing == framing


def test_files_without_a_framing_are_of_crops(tmp_path, monkeypatch):
    """Whatever the default is when they are loaded."""
    X, y, _ = part_maps(24)
    model = DPNetClassifier(**SETTINGS, max_epochs=1).fit(X, y)
    get_params = DPNetClassifier.get_params
    with monkeypatch.context() as patch:
        patch.setattr(
            DPNetClassifier,
            "get_params",
            lambda self, deep=True: {
                k: v for k, v in get_params(self, deep).items() if k != "framing"
            },
        )
        model.save(tmp_path / "model")
    defaults = DPNetClassifier.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "framing", "squash")
    assert DPNetClassifier().framing == "squash"
    assert skdpnet.load(tmp_path / "model").framing == "crop"


def test_feature_names_and_set_output_are_kept(tmp_path):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(
        np.random.default_rng(0).normal(size=(20, 3)), columns=[*"abc"]
    )
    model = DPNetTransformer(**SETTINGS, max_epochs=1).set_output(transform="pandas")
    model.fit(X, np.arange(20) % 2).save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model")
    pandas.testing.assert_frame_equal(
        loaded.transform(X), model.transform(X), check_exact=True
    )
    with pytest.raises(ValueError, match="feature names"):
        loaded.transform(X[[*"cba"]])


def test_notes_are_saved_with_the_model(fitted, tmp_path):
    X, y, model = fitted
    noted = pickle.loads(pickle.dumps(model))
    noted.notes_ = {"by": "me", "images": ["a.jpg", "b.jpg"], "split": {"seed": 3}}
    noted.save(tmp_path / "model")
    assert skdpnet.load(tmp_path / "model").notes_ == noted.notes_
    assert not hasattr(noted.fit(X, y), "notes_"), "another fit, other images"
    noted.notes_ = {"by": object()}
    with pytest.raises(ValueError, match="notes_"):
        noted.save(tmp_path / "other")


def test_parameters_set_after_fit_change_no_prediction(fitted, tmp_path):
    X, _, model = fitted
    changed = pickle.loads(pickle.dumps(model))
    changed.set_params(beta=1.0, n_parts_per_class=9, region_scales=(1.0,))
    changed.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model")
    assert_identical(loaded.decision_function(X), model.decision_function(X))
    assert loaded.get_params() == changed.get_params()


def test_parameters_of_every_plain_kind_come_back(fitted, tmp_path):
    odd = {
        "class_weight": {0: 1.0, "b": np.int8(2), (2, None): np.float32(0.1), "0": 3},
        "region_scales": np.array([0.25, 0.5]),
        "C": np.float64(0.1),
        "beta": None,
        "n_components": np.int64(2**10),
        "strides": [16, "last"],
        "net_params": {"verbose": False, "optimizer__betas": (0.5, 0.9)},
        "random_state": 2**32 - 1,
        "label_smoothing": -0.0,
        "backbone": "timm/kākāpō",
    }
    model = pickle.loads(pickle.dumps(fitted[2])).set_params(**odd)
    model.save(tmp_path / "model")
    got = skdpnet.load(tmp_path / "model").get_params()
    for name, value in model.get_params().items():
        assert type(got[name]) is type(value), name
        assert repr(got[name]) == repr(value), name


def test_history_is_kept_by_epoch_and_partial_fit_continues(fitted, saved):
    X, y, model = fitted
    loaded = skdpnet.load(saved)
    assert loaded.history_ is loaded.net_.history
    for name in ("train_loss", "train_ridge", "epoch", "dur"):
        assert loaded.history_[:, name] == model.history_[:, name]
    before = loaded.parts_
    loaded.partial_fit(X, y).partial_fit(X[:5], y[:5])
    assert loaded.n_iter_ == 4 == len(loaded.history_)
    assert np.abs(loaded.parts_ - before).max() > 1e-4
    repeated = skdpnet.load(saved).partial_fit(X, y).partial_fit(X[:5], y[:5])
    assert_identical(repeated.parts_, loaded.parts_)
    loaded.save(saved)
    assert_same_model(loaded, skdpnet.load(saved), X)


def test_a_model_that_only_partial_fit_trained(fitted, tmp_path):
    X, y, _ = fitted
    model = DPNetClassifier(**SETTINGS).partial_fit(X, y)
    model.save(tmp_path / "model")
    assert_same_model(model, skdpnet.load(tmp_path / "model"), X)


def test_the_classifier_remembers_the_images_of_all_calls(fitted, tmp_path):
    # The rate is so small that the parts hardly move.
    X, y, _ = fitted
    model = DPNetClassifier(**SETTINGS, lr=1e-9).partial_fit(X[::2], y[::2])
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model").partial_fit(X[1::2], y[1::2])
    at_once = model.partial_fit(X[1::2], y[1::2])
    np.testing.assert_allclose(loaded.coef_, at_once.coef_, rtol=1e-3, atol=1e-4)
    fresh = skdpnet.load(tmp_path / "model")
    fresh._running.sums = None
    forgetful = fresh.partial_fit(X[1::2], y[1::2])
    assert np.abs(forgetful.coef_ - at_once.coef_).max() > 1e-2


def test_a_new_process_computes_the_same_with_the_embedded_backbone(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    y = np.array(["cat", "dog"] * 4)
    settings = {**SETTINGS, "backbone": "efficientnet_lite0", "image_size": 64}
    model = DPNetClassifier(**settings, max_epochs=1, memory=tmp_path / "cache")
    model.fit(images, y).save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", memory=tmp_path / "cache")
    assert_same_model(model, loaded, images)
    assert loaded.memory == tmp_path / "cache"
    assert skdpnet.load(tmp_path / "model").memory is None
    np.save(tmp_path / "images.npy", images)
    code = """
import numpy as np, torch, skdpnet
torch.set_num_threads(1)
model, X = skdpnet.load("model"), np.load("images.npy")
boxes, responses, regions = skdpnet.best_regions(model, X)
np.savez("out", a=model.decision_function(X), b=model.transform(X),
         c=model.predict(X), d=boxes, e=responses, f=regions)
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True
    )
    expected = (
        *(model.decision_function(images), model.transform(images)),
        *(model.predict(images), *best_regions(model, images)),
    )
    with np.load(tmp_path / "out.npz") as out:
        for name, value in zip("abcdef", expected, strict=True):
            assert_identical(out[name], value)


class Colours(nn.Module):
    def forward(self, x):
        return nn.functional.avg_pool2d(x, 16)


@pytest.mark.parametrize("backbone", [Colours(), Colours().forward])
@pytest.mark.parametrize("cls", [DPNetClassifier, GlobalFeatures])
def test_a_backbone_that_is_an_object_is_passed_when_loading(backbone, cls, tmp_path):
    random = np.random.default_rng(0)
    X = random.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    settings = (
        {"n_parts_per_class": 2, "max_epochs": 1} if cls != GlobalFeatures else {}
    )
    model = cls(backbone, image_size=64, **settings).fit(X, np.arange(8) % 2)
    with pytest.raises(
        ValueError, match=r"set_params\(backbone=.*load\(path, backbone="
    ):
        model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []
    expected = model.transform(X)
    model.set_params(backbone="colours").save(tmp_path / "model")
    assert_identical(
        skdpnet.load(tmp_path / "model", backbone=backbone).transform(X), expected
    )
    with pytest.raises(ValueError, match="unknown backbone 'colours'"):
        skdpnet.load(tmp_path / "model").transform(X)


def test_the_device_is_not_saved(saved, fitted):
    assert skdpnet.load(saved).device == "auto"
    loaded = skdpnet.load(saved, device="cpu")
    assert (loaded.device, loaded.device_) == ("cpu", torch.device("cpu"))
    with pytest.raises(ValueError, match="device='abacus' cannot be used here"):
        skdpnet.load(saved, device="abacus")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"callbacks": [print]}, "parameter callbacks .*set_params.callbacks=None"),
        ({"net_params": {"optimizer": torch.optim.SGD}}, "parameter net_params .*type"),
        ({"random_state": np.random.RandomState(0)}, "random_state .*RandomState"),
        ({"region_scales": np.array([1j])}, "region_scales .* complex128"),
    ],
)
def test_parameters_that_cannot_be_saved_are_named(fitted, tmp_path, params, message):
    model = pickle.loads(pickle.dumps(fitted[2])).set_params(**params)
    with pytest.raises(ValueError, match=message):
        model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_labels_that_cannot_be_saved_are_refused(fitted, tmp_path):
    model = pickle.loads(pickle.dumps(fitted[2]))
    model.classes_ = np.array(["2001", "2002", "2003"], "datetime64[Y]")
    with pytest.raises(ValueError, match=r"datetime64\[Y\] are not saved"):
        model.save(tmp_path / "model")


@ALL
def test_unfitted_estimators_and_those_with_a_taken_name_are_refused(
    estimator, fitted, tmp_path
):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        clone(estimator).save(tmp_path / "model")
    # load would mistake it for the package's estimator of that name.
    same_name = type(type(estimator).__name__, (type(estimator),), {})
    with pytest.raises(TypeError, match="cannot be saved: load would take it for"):
        same_name("precomputed").save(tmp_path / "model")


@ALL
def test_estimators_from_outside_are_loaded_if_their_class_is_passed(
    estimator, fitted, tmp_path
):
    X, y, _ = fitted
    outside = type("Outside", (type(estimator),), {})
    model = outside(**estimator.get_params()).fit(X, y)
    model.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="unknown class 'Outside'.*estimators="):
        skdpnet.load(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", estimators=[outside])
    assert type(loaded) is outside
    assert_identical(loaded.transform(X), model.transform(X))


def test_an_estimator_whose_fit_was_interrupted_is_refused(fitted, tmp_path):
    model = pickle.loads(pickle.dumps(fitted[2]))
    del model.coef_
    with pytest.raises(NotFittedError, match="not fitted to the end: it lacks coef_"):
        model.save(tmp_path / "model")


def test_a_file_is_replaced_as_a_whole_or_not_at_all(fitted, saved, monkeypatch):
    X, y, model = fitted
    before = saved.read_bytes()
    other = DPNetTransformer(**SETTINGS, max_epochs=0).fit(X, y)

    def refuse(*args):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="No space left"):
            other.save(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]
    other.save(saved)
    assert type(skdpnet.load(saved)) is DPNetTransformer
    assert os.stat(saved).st_mode & 0o777 == 0o666 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_unusable_paths_are_refused(fitted, tmp_path):
    model = fitted[2]
    with pytest.raises(IsADirectoryError, match="is a folder"):
        model.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder .*make it first"):
        model.save(tmp_path / "none" / "model")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        skdpnet.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file .*model"):
        skdpnet.load(tmp_path / "model")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="not a regular file"):
        skdpnet.load(tmp_path / "pipe")
