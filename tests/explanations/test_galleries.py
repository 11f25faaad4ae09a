"""Galleries against the best regions of all images, and the requests they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from skdpnet import (
    DPNetClassifier,
    DPNetTransformer,
    GlobalFeatures,
    best_regions,
    part_galleries,
    part_gallery,
)
from tests.explanations.models import SVM
from tests.parts.dpnet.made_maps import quick


def expected_gallery(parts, X, p, n):
    """Numbers of the images in the gallery of part p, and the best regions of all."""
    regions = best_regions(parts, X)
    order = np.argsort(-regions.responses[:, p], kind="stable")[:n]
    return order, regions


@pytest.mark.parametrize("n", [1, 8, 100])
def test_galleries_have_the_strongest_regions_of_all_images(fitted, n):
    model, parts, X = fitted
    for p in (0, 5, 6, 14, len(parts.parts_) - 1):
        order, expected = expected_gallery(parts, X, p, n)
        gallery = part_gallery(model, p, X, n)
        np.testing.assert_array_equal(gallery.images, order)
        np.testing.assert_array_equal(gallery.responses, expected.responses[order, p])
        np.testing.assert_array_equal(gallery.regions, expected.regions[order, p])
        np.testing.assert_array_equal(gallery.boxes, expected.boxes[order, p])
        assert (gallery.part, gallery.name) == (p, parts.get_feature_names_out()[p])


def test_galleries_of_several_parts_are_those_of_each(fitted):
    model, parts, X = fitted
    for chosen in ([14, 2, 7], None, parts.part_classes_ == 1):
        numbers = np.arange(len(parts.parts_))
        numbers = numbers if chosen is None else numbers[chosen]
        galleries = part_galleries(model, chosen, X, 5)
        assert [gallery.part for gallery in galleries] == numbers.tolist()
        for gallery in galleries:
            alone = part_gallery(parts, gallery.part, X, 5)
            np.testing.assert_array_equal(gallery.images, alone.images)
            np.testing.assert_array_equal(gallery.responses, alone.responses)
            np.testing.assert_array_equal(gallery.boxes, alone.boxes)
    assert part_galleries(model, [], X) == []


def test_earlier_images_come_first_among_equal_responses(fitted):
    model, _, X = fitted
    copies = np.repeat(X[:1], 40)
    assert part_gallery(model, 3, copies, 4).images.tolist() == [0, 1, 2, 3]


def test_galleries_need_parts_but_no_linear_classifier(fitted):
    _, parts, X = fitted
    y = np.arange(40) % 3
    nearest = KNeighborsClassifier().fit(parts.transform(X), y)
    gallery = part_gallery(make_pipeline(parts, nearest), 3, X)
    np.testing.assert_array_equal(gallery.boxes, part_gallery(parts, 3, X).boxes)
    pooled = make_pipeline(GlobalFeatures("precomputed"), clone(SVM)).fit(X, y)
    with pytest.raises(ValueError, match="Pipeline has no parts"):
        part_gallery(pooled, 0, X)


def test_unusable_requests_are_refused(fitted):
    model, parts, X = fitted
    n_parts = len(parts.parts_)
    for p in (n_parts, -1):
        message = f"there is no part .* numbers 0 to {n_parts - 1}"
        with pytest.raises(IndexError, match=message):
            part_gallery(model, p, X)
    for n in (0, -3, 2.5, True, None):
        with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
            part_gallery(model, 0, X, n)
    with pytest.raises(ValueError, match="one number, got .0, 1.: see part_galleries"):
        part_gallery(model, [0, 1], X)
    with pytest.raises(NotFittedError):
        part_gallery(clone(parts), 0, X)
    with pytest.raises(NotFittedError):
        part_gallery(GridSearchCV(model, {}), 0, X)


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
        regions = best_regions(parts, turned, apply_exif=upright)
        for p in (0, 3):
            gallery = part_gallery(parts, p, turned, 4, apply_exif=upright)
            expected = regions.boxes[gallery.images, p]
            np.testing.assert_array_equal(gallery.boxes, expected)


def test_galleries_of_features_have_the_whole_map_as_boxes():
    X = np.random.default_rng(0).normal(size=(30, 6))
    model = quick(DPNetClassifier, max_epochs=0).fit(X, np.arange(30) % 2)
    gallery = part_gallery(model, 0, X, 3)
    np.testing.assert_array_equal(gallery.boxes, [[0, 0, 1, 1]] * 3)
