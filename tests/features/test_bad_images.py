"""Images that are found bad while maps are computed: all are named, nothing is lost."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

import skdpnet
from skdpnet.backbones.backbone import Backbone
from skdpnet.exceptions import ImageError
from skdpnet.images.collection import as_images

N, BAD = 11, [1, 4, 5, 10]
SETTINGS = {"image_size": 64, "framing": "crop"}


@pytest.fixture
def paths(tmp_path):
    """Eleven files, of which four are cut off; the last is a copy of the second."""
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(N)]
    for i, path in enumerate(paths):
        pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        if i in BAD:
            path.write_bytes(path.read_bytes()[:-300])
    shutil.copy(paths[1], paths[10])
    return paths


@pytest.fixture
def seen(monkeypatch):
    """Count the images that pass through the network."""
    counts = []
    start = Backbone.start

    def counted(self, pixels, *args, **options):
        counts.append(len(pixels))
        return start(self, pixels, *args, **options)

    monkeypatch.setattr(Backbone, "start", counted)
    return counts


def extractor(tmp_path, with_memory, **options):
    memory = tmp_path / "maps" if with_memory else None
    return skdpnet.FeatureMaps(**SETTINGS, memory=memory, **options)


def bad_of(call, *args):
    with pytest.raises(ImageError, match=f"^4 of {N} images cannot be used") as error:
        call(*args)
    return [each.index for each in error.value.errors]


@pytest.mark.parametrize("with_memory", [False, True])
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_all_are_named(tmp_path, paths, with_memory, num_workers, batch_size, seen):
    maps = extractor(
        tmp_path, with_memory, num_workers=num_workers, batch_size=batch_size
    )
    for call in (maps.transform, maps.fit_transform, lambda X: list(maps.iter_maps(X))):
        assert bad_of(call, paths) == BAD
    if with_memory:
        # What could be computed was kept.
        seen.clear()
        good = [path for i, path in enumerate(paths) if i not in BAD]
        assert len(maps.transform(good)) == N - len(BAD)
        assert not seen
    else:
        # After the first bad image, the others are only decoded.
        assert sum(seen) <= 3 * BAD[0]


@pytest.mark.parametrize("with_memory", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_a_view_that_skips(tmp_path, paths, with_memory, batch_size):
    maps = extractor(tmp_path, with_memory, batch_size=batch_size)
    good = [path for i, path in enumerate(paths) if i not in BAD]
    images = as_images([*paths, "no such file.png"]).skipping()
    found = maps.transform(images)
    assert sorted(error.index for error in images.left_out) == [*BAD, N]
    np.testing.assert_array_equal(found, maps.transform(good))
    with pytest.raises(ImageError, match="^5 of 5 images"):
        maps.transform(images.take([*BAD, N]).skipping())


@pytest.mark.parametrize("with_memory", [False, True])
def test_estimators_name_all(tmp_path, paths, with_memory):
    memory = tmp_path / "maps" if with_memory else None
    y = np.arange(N) % 2
    for estimator in (
        skdpnet.DPNetClassifier(max_epochs=1, n_parts_per_class=2),
        skdpnet.SoftAssignParts(n_parts_per_class=2),
        skdpnet.GlobalFeatures(),
        skdpnet.VLAD(n_words=2),
    ):
        estimator.set_params(**SETTINGS, memory=memory)
        assert bad_of(estimator.fit, paths, y) == BAD
        good = [i for i in range(N) if i not in BAD]
        estimator.fit([paths[i] for i in good], y[good])
        for name in ("transform", "predict", "predict_proba"):
            if hasattr(estimator, name):
                assert bad_of(getattr(estimator, name), paths) == BAD


def test_a_file_that_vanishes_after_the_check(tmp_path, paths):
    good = [path for i, path in enumerate(paths) if i not in BAD]
    for with_memory in (False, True):
        batches = extractor(tmp_path, with_memory, batch_size=1).iter_maps(good)
        good[-1].rename(tmp_path / "elsewhere.png")
        with pytest.raises(ImageError, match="no such file") as error:
            list(batches)
        assert error.value.path == str(good[-1])
        (tmp_path / "elsewhere.png").rename(good[-1])
