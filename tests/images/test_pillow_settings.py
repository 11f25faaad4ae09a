"""Pillow's settings follow images and estimators into worker processes, only there."""

from __future__ import annotations

import multiprocessing
import pickle

import joblib
import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin
from sklearn.base import clone

import skdpnet
from skdpnet.images import pillow_settings
from skdpnet.images.collection import as_images

CHANGED = {
    (Image, "MAX_IMAGE_PIXELS"): None,
    (ImageFile, "LOAD_TRUNCATED_IMAGES"): True,
    (PngImagePlugin, "MAX_TEXT_CHUNK"): 2**21,
    (PngImagePlugin, "MAX_TEXT_MEMORY"): 2**27,
}
DEFAULTS = {(module, name): getattr(module, name) for module, name in CHANGED}


def values():
    return [getattr(module, name) for module, name in CHANGED]


@pytest.fixture
def changed(monkeypatch):
    for (module, name), value in CHANGED.items():
        monkeypatch.setattr(module, name, value)


@pytest.fixture
def in_worker(monkeypatch):
    """Let this process take itself for a worker."""
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    monkeypatch.setattr(pillow_settings, "_replaced", {})


@pytest.mark.parametrize(
    "sent",
    [
        skdpnet.FeatureMaps(),
        skdpnet.DPNetClassifier(),
        skdpnet.GlobalFeatures(),
        skdpnet.SoftAssignParts(),
        skdpnet.VLAD(),
        as_images(["a.jpg"]),
    ],
    ids=lambda sent: type(sent).__name__,
)
def test_they_take_effect_in_workers_and_are_undone(sent, monkeypatch, in_worker):
    before = joblib.hash(sent)
    plain = pickle.dumps(sent)
    with monkeypatch.context() as patch:
        for (module, name), value in CHANGED.items():
            patch.setattr(module, name, value)
        with_settings = pickle.dumps(sent)
    assert values() == list(DEFAULTS.values())
    received = pickle.loads(with_settings)
    assert values() == list(CHANGED.values())
    assert vars(received).keys() == vars(sent).keys()
    # The next task of the same process comes after the user has taken them back.
    pickle.loads(plain)
    assert values() == list(DEFAULTS.values())
    assert joblib.hash(sent) == before


def test_other_programs_keep_theirs(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        content = pickle.dumps(skdpnet.FeatureMaps(image_size=64))
        assert clone(skdpnet.FeatureMaps()).image_size is None
    assert pickle.loads(content).image_size == 64
    assert values() == list(DEFAULTS.values())


def test_what_a_worker_has_set_itself_stays(monkeypatch, in_worker):
    plain = pickle.dumps(as_images(["a.jpg"]))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10**9)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 10**10)
        changed = pickle.dumps(as_images(["a.jpg"]))
    pickle.loads(changed)
    assert Image.MAX_IMAGE_PIXELS == 10**10
    pickle.loads(plain)
    assert Image.MAX_IMAGE_PIXELS == 10**9


def test_workers_of_joblib_read_what_the_main_process_reads(tmp_path, changed):
    """A file that is cut off, in two processes."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    images = as_images([tmp_path / "cut.png"] * 2)
    expected = np.asarray(images.load(0))
    assert (expected[-1] == 0).all(), "the lower half is missing"
    with joblib.parallel_config(backend="loky", n_jobs=2):
        loaded = joblib.Parallel()(joblib.delayed(images.load)(i) for i in range(2))
    for image in loaded:
        np.testing.assert_array_equal(np.asarray(image), expected)
