"""DP-Net and the other estimators on several feature maps of an image."""

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
from tests.parts.dpnet.cosines import cosines
from tests.parts.dpnet.made_maps import PLAIN, SETTINGS, two_maps


@pytest.fixture(scope="module")
def train():
    return two_maps(180)


@pytest.fixture(scope="module")
def model(train):
    return DPNetClassifier(**SETTINGS, **PLAIN, max_epochs=10).fit(*train[:2])


def test_marks_on_either_map_are_learned(model):
    X, y, _ = two_maps(90, seed=1)
    assert model.score(X, y) > 0.9
    first_map_only = DPNetClassifier(**model.get_params()).fit(X["map0"], y)
    X_test, y_test, _ = two_maps(90, seed=2)
    assert first_map_only.score(X_test["map0"], y_test) < 0.8


def test_each_map_has_its_share_of_the_parts(model):
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


def test_descriptor_holds_the_maxima_of_both_maps(train, model):
    X = train[0]
    b = np.hstack(
        [
            np.log(np.exp(model.beta * cosines(model, X[name], i)).mean(1)) / model.beta
            for i, name in enumerate(X.dtype.names)
        ]
    )
    expected = (b - b.mean(0)) / b.std(0) / np.sqrt(b.shape[1])
    np.testing.assert_allclose(model.transform(X), expected, atol=1e-4)


def test_best_regions_lie_on_the_map_of_the_part(model):
    X, y, where = two_maps(60, seed=3)
    regions = best_regions(model, X)
    for i, side in ((0, 8), (1, 4)):
        on_map = model.part_maps_ == i
        expected = cosines(model, X[f"map{i}"], i)
        np.testing.assert_allclose(
            regions.responses[:, on_map], expected.max(1), atol=1e-4
        )
        boxes = model.grids_[i].cells[expected.argmax(1)] / side
        np.testing.assert_allclose(regions.boxes[:, on_map], boxes[..., [1, 0, 3, 2]])
    # The part that contributes most to a class with a mark responds to the mark.
    strongest = (model.coef_[y] * model.transform(X)).argmax(1)
    images = np.arange(len(X))
    boxes = regions.boxes[images, strongest]
    for label, side in ((1, 8), (2, 4)):
        in_class = y == label
        centre = (where[in_class][:, ::-1] + 0.5) / side
        left_top, right_bottom = np.split(boxes[in_class], 2, axis=1)
        inside = (left_top < centre).all(1) & (centre < right_bottom).all(1)
        assert inside.mean() > 0.9


def test_penalties_reach_the_parts_of_every_map(train, model):
    X, y, _ = train
    settings = {**SETTINGS, **PLAIN, "max_epochs": 15, "lr": 0.02}
    plain = DPNetClassifier(**settings).fit(X, y)
    penalised = DPNetClassifier(**settings, orthogonality_weight=100.0).fit(X, y)

    def overlap(fitted, i):
        u = fitted.parts_[fitted.part_maps_ == i]
        return np.square(u @ u.T).sum() - len(u)

    for i in (0, 1):
        assert overlap(penalised, i) < 0.8 * overlap(plain, i)


@pytest.mark.parametrize(
    "descriptor",
    [
        DPNetTransformer(**SETTINGS, max_epochs=2),
        SoftAssignParts(**SETTINGS),
        GlobalFeatures("precomputed"),
    ],
    ids=lambda descriptor: type(descriptor).__name__,
)
def test_every_estimator_cross_validates_on_several_maps(train, descriptor):
    X, y, _ = train
    pipe = make_pipeline(descriptor, LinearSVC(random_state=0))
    scores = cross_val_score(pipe, X, y, cv=3)
    assert scores.min() > 0.5


def test_other_and_unusable_maps_are_refused(train, model):
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
    """Two maps: the colours of the image at 1/8 and at 1/16 of its size."""

    def forward(self, x):
        pool = nn.functional.avg_pool2d
        return pool(x, 8), pool(x, 16)


@pytest.mark.parametrize("backbone", [Halves(), "efficientnet_lite0"])
def test_extracted_maps_give_the_same_descriptors_as_images(tmp_path, backbone):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    y = np.arange(12) % 2
    settings = {"strides": (16, 32), "image_size": 64, "memory": tmp_path}
    maps = FeatureMaps(backbone, **settings).fit_transform(images)
    cached = FeatureMaps(backbone, **settings).fit_transform(images)
    assert maps.dtype.names == ("map0", "map1")
    for name in maps.dtype.names:
        np.testing.assert_array_equal(maps[name], cached[name])
    learning = {**SETTINGS, "max_epochs": 2}
    del learning["backbone"]
    on_images = DPNetTransformer(backbone, **settings, **learning)
    on_maps = DPNetTransformer("precomputed", **learning)
    np.testing.assert_array_equal(
        on_images.fit_transform(images, y), on_maps.fit_transform(maps, y)
    )


@pytest.mark.parametrize("strides", [(), "16", (0,), (1.5,), 16, (16, "first")])
def test_unusable_strides_are_refused(strides):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="strides must be a sequence of whole numbers"):
        FeatureMaps(strides=strides).fit(images)
