"""Every estimator on real images: containers, caches, searches and large maps."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC

from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    GlobalFeatures,
    SoftAssignParts,
)
from skdpnet.features import feature_maps
from skdpnet.images import ImageError
from skdpnet.regions import whitening
from skdpnet.storage import large_arrays
from tests.features.test_feature_maps import is_mapped
from tests.probes import n_real_images

SIZE = 96
QUICK = {"image_size": SIZE, "region_scales": (0.3, 0.6), "n_parts_per_class": 3}


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return str(tmp_path_factory.mktemp("maps"))


@pytest.fixture(
    params=[GlobalFeatures, SoftAssignParts, DPNetTransformer, DPNetClassifier],
    ids=lambda cls: cls.__name__,
)
def estimator(request, memory):
    if request.param is GlobalFeatures:
        return GlobalFeatures(image_size=SIZE, memory=memory)
    extra = {} if request.param is SoftAssignParts else {"max_epochs": 3}
    return request.param(**QUICK, **extra, memory=memory, random_state=0)


def _open(paths):
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(image.copy())
    return images


def _containers(paths):
    images = _open(paths)
    arrays = [np.array(image) for image in images]
    column = np.empty((len(paths), 1), dtype=object)
    column[:, 0] = paths
    return {
        "array of paths": np.array(paths),
        "column of paths": column,
        "PIL images": images,
        "uint8 arrays": arrays,
        "float arrays": [array / 255 for array in arrays],
        "tensors": [torch.from_numpy(array).permute(2, 0, 1) for array in arrays],
        "mixed": [paths[0], images[1], *arrays[2:]],
    }


def test_all_containers_of_the_same_pixels_give_the_same_descriptors(
    estimator, photographs
):
    paths, y = photographs
    expected = estimator.fit(paths, y).transform(paths)
    for name, container in _containers(paths).items():
        got = estimator.transform(container)
        np.testing.assert_allclose(got, expected, atol=1e-4, err_msg=name)


def test_fit_on_arrays_is_fit_on_paths(estimator, photographs):
    paths, y = photographs
    arrays = [np.array(image) for image in _open(paths)]
    on_paths = clone(estimator).fit(paths, y).transform(paths)
    on_arrays = clone(estimator).fit(arrays, y).transform(paths)
    np.testing.assert_allclose(on_paths, on_arrays, atol=1e-4)


def test_an_image_has_the_same_descriptor_alone_and_in_a_batch(estimator, photographs):
    paths, y = photographs
    together = estimator.fit(paths, y).transform(paths)
    alone = [estimator.transform([path])[0] for path in paths]
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_a_pickled_estimator_gives_the_same_descriptors(estimator, photographs):
    paths, y = photographs
    copy = pickle.loads(pickle.dumps(estimator.fit(paths, y)))
    np.testing.assert_array_equal(copy.transform(paths), estimator.transform(paths))


def test_bad_images_are_named_before_training(estimator, photographs, tmp_path):
    paths, y = photographs
    (tmp_path / "notes.jpg").write_text("not an image")
    bad = [*paths[:4], str(tmp_path / "notes.jpg"), *paths[5:]]
    with pytest.raises(ImageError, match=r"item 4 .*notes\.jpg"):
        estimator.fit(bad, y)
    with pytest.raises(ValueError, match="precomputed"):
        estimator.fit(np.random.default_rng(0).random((12, 5)), y)


def test_set_output_gives_frames(estimator, photographs):
    pandas = pytest.importorskip("pandas")
    paths, y = photographs
    frame = estimator.set_output(transform="pandas").fit(paths, y).transform(paths)
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(estimator.get_feature_names_out())


def test_paths_may_be_a_column_of_a_frame(photographs, memory):
    pandas = pytest.importorskip("pandas")
    paths, y = photographs
    frame = pandas.DataFrame({"path": paths, "weight": 1.0})
    both = ColumnTransformer(
        [("global", GlobalFeatures(image_size=SIZE, memory=memory), ["path"])],
        remainder="passthrough",
    )
    got = both.fit_transform(frame)
    expected = GlobalFeatures(image_size=SIZE, memory=memory).fit_transform(paths)
    np.testing.assert_allclose(got[:, :-1], expected)


def test_cat_and_coffee_are_classified(photographs, memory):
    paths, y = photographs
    model = DPNetClassifier(**QUICK, max_epochs=5, memory=memory, random_state=0)
    scores = cross_val_score(model, paths, y, cv=3)
    assert scores.mean() > 0.9


class Counting(torch.nn.Module):
    """A small network that logs the number of images that it saw."""

    def __init__(self, log):
        super().__init__()
        self.log = log
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 16, 16, stride=16)

    def forward(self, x):
        with open(self.log, "a") as file:
            file.write("x" * n_real_images(x))
        return self.layer(x).relu()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_grid_search_shows_the_backbone_each_image_once(
    photographs, tmp_path, n_jobs
):
    paths, y = photographs
    log = tmp_path / "log"
    parts = DPNetTransformer(
        Counting(str(log)),
        **QUICK,
        max_epochs=1,
        memory=tmp_path / "maps",
        random_state=0,
    )
    search = GridSearchCV(
        Pipeline([("parts", parts), ("svm", LinearSVC(random_state=0))]),
        {
            "parts__orthogonality_weight": [0, 0.1],
            "parts__specificity_weight": [0, 0.1],
        },
        cv=3,
        n_jobs=n_jobs,
    )
    search.fit(paths, y)
    assert len(log.read_text()) == len(paths)
    search.predict(paths)
    assert len(log.read_text()) == len(paths)


def test_a_search_in_two_processes_gives_the_same_scores(photographs, memory):
    paths, y = photographs
    pipe = Pipeline(
        [
            (
                "parts",
                DPNetTransformer(**QUICK, max_epochs=2, memory=memory, random_state=0),
            ),
            ("svm", LinearSVC(random_state=0)),
        ]
    )
    grid = {"parts__n_parts_per_class": [2, 3], "svm__C": [0.1, 10]}
    scores = [
        GridSearchCV(pipe, grid, cv=2, n_jobs=n)
        .fit(paths, y)
        .cv_results_["mean_test_score"]
        for n in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


def test_maps_larger_than_memory_give_the_same_model(photographs, memory, monkeypatch):
    paths, y = photographs
    settings = {**QUICK, "max_epochs": 2, "memory": memory, "random_state": 0}
    expected = DPNetClassifier(**settings, validation_fraction=0.5).fit(paths, y)
    allocated = []
    original = large_arrays.allocate

    def allocate(*args):
        allocated.append(original(*args))
        return allocated[-1]

    monkeypatch.setattr(large_arrays, "_IN_MEMORY_SHARE", 0.0)
    for module in (feature_maps, whitening):
        monkeypatch.setattr(module, "allocate", allocate)
    got = DPNetClassifier(**settings, validation_fraction=0.5).fit(paths, y)
    assert allocated
    assert all(is_mapped(array) for array in allocated)
    np.testing.assert_array_equal(got.parts_, expected.parts_)
    np.testing.assert_allclose(
        got.predict_proba(paths), expected.predict_proba(paths), atol=1e-6
    )


def test_a_pipeline_shows_the_backbone_each_image_once(photographs, tmp_path):
    paths, y = photographs
    log = tmp_path / "log"
    for cls in (DPNetTransformer, SoftAssignParts, GlobalFeatures):
        settings = {} if cls is GlobalFeatures else QUICK
        parts = cls(Counting(str(log)), **{**settings, "image_size": SIZE})
        Pipeline([("parts", parts), ("svm", LinearSVC())]).fit(paths, y)
        assert len(log.read_text()) == len(paths), cls
        log.unlink()


def test_a_changed_image_changes_its_descriptor(photographs, memory, tmp_path):
    paths, y = photographs
    image = tmp_path / "image.png"
    shutil.copy(paths[0], image)
    features = GlobalFeatures(image_size=SIZE, memory=memory).fit(paths)
    before = features.transform([image])
    shutil.copy(paths[-1], image)
    after = features.transform([image])
    np.testing.assert_array_equal(after, features.transform(paths[-1:]))
    assert np.abs(after - before).max() > 0.01
