"""Parts on several feature maps of an image."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from torch import nn

from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    FeatureMaps,
    GlobalFeatures,
    SoftAssignParts,
    best_regions,
)
from tests.parts.dpnet.made_maps import SETTINGS, two_maps


@pytest.fixture(scope="module")
def train():
    return two_maps(180)


@pytest.fixture(scope="module")
def model(train):
    return DPNetClassifier(**SETTINGS, max_epochs=10).fit(*train[:2])


def test_what_lies_on_either_map_is_learned(model):
    X, y, _ = two_maps(90, seed=1)
    assert model.score(X, y) > 0.9
    one_map = DPNetClassifier(**SETTINGS, max_epochs=10).fit(X["map0"], y)
    Z, z, _ = two_maps(90, seed=2)
    assert one_map.score(Z["map0"], z) < 0.8


def test_parts_are_shared_out_among_the_maps(model):
    assert model.map_shapes_ == ((8, 8, 14), (4, 4, 18))
    assert model.part_maps_.tolist() == [0] * 6 + [1] * 9
    assert (
        model.part_classes_.tolist() == [0, 0, 1, 1, 2, 2] + [0] * 3 + [1] * 3 + [2] * 3
    )
    assert model.parts_.shape == (15, 18)
    assert (model.parts_[:6, 14:] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(model.parts_, axis=1), 1, atol=1e-6)
    names = model.get_feature_names_out()
    assert len(set(names)) == 15
    assert names[0] == "0_part0"
    assert names[-1] == "2_part4"


def _cosines(model, X, i):
    """Responses of the parts of map i, region by region, in NumPy."""
    whitening, grid = model.whitenings_[i], model.grids_[i]
    parts = model.parts_[model.part_maps_ == i, : whitening.projection.shape[1]]
    out = []
    for one in X[f"map{i}"].astype(np.float64):
        responses = []
        for top, left, bottom, right in grid.cells:
            x = one[top:bottom, left:right].mean(axis=(0, 1))
            x = (x / np.linalg.norm(x) - whitening.mean) @ whitening.projection
            responses.append(parts @ (x / np.linalg.norm(x)))
        out.append(responses)
    return np.array(out)


def test_descriptor_holds_the_maxima_of_both_maps(train, model):
    X = train[0]
    b = np.hstack(
        [
            np.log(np.exp(model.beta * _cosines(model, X, i)).mean(1)) / model.beta
            for i in (0, 1)
        ]
    )
    expected = (b - b.mean(0)) / b.std(0) / np.sqrt(b.shape[1])
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-4)


def test_best_regions_lie_on_the_part_s_own_map(model):
    X, y, where = two_maps(60, seed=3)
    found = best_regions(model, X)
    for i, side in ((0, 8), (1, 4)):
        own = model.part_maps_ == i
        responses = _cosines(model, X, i)
        np.testing.assert_allclose(found.responses[:, own], responses.max(1), atol=1e-4)
        boxes = model.grids_[i].cells[responses.argmax(1)] / side
        np.testing.assert_allclose(found.boxes[:, own], boxes[..., [1, 0, 3, 2]])
    # The part that speaks most for a class with a mark is found on the mark.
    strongest = (model.coef_[y] * model.transform(X)).argmax(1)
    images = np.arange(len(X))
    boxes = found.boxes[images, strongest]
    for label, side in ((1, 8), (2, 4)):
        mine = y == label
        centre = (where[mine][:, ::-1] + 0.5) / side
        inside = (boxes[mine, :2] < centre).all(1) & (centre < boxes[mine, 2:]).all(1)
        assert inside.mean() > 0.9


def test_penalties_reach_the_parts_of_every_map(train, model):
    X, y, _ = train
    settings = {**SETTINGS, "max_epochs": 15, "lr": 0.02}
    free = DPNetClassifier(**settings).fit(X, y)
    bound = DPNetClassifier(**settings, orthogonality_weight=100.0).fit(X, y)

    def overlap(fitted, i):
        u = fitted.parts_[fitted.part_maps_ == i]
        return np.square(u @ u.T).sum() - len(u)

    for i in (0, 1):
        assert overlap(bound, i) < 0.8 * overlap(free, i)


@pytest.mark.parametrize(
    "descriptor",
    [
        DPNetTransformer(**SETTINGS, max_epochs=2),
        SoftAssignParts(**SETTINGS),
        GlobalFeatures("precomputed"),
    ],
    ids=lambda d: type(d).__name__,
)
def test_every_estimator_cross_validates_on_several_maps(train, descriptor):
    X, y, _ = train
    pipe = make_pipeline(descriptor, LinearSVC(random_state=0))
    scores = cross_val_score(pipe, X, y, cv=3)
    assert scores.min() > 0.5


def test_other_maps_and_bad_ones_are_told(train, model):
    X, y, _ = train
    with pytest.raises(ValueError, match=r"\(8, 8, 14\), but .* and \(4, 4, 18\)"):
        model.predict(X["map0"])
    broken = X.copy()
    broken["map1"][3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="map1 contains NaN"):
        model.predict(broken)
    flat = np.zeros(9, np.dtype([("map0", "f4", (8, 6))]))
    with pytest.raises(ValueError, match="field 'map0' of X must hold maps"):
        model.fit(flat, y[:9])
    with pytest.raises(ValueError, match="n_parts_per_class=1 leaves some of the 2"):
        DPNetClassifier("precomputed", n_parts_per_class=1).fit(X, y)


class Halves(nn.Module):
    """The image's colours at 1/8 and at 1/16 of its size, as two maps."""

    def forward(self, x):
        pool = nn.functional.avg_pool2d
        return pool(x, 8), pool(x, 16)


@pytest.mark.parametrize("backbone", [Halves(), "efficientnet_lite0"])
def test_extracted_maps_are_as_good_as_images(tmp_path, backbone):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    y = np.arange(12) % 2
    settings = {"strides": (16, 32), "image_size": 64, "memory": tmp_path}
    maps = FeatureMaps(backbone, **settings).fit_transform(images)
    again = FeatureMaps(backbone, **settings).fit_transform(images)
    assert maps.dtype.names == ("map0", "map1")
    for name in maps.dtype.names:
        np.testing.assert_array_equal(maps[name], again[name])
    learning = {**SETTINGS, "max_epochs": 2}
    del learning["backbone"]
    direct = DPNetTransformer(backbone, **settings, **learning)
    given = DPNetTransformer("precomputed", **learning)
    np.testing.assert_array_equal(
        direct.fit_transform(images, y), given.fit_transform(maps, y)
    )


@pytest.mark.parametrize("strides", [(), "16", (0,), (1.5,), 16])
def test_unusable_strides_are_told(strides):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="strides must be a sequence of whole numbers"):
        FeatureMaps(strides=strides).fit(images)
