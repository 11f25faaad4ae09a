"""Parts over many images: what they add to a class, where they respond most."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import skdpnet.base.part_estimator
import skdpnet.parts.soft_assign.feature_map
import skdpnet.parts.soft_assign.sinkhorn
from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    GlobalFeatures,
    SoftAssignParts,
    best_regions,
    explain,
    explain_class,
    part_galleries,
    part_gallery,
)
from tests.parts.dpnet.made_maps import SETTINGS, quick, two_maps

SVM = LinearSVC(random_state=0)


@pytest.fixture(scope="module", params=["DPNet", "two stages"])
def fitted(request):
    """A model, its parts and 40 new images, of which few are held at once."""
    X, y, _ = two_maps(60)
    if request.param == "DPNet":
        model = DPNetClassifier(**SETTINGS, max_epochs=1).fit(X, y)
        parts = model
    else:
        steps = SoftAssignParts(**SETTINGS), StandardScaler(), clone(SVM)
        model = make_pipeline(*steps).fit(X, y)
        parts = model[0]
    images = two_maps(40, seed=1)[0]
    with pytest.MonkeyPatch.context() as patch:
        few = 2**13
        patch.setattr(skdpnet.base.part_estimator, "_RESPONSE_BYTES", few)
        patch.setattr(skdpnet.parts.soft_assign.sinkhorn, "PIECE_BYTES", few)
        patch.setattr(skdpnet.parts.soft_assign.feature_map, "PIECE_BYTES", few)
        n_pieces = sum(1 for _ in parts.iter_responses(images))
        assert n_pieces > 3
        yield model, parts, images


def test_a_class_is_explained_by_means_over_images(fitted):
    model, parts, X = fitted
    told = explain_class(model, 1, X)
    each = [explain(model, one, 1) for one in X]
    np.testing.assert_allclose(
        told.contributions, np.mean([why.contributions for why in each], 0), atol=1e-6
    )
    assert told.score == pytest.approx(np.mean([why.score for why in each]), abs=1e-5)
    assert told.score == pytest.approx(model.decision_function(X)[:, 1].mean(), 1e-4)
    assert told.contributions.sum() + told.bias == pytest.approx(told.score)
    np.testing.assert_array_equal(told.weights, each[0].readout.coef[1])
    assert (np.diff(told.contributions[told.order]) <= 0).all()
    assert sorted(told.order) == list(range(15))
    assert (told.explained, told.n_images, told.bias) == (1, 40, each[0].bias)
    assert told.part_names.tolist() == parts.get_feature_names_out().tolist()
    assert told.part_maps.tolist() == parts.part_maps_.tolist()
    assert len(repr(told)) < 200


def test_a_class_s_own_parts_speak_for_it():
    X, y, _ = two_maps(120)
    model = DPNetClassifier(**SETTINGS, max_epochs=5).fit(X, y)
    for label in (1, 2):
        told = explain_class(model, label, X[y == label])
        assert told.part_classes[told.order[0]] == label
        assert told.contributions[told.order[0]] > 0


def expected_gallery(parts, X, p, n):
    found = best_regions(parts, X)
    order = np.argsort(-found.responses[:, p], kind="stable")[:n]
    return order, found


@pytest.mark.parametrize("n", [1, 8, 100])
def test_galleries_hold_the_strongest_regions_of_all(fitted, n):
    model, parts, X = fitted
    for p in (0, 5, 6, 14):
        order, found = expected_gallery(parts, X, p, n)
        gallery = part_gallery(model, p, X, n)
        np.testing.assert_array_equal(gallery.images, order)
        np.testing.assert_array_equal(gallery.responses, found.responses[order, p])
        np.testing.assert_array_equal(gallery.regions, found.regions[order, p])
        np.testing.assert_array_equal(gallery.boxes, found.boxes[order, p])
        assert (gallery.part, gallery.name) == (p, parts.get_feature_names_out()[p])


def test_galleries_of_several_parts_are_those_of_each(fitted):
    model, parts, X = fitted
    for asked in ([14, 2, 7], None, parts.part_classes_ == 1):
        numbers = np.arange(15)[slice(None) if asked is None else asked]
        several = part_galleries(model, asked, X, 5)
        assert [gallery.part for gallery in several] == numbers.tolist()
        for gallery in several:
            alone = part_gallery(parts, gallery.part, X, 5)
            np.testing.assert_array_equal(gallery.images, alone.images)
            np.testing.assert_array_equal(gallery.responses, alone.responses)
            np.testing.assert_array_equal(gallery.boxes, alone.boxes)
    assert part_galleries(model, [], X) == []


def test_of_equal_responses_the_first_images_are_shown(fitted):
    model, _, X = fitted
    same = np.repeat(X[:1], 40)
    assert part_gallery(model, 3, same, 4).images.tolist() == [0, 1, 2, 3]


def test_galleries_need_parts_but_no_linear_classifier(fitted):
    _, parts, X = fitted
    y = np.arange(40) % 3
    nearest = KNeighborsClassifier().fit(parts.transform(X), y)
    gallery = part_gallery(make_pipeline(parts, nearest), 3, X)
    np.testing.assert_array_equal(gallery.boxes, part_gallery(parts, 3, X).boxes)
    pooled = make_pipeline(GlobalFeatures("precomputed"), clone(SVM)).fit(X, y)
    with pytest.raises(ValueError, match="Pipeline has no parts"):
        part_gallery(pooled, 0, X)


def test_bad_requests_are_told(fitted):
    model, parts, X = fitted
    for p in (15, -1):
        with pytest.raises(IndexError, match="there is no part .* numbers 0 to 14"):
            part_gallery(model, p, X)
    for n in (0, -3, 2.5, True, None):
        with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
            part_gallery(model, 0, X, n)
    with pytest.raises(ValueError, match="5 is none of the 3 classes; they are 0, 1"):
        explain_class(model, 5, X)
    with pytest.raises(NotFittedError):
        part_gallery(clone(parts), 0, X)
    with pytest.raises(NotFittedError):
        part_gallery(GridSearchCV(model, {}), 0, X)
    with pytest.raises(NotFittedError):
        explain_class(clone(model), 1, X)


def test_boxes_are_in_the_pixels_of_each_image(photographs, tmp_path):
    paths, y = photographs
    turned = []
    for i, path in enumerate(paths):
        exif = Image.Exif()
        exif[0x0112] = (1, 6, 3)[i % 3]
        turned.append(tmp_path / f"{i}.png")
        with Image.open(path) as image:
            image.crop((0, 0, 170, 140)).save(turned[-1], exif=exif)
    parts = DPNetTransformer(
        image_size=64, n_parts_per_class=2, max_epochs=0, random_state=0
    ).fit(turned, y)
    for upright in (False, True):
        found = best_regions(parts, turned, apply_exif=upright)
        for p in (0, 3):
            gallery = part_gallery(parts, p, turned, 4, apply_exif=upright)
            expected = found.boxes[gallery.images, p]
            np.testing.assert_array_equal(gallery.boxes, expected)


def test_both_kinds_of_map_features_have_galleries():
    X = np.random.default_rng(0).normal(size=(30, 6))
    model = quick(DPNetClassifier, max_epochs=0).fit(X, np.arange(30) % 2)
    gallery = part_gallery(model, 0, X, 3)
    np.testing.assert_array_equal(gallery.boxes, [[0, 0, 1, 1]] * 3)
