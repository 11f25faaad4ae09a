"""Explanations: heat maps, boxes, differences and the parts that raise the score."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skdpnet import (
    DPNetClassifier,
    SoftAssignParts,
    best_regions,
    explain,
    explain_each,
)
from tests.explanations.marked_images import (
    GREEN,
    PLACES,
    RED,
    TURNS,
    MeanColours,
    draw_image,
)
from tests.explanations.models import SVM, learned
from tests.parts.dpnet.cosines import cosines
from tests.parts.dpnet.made_maps import SETTINGS, quick, two_maps


def heat_in_numpy(parts, maps, contributions, beta, shape):
    """The heat map cell by cell, where the cells of maps divide those of others."""
    heat = np.zeros(shape)
    for i, feature_map in enumerate(maps):
        (S,) = cosines(parts, feature_map[None], i)
        if beta is None:
            weights = (S.max(0) == S) * 1.0
        else:
            weights = np.exp(beta * S) / np.exp(beta * S).sum(0)
        times = shape[0] // feature_map.shape[0]
        on_map = contributions[parts.part_maps_ == i]
        for r, (top, left, bottom, right) in enumerate(parts.grids_[i].cells):
            n_cells = (bottom - top) * (right - left) * times**2
            heat[top * times : bottom * times, left * times : right * times] += (
                weights[r] @ on_map / n_cells
            )
    # A part of the whole image, the context, is everywhere alike.
    return heat + contributions[parts.part_maps_ == len(maps)].sum() / heat.size


@pytest.fixture(scope="module", params=["soft", "hard", "two stages"])
def on_two_maps(request):
    X, y, where = two_maps(60)
    if request.param == "two stages":
        parts = SoftAssignParts(**SETTINGS)
        model = make_pipeline(parts, LinearSVC(random_state=0)).fit(X, y)
        return model, model[0], None, X, y
    beta = {"soft": 40.0, "hard": None}[request.param]
    # `cosines` are those of regions that count alike.
    model = DPNetClassifier(**SETTINGS, max_epochs=1, beta=beta, foreground=None)
    model.fit(X, y)
    assert (model.part_maps_ == 2).sum() == 3  # the contexts of three classes
    return model, model, beta, X, y


def test_heat_maps_follow_the_formula(on_two_maps):
    model, parts, beta, X, y = on_two_maps
    for i in range(5):
        why = explain(model, X[i], int(y[i]))
        maps = [X[name][i] for name in X.dtype.names]
        assert why.heat_map().shape == (8, 8)
        expected = heat_in_numpy(parts, maps, why.contributions, beta, (8, 8))
        np.testing.assert_allclose(why.heat_map(), expected, atol=1e-4)
        numbers = [11, 2, 11, len(parts.parts_) - 1]
        n_parts = len(why.contributions)
        chosen = np.where(np.isin(np.arange(n_parts), numbers), why.contributions, 0)
        expected = heat_in_numpy(parts, maps, chosen, beta, (8, 8))
        np.testing.assert_allclose(why.heat_map(numbers), expected, atol=1e-4)
        by_part = [why.heat_map(p) for p in range(n_parts)]
        np.testing.assert_allclose(sum(by_part), why.heat_map(), atol=1e-12)
        np.testing.assert_allclose(
            np.sum(by_part, axis=(1, 2)), why.contributions, atol=1e-12
        )
        mask = why.part_classes == y[i]
        np.testing.assert_array_equal(
            why.heat_map(mask), why.heat_map(np.flatnonzero(mask))
        )
    assert not why.heat_map([]).any()


def test_attributes_of_parts_are_those_of_the_estimator(on_two_maps):
    model, parts, beta, X, _ = on_two_maps
    regions = best_regions(parts, X[:4])
    for i in range(4):
        why = explain(model, X[i])
        np.testing.assert_array_equal(why.boxes, regions.boxes[i])
        np.testing.assert_allclose(why.responses, regions.responses[i], atol=1e-6)
        descriptor = parts.transform(X[i : i + 1])[0]
        np.testing.assert_allclose(why.descriptor, descriptor, rtol=1e-5, atol=1e-6)
        assert why.part_names.tolist() == parts.get_feature_names_out().tolist()
        assert why.part_maps.tolist() == parts.part_maps_.tolist()
        assert why.beta == beta
        np.testing.assert_array_equal(why.heat_map_box, [0, 0, 1, 1])


@pytest.fixture(scope="module")
def coloured():
    images = [
        draw_image(colour, *place, 1)[0] for colour in (RED, GREEN) for place in PLACES
    ]
    y = ["red"] * 6 + ["green"] * 6
    return DPNetClassifier(
        MeanColours(16, 32),
        image_size=128,
        region_scales=(0.25,),
        n_parts_per_class=4,
        n_components=None,
        annealed_share=0,
        foreground=None,
        context=False,
        max_epochs=0,
        random_state=0,
    ).fit(images, y)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("colour, label", [(RED, "red"), (GREEN, "green")])
def test_boxes_and_heat_maps_show_the_mark(
    coloured, orientation, colour, label, tmp_path
):
    left, top = PLACES[1]
    stored, exif = draw_image(colour, left, top, orientation)
    path = tmp_path / "image.png"
    stored.save(path, exif=exif)
    other = {"red": "green", "green": "red"}[label]
    why = explain(coloured, str(path), label).difference(other)
    assert why.predicted == label
    part = int(coloured.parts_[:, colour.index(230)].argmax())
    assert why.contributions[part] > 0
    first, upper, last, lower = why.boxes[part].round().astype(int)
    pixels = np.asarray(stored)
    mark = (pixels == colour).all(-1)
    assert mark[upper:lower, first:last].all()
    assert mark[upper:lower, first:last].size == mark.sum()
    # The square that the network sees, in pixels of the stored image.
    wide = pixels.shape[1] > pixels.shape[0]
    square = [36, 0, 164, 128] if wide else [0, 36, 128, 164]
    np.testing.assert_array_equal(why.heat_map_box, square)

    upright = explain(coloured, str(path), label, apply_exif=True)
    np.testing.assert_array_equal(upright.heat_map_box, [36, 0, 164, 128])
    np.testing.assert_array_equal(upright.boxes[part], [left, top, left + 32, top + 32])
    # The heat map has the orientation of the upright image, and 8×8 cells of 16 pixels.
    heat = upright.difference(other).heat_map(part)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert left <= 36 + 16 * column < left + 32
    assert top <= 16 * row < top + 32
    regions = best_regions(coloured, [str(path)])
    np.testing.assert_array_equal(why.boxes, regions.boxes[0])


def test_an_image_may_be_of_any_type_alone_or_in_a_batch(coloured):
    image = draw_image(RED, *PLACES[2], 1)[0]
    pixels = np.asarray(image)
    expected = explain(coloured, image).contributions
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    objects = np.empty(1, object)
    objects[0] = image
    for batch in ([image], pixels, pixels[None], tensor, tensor[None], objects):
        why = explain(coloured, batch)
        np.testing.assert_allclose(why.contributions, expected, atol=1e-6)
    # A batch of one greyscale image.
    grey = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(
        explain(coloured, grey[None]).contributions,
        explain(coloured, image.convert("L")).contributions,
    )


def test_several_images_and_none_are_refused(coloured):
    image = draw_image(RED, *PLACES[2], 1)[0]
    with pytest.raises(ValueError, match="takes one image, got 2"):
        explain(coloured, [image, image])
    with pytest.raises(ValueError, match="a missing value"):
        explain(coloured, None)


def test_a_difference_has_the_differences_of_two_explanations(data):
    X, y = data
    model = make_pipeline(learned(), clone(SVM)).fit(X, y)
    bird, cat = explain(model, X[0], "bird"), explain(model, X[0], "cat")
    difference, reverse = bird.difference("cat"), cat.difference("bird")
    np.testing.assert_array_equal(difference.contributions, -reverse.contributions)
    np.testing.assert_array_equal(
        difference.heat_map([0, 3]), -reverse.heat_map([0, 3])
    )
    assert (difference.score, difference.bias) == (-reverse.score, -reverse.bias)
    assert (difference.explained, difference.against) == ("bird", "cat")
    assert reverse.against == "bird"
    np.testing.assert_allclose(
        difference.contributions, bird.contributions - cat.contributions, atol=1e-12
    )
    assert difference.score == bird.score - cat.score
    total = difference.contributions.sum() + difference.bias
    assert total == pytest.approx(difference.score)
    same_class = difference.difference("bird")
    assert not same_class.contributions.any()
    assert same_class.score == same_class.bias == 0


def test_an_explanation_prints_briefly_and_pickles(data):
    X, y = data
    why = explain(quick(DPNetClassifier, max_epochs=1).fit(X, y), X[0], "cat")
    assert "explained='cat', against=None, score=" in repr(why)
    assert len(repr(why)) < 200
    copy = pickle.loads(pickle.dumps(why))
    np.testing.assert_array_equal(copy.heat_map(), why.heat_map())


def test_top_parts_are_present_and_raise_the_score(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    for why in explain_each(model, X[:9]):
        for explanation in (
            why,
            why.difference("heron"),
            why.difference("swallow"),
        ):
            coef, classes = model[-1].coef_, explanation.classes.tolist()
            weights = coef[classes.index(explanation.explained)]
            if explanation.against is not None:
                weights = weights - coef[classes.index(explanation.against)]
            np.testing.assert_allclose(explanation.weights, weights)
            expected = np.flatnonzero((explanation.descriptor > 0) & (weights > 0))
            top = explanation.top_parts()
            assert set(top.tolist()) == set(expected.tolist())
            assert (np.diff(explanation.contributions[top]) <= 0).all()
            np.testing.assert_array_equal(explanation.top_parts(2), top[:2])


def test_unknown_classes_and_parts_are_refused(three):
    X, y, parts = three
    model = make_pipeline(parts, clone(SVM).fit(parts.transform(X), y))
    why = explain(model, X[0])
    with pytest.raises(ValueError, match="did you mean 'heron'"):
        why.difference("herons")
    n = len(parts.parts_)
    for numbers in (n, -1, [3, n], np.ones(5, bool)):
        with pytest.raises(IndexError, match=rf"no part|does not fit {n} parts"):
            why.heat_map(numbers)
    for numbers, message in [(1.0, "float"), ("heron_part0", "got 'heron_part0'")]:
        with pytest.raises(TypeError, match=f"by whole numbers, .*{message}"):
            why.heat_map(numbers)
