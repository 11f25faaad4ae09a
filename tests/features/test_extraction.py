"""Maps come in order and in bounded memory, and processes share the work."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from skdpnet import FeatureMaps
from skdpnet.features import extraction
from skdpnet.images import ImageError
from tests.probes import n_real_images


class Pooled(nn.Module):
    """A network with two maps, means over patches; it logs each image that it sees."""

    def __init__(self, log: str | None = None):
        super().__init__()
        self.log = log

    def forward(self, x):
        if self.log is not None:
            with open(self.log, "a") as file:
                file.write("x" * n_real_images(x))
        fine = nn.functional.avg_pool2d(x, 8)
        return fine, nn.functional.avg_pool2d(fine, 2)


SETTINGS = {"image_size": 32, "batch_size": 5}


@pytest.fixture(params=[False, True], ids=["no cache", "cache"])
def memory(request, tmp_path):
    return tmp_path / "maps" if request.param else None


@pytest.fixture(params=[0, 2], ids=["not ahead", "two batches ahead"])
def n_ahead(request, monkeypatch):
    """Let decoding run ahead by some batches, as it does for a GPU, or not at all."""
    init = extraction.Extractor.__init__

    def with_ahead(self, *args):
        init(self, *args)
        self._n_ahead = request.param

    monkeypatch.setattr(extraction.Extractor, "__init__", with_ahead)
    return request.param


def test_concatenated_batches_are_the_maps(photographs, memory, n_ahead):
    paths = [*photographs[0], photographs[0][3]]
    extractor = FeatureMaps(Pooled(), **SETTINGS, memory=memory)
    batches = list(extractor.iter_maps(paths))
    assert [len(batch[0]) for batch in batches] == [5, 5, 3]
    whole = FeatureMaps(Pooled(), image_size=32).fit_transform(paths)
    assert batches[0][0].dtype == whole["map0"].dtype
    for i, name in enumerate(("map0", "map1")):
        got = np.concatenate([batch[i] for batch in batches])
        np.testing.assert_array_equal(got, whole[name])
    for i, path in enumerate(paths):
        (alone,) = extractor.iter_maps([path])
        np.testing.assert_array_equal(alone[0][0], whole["map0"][i])


def test_only_a_few_decoded_images_are_in_memory(
    photographs, memory, n_ahead, monkeypatch
):
    """At each decoding, count the decoded images that have not been freed."""
    alive = weakref.WeakSet()
    n_windows = 2 if n_ahead else 1
    most = 5 * max(n_ahead + 1, n_windows * extraction._WINDOW_BATCHES)

    class Decoded(np.ndarray):
        __hash__ = object.__hash__

    read = extraction.Images.network_input

    def counted(self, *args, **kwargs):
        pixels, key = read(self, *args, **kwargs)
        pixels = pixels.view(Decoded)
        alive.add(pixels)
        assert len(alive) <= most
        return pixels, key

    monkeypatch.setattr(extraction.Images, "network_input", counted)
    extractor = FeatureMaps(Pooled(), **SETTINGS, memory=memory)
    first = np.asarray(Image.open(photographs[0][0]).resize((40, 40)))
    images = np.stack([np.roll(first, i, axis=0) for i in range(40)] * 3)
    n_batches = 0
    for _ in extractor.iter_maps(images):
        n_batches += 1
    assert n_batches == 24
    gc.collect()
    assert not alive


def test_headers_and_settings_are_checked_before_anything_is_computed(
    photographs, memory, tmp_path
):
    log = str(tmp_path / "log")
    extractor = FeatureMaps(Pooled(log), **SETTINGS, memory=memory)
    (tmp_path / "letter.jpg").write_text("no image")
    with pytest.raises(ImageError, match=r"item 12.*letter\.jpg"):
        extractor.iter_maps([*photographs[0], str(tmp_path / "letter.jpg")])
    with pytest.raises(ValueError, match="batch_size"):
        extractor.set_params(batch_size=0).iter_maps(photographs[0])
    assert not Path(log).exists()


def test_a_truncated_image_is_named_after_the_batches_before_it(
    photographs, memory, n_ahead, tmp_path
):
    whole = Path(photographs[0][0]).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    batches = FeatureMaps(Pooled(), **SETTINGS, memory=memory).iter_maps(
        [*photographs[0][:6], str(tmp_path / "half.png"), *photographs[0][6:]]
    )
    if memory is None:
        assert len(next(batches)[0]) == 5
    with pytest.raises(ImageError, match=r"item 6.*half\.png"):
        list(batches)


def test_a_map_beyond_its_dtype_is_named_with_its_image(memory, n_ahead):
    class Bright(nn.Module):
        def forward(self, x):
            return torch.where(x > 2, x * 1e6, x)

    images = np.zeros((7, 32, 32, 3), np.uint8)
    images[6] = 255
    images[:, 0, 0] = np.arange(7)[:, None]
    extractor = FeatureMaps(Bright(), **SETTINGS, memory=memory)
    with pytest.raises(ValueError, match=r"item 6.*2\.\d+e\+06.*float16.*float32"):
        list(extractor.iter_maps(images))
    extractor.set_params(precision="float32").fit_transform(images)


def test_a_file_that_changes_meanwhile_changes_no_other_map(
    photographs, tmp_path, monkeypatch, n_ahead
):
    """Three files have the same content, until the first changes before decoding."""
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path in paths:
        shutil.copy(photographs[0][0], path)
    content_key = extraction.Images.content_key

    def content_key_then_change(self, i):
        key = content_key(self, i)
        if i == 2:
            shutil.copy(photographs[0][1], paths[0])
        return key

    monkeypatch.setattr(extraction.Images, "content_key", content_key_then_change)
    log = str(tmp_path / "log")
    cached = FeatureMaps(Pooled(log), **SETTINGS, memory=tmp_path / "maps")
    maps = cached.fit_transform(paths)
    assert len(Path(log).read_text()) == 2
    expected = FeatureMaps(Pooled(), **SETTINGS).fit_transform(paths)
    np.testing.assert_array_equal(maps, expected)


def test_an_abandoned_iterator_does_not_block_others(photographs, tmp_path, n_ahead):
    """If it did, two iterators that alternate in one thread would wait forever."""
    log = str(tmp_path / "log")
    extractor = FeatureMaps(Pooled(log), **SETTINGS, memory=tmp_path / "maps")
    abandoned = extractor.iter_maps(photographs[0])
    next(abandoned)
    both = zip(
        extractor.iter_maps(photographs[0]),
        extractor.iter_maps(photographs[0]),
        strict=True,
    )
    for first, second in both:
        np.testing.assert_array_equal(first[0], second[0])
    assert len(Path(log).read_text()) == len(photographs[0])


def test_an_iterator_that_is_closed_early_ends_its_threads(photographs):
    import threading

    before = threading.active_count()
    batches = FeatureMaps(Pooled(), **SETTINGS).iter_maps(photographs[0])
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before
