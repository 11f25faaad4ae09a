"""Feature maps do not depend on the container, the batch size or the workers."""

from __future__ import annotations

import mmap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from torch import nn

from skdpnet import FeatureMaps
from skdpnet.exceptions import ImageError
from skdpnet.images.collection import as_images
from skdpnet.images.framing import Framing
from skdpnet.images.geometry import preprocess
from skdpnet.storage import large_arrays


def is_mapped(array) -> bool:
    """Return whether an array's memory is a mapped file."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(getattr(array, "obj", array), mmap.mmap)


class Means(nn.Module):
    """Means over patches of 16×16 pixels, which NumPy can compute as well."""

    def forward(self, x):
        return nn.functional.avg_pool2d(x, 16)


def test_maps_are_those_of_the_backbone_for_preprocessed_images(photographs):
    paths, _ = photographs
    maps = FeatureMaps(Means(), image_size=64, precision="float32").fit_transform(paths)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for path, got in zip(paths, maps, strict=True):
        with Image.open(path) as image:
            pixels = preprocess(image, Framing(64, "crop")) / 255
        x = (pixels - mean) / std
        expected = x.reshape(4, 16, 4, 16, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_paths_images_arrays_and_tensors_give_the_same_maps(photographs):
    paths, _ = photographs
    extractor = FeatureMaps(image_size=64)
    expected = extractor.fit_transform(paths[:3])
    arrays = []
    for path in paths[:3]:
        with Image.open(path) as image:
            arrays.append(np.array(image))
    images = [Image.fromarray(array) for array in arrays]
    tensors = [torch.from_numpy(a).permute(2, 0, 1) for a in arrays]
    for container in (images, arrays, tensors, np.array(paths[:3])):
        np.testing.assert_array_equal(extractor.transform(container), expected)


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"num_workers": 0}])
def test_batches_and_workers_do_not_change_the_maps(photographs, settings):
    paths, _ = photographs
    expected = FeatureMaps(image_size=64, precision="float32").fit_transform(paths)
    got = FeatureMaps(image_size=64, precision="float32", **settings)
    np.testing.assert_allclose(got.fit_transform(paths), expected, atol=1e-4)


def test_precision_decides_the_dtype_of_the_maps(photographs):
    paths = photographs[0][:2]
    exact = FeatureMaps(image_size=64, precision="float32").fit_transform(paths)
    half = FeatureMaps(image_size=64).fit_transform(paths)
    coarse = FeatureMaps(image_size=64, precision="bfloat16").fit_transform(paths)
    assert exact.dtype == np.float32
    assert half.dtype == coarse.dtype == np.float16
    np.testing.assert_allclose(half, exact, rtol=1e-3, atol=1e-3)
    assert np.abs(coarse - exact).mean() < 0.05 * np.abs(exact).mean()
    assert np.abs(coarse - exact).max() > 0


def test_values_beyond_float16_are_an_error_not_infinity(photographs):
    large = FeatureMaps(lambda x: x * 1e6, image_size=16)
    with pytest.raises(ValueError, match=r"item 0.*float32"):
        large.fit_transform(photographs[0][:1])


def test_an_unreadable_image_is_named_before_the_backbone_runs(photographs, tmp_path):
    paths = photographs[0]
    calls = []

    def counting(x):
        calls.append(len(x))
        return x

    (tmp_path / "letter.jpg").write_text("no image")
    extractor = FeatureMaps(counting, image_size=16)
    bad = [*paths[:5], str(tmp_path / "letter.jpg")]
    with pytest.raises(ImageError, match=r"item 5.*letter\.jpg"):
        extractor.fit(bad)
    assert calls == []
    extractor.fit(paths)
    with pytest.raises(ImageError, match=r"item 5.*letter\.jpg"):
        extractor.transform(bad)
    # `fit` computes the maps of one image to find their shapes.
    assert calls == [1]


def test_threads_may_read_the_same_image(photographs):
    with Image.open(photographs[0][0]) as image:  # PIL decodes it on first use
        maps = FeatureMaps(Means(), image_size=32, num_workers=4).fit_transform(
            [image] * 8
        )
    assert (maps == maps[0]).all()


def test_an_image_is_not_checked_while_another_thread_decodes_it(photographs):
    threads = []

    class Hesitating(PngImageFile):
        """An image file that delays each thread's access more than the last one's."""

        @property
        def fp(self):
            if threading.get_ident() not in threads:
                threads.append(threading.get_ident())
                time.sleep(0.2 * (len(threads) - 1))
            return vars(self)["file"]

        @fp.setter
        def fp(self, file):
            vars(self)["file"] = file

    image = Hesitating(photographs[0][0])
    threads.clear()
    images = as_images([image] * 2)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(images.load, range(2))
    assert first.tobytes() == second.tobytes()


def test_precomputed_is_refused():
    with pytest.raises(ValueError, match="pass the maps themselves"):
        FeatureMaps("precomputed").fit_transform(np.zeros((1, 20, 20, 3), np.uint8))


def test_a_truncated_image_is_named_when_it_is_decoded(photographs, tmp_path):
    whole = Path(photographs[0][0]).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"item 1.*half\.png"):
        FeatureMaps(Means(), image_size=64).fit_transform(
            [photographs[0][0], str(tmp_path / "half.png")]
        )


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"precision": "double"}, "precision must be one of"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"image_size": 2.5}, "image_size must be a whole number"),
        ({"num_workers": -1}, "num_workers must be .* at least 0 or 'auto', got -1"),
        ({"num_workers": "all"}, "num_workers must be .* got 'all'"),
        ({"backbone": "resnet"}, "unknown backbone 'resnet'"),
        ({"device": "cuda:77"}, "device='cuda:77' cannot be used"),
        ({"device": "gpu"}, "device='gpu' cannot be used"),
    ],
)
def test_unusable_settings_are_named(photographs, setting, message):
    with pytest.raises(ValueError, match=message):
        FeatureMaps(**setting).fit_transform(photographs[0][:1])


def test_works_in_a_pipeline_and_clones(photographs):
    from skdpnet import GlobalFeatures

    paths, _ = photographs
    extractor = FeatureMaps(image_size=64, precision="float32")
    both = make_pipeline(clone(extractor), GlobalFeatures(backbone="precomputed"))
    direct = GlobalFeatures(image_size=64, precision="float32").fit_transform(paths)
    np.testing.assert_allclose(both.fit_transform(paths), direct, atol=1e-6)


def test_progress_is_shown_when_asked_for(photographs, capsys):
    FeatureMaps(Means(), image_size=32, verbose=1).fit_transform(photographs[0])
    assert "12/12" in capsys.readouterr().err
    FeatureMaps(Means(), image_size=32).fit_transform(photographs[0])
    assert capsys.readouterr().err == ""


def test_maps_through_a_file_are_the_same(photographs, monkeypatch):
    expected = FeatureMaps(Means(), image_size=32).fit_transform(photographs[0])
    monkeypatch.setattr(large_arrays, "_IN_MEMORY_SHARE", 0.0)
    got = FeatureMaps(Means(), image_size=32).fit_transform(photographs[0])
    assert is_mapped(got)
    np.testing.assert_array_equal(got, expected)
    sums = Parallel(n_jobs=2)(delayed(np.sum)(got[i], dtype=float) for i in (0, 1))
    np.testing.assert_allclose(sums, expected[:2].sum((1, 2, 3), dtype=float))
