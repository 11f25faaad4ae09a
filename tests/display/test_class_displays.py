"""Displays of what parts mean to classes: galleries, participation, the matrix."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skdpnet import DPNetClassifier, DPNetTransformer, best_regions
from skdpnet.display import (
    ClassPartMatrixDisplay,
    PartGalleryDisplay,
    ParticipationDisplay,
)
from tests.display.models import RED, colour_images, end_to_end, two_stages
from tests.parts.dpnet.made_maps import part_maps, quick

N_CLASSES = 3


@pytest.fixture(scope="module", params=[end_to_end, two_stages])
def model(request):
    return request.param().fit(*colour_images())


@pytest.fixture(scope="module")
def features():
    """A scaled pipeline of features, its data, V by hand, and b."""
    X, y, _ = part_maps(60, n_classes=N_CLASSES, labels=["bird", "cat", "dog"])
    parts = quick(DPNetTransformer, max_epochs=1)
    scaled = make_pipeline(parts, StandardScaler(), LogisticRegression()).fit(X, y)
    weights = scaled[2].coef_ / scaled[1].scale_
    return scaled, X, y, weights, parts.transform(X)


def test_a_gallery_shows_the_strongest_regions_of_a_class_s_parts(model):
    X, y = colour_images()
    display = PartGalleryDisplay.from_estimator(
        model, RED, X, n_parts=2, n_images=4
    ).plot()
    parts, final = model if isinstance(model, Pipeline) else (model, model)
    weights = final.coef_[final.classes_.tolist().index(RED)]
    order = np.argsort(-weights)[: min(2, (weights > 0).sum())]
    np.testing.assert_allclose(display.weights, weights[order], rtol=1e-5)
    regions = best_regions(parts, X)
    assert display.axes_.shape == (len(order), 4)
    for row, part in enumerate(order):
        strongest = np.sort(regions.responses[:, part])[::-1][:4]
        for column, axes in enumerate(display.axes_[row]):
            assert axes.get_xlabel() == f"{strongest[column]:.2f}"
            i = display.galleries[row].images[column]
            left, top, right, bottom = regions.boxes[i, part].astype(int)
            np.testing.assert_array_equal(
                axes.images[0].get_array(),
                np.asarray(X[i])[top:bottom, left:right],
            )
            assert axes.get_aspect() == 1
        # Images of the class come first.
        assert y[display.galleries[row].images[0]] == RED


def test_a_gallery_is_as_large_as_there_is_to_show(model):
    X, _ = colour_images()
    few = PartGalleryDisplay.from_estimator(model, RED, X[:2], n_parts=50)
    assert (few.weights > 0).all()
    assert len(few.crops) == len(few.weights) < 50
    assert [len(row) for row in few.crops] == [2] * len(few.crops)
    with pytest.raises(ValueError, match="'reds' is none of the 3 classes"):
        PartGalleryDisplay.from_estimator(model, "reds", X)
    for wrong in ({"n_parts": 0}, {"n_images": 0}):
        with pytest.raises(ValueError, match="n_parts|n must be"):
            PartGalleryDisplay.from_estimator(model, RED, X, **wrong)


def test_crops_of_a_turned_image_are_upright(tmp_path):
    X, y = colour_images()
    model = end_to_end().fit(X, y)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = str(tmp_path / "turned.png")
    X[3].transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    plain, turned = (
        PartGalleryDisplay.from_estimator(model, RED, images, n_parts=1)
        for images in ([X[3]], [path])
    )
    np.testing.assert_array_equal(plain.crops[0][0].pixels, turned.crops[0][0].pixels)


def test_participation_is_the_mean_contribution(features):
    model, X, y, weights, descriptor = features
    cats = y == "cat"
    added = (weights[1] * descriptor[cats]).mean(axis=0)
    display = ParticipationDisplay.from_estimator(
        model, "cat", X[cats], n_parts=7
    ).plot()
    order = np.argsort(-added)[:7]
    contribution, weight = (
        np.array([patch.get_width() for patch in axes.patches])
        for axes in display.axes_
    )
    np.testing.assert_allclose(contribution, added[order], atol=1e-5)
    np.testing.assert_allclose(weight, weights[1, order], rtol=1e-4)
    # Sorted, with the largest on top.
    assert (np.diff(contribution) <= 0).all()
    bottom, top = display.axes_[0].get_ylim()
    assert bottom > top
    names = model[0].get_feature_names_out()[order].tolist()
    assert [t.get_text() for t in display.axes_[0].get_yticklabels()] == names
    colours = [patch.get_facecolor() for patch in display.axes_[1].patches]
    for value, colour in zip(weight, colours, strict=True):
        assert colour == to_rgba("#D55E00" if value > 0 else "#0072B2")


def test_participation_says_what_the_mean_score_is_made_of(features):
    model, X, y, *_ = features
    X = X[y == "dog"]
    display = ParticipationDisplay.from_estimator(model, "dog", X, n_parts=3).plot()
    title = display.figure_.get_suptitle().replace("−", "-").split("score ")[1]
    score, shown, left, bias = (
        float(word.rstrip(":,")) for word in title.split() if word[0] in "+-"
    )
    assert score == pytest.approx(model.decision_function(X)[:, 2].mean(), abs=0.01)
    assert score == pytest.approx(shown + left + bias, abs=0.03)
    with pytest.raises(ValueError, match="'dgo' is none .* did you mean 'dog'"):
        ParticipationDisplay.from_estimator(model, "dgo", X)


def test_the_matrix_holds_every_weight_with_its_names(features):
    model, _, _, weights, _ = features
    display = ClassPartMatrixDisplay.from_estimator(model).plot()
    names = model[0].get_feature_names_out().tolist()
    drawn = np.asarray(display.ax_.images[0].get_array())
    assert drawn.shape == weights.shape
    for column, name in enumerate(display.part_names):
        np.testing.assert_allclose(
            drawn[:, column], weights[:, names.index(name)], rtol=1e-6
        )
        owner, _, kind = name.rpartition("_")
        assert owner == display.owners[column]
        assert kind == "context" or kind.startswith("part")
    assert sorted(display.part_names) == sorted(names)
    # The parts of a class are adjacent, in the order of the rows.
    assert list(dict.fromkeys(display.owners)) == display.class_names
    owners = np.array(display.owners)
    assert (owners[1:] != owners[:-1]).sum() == N_CLASSES - 1
    low, high = display.ax_.images[0].get_clim()
    assert -low == high == pytest.approx(np.abs(weights).max())


def test_a_matrix_of_some_classes(features):
    model, _, _, weights, _ = features
    display = ClassPartMatrixDisplay.from_estimator(model, classes=["dog", "bird"])
    assert display.class_names == ["dog", "bird"]
    assert list(dict.fromkeys(display.owners)) == ["dog", "bird"]
    names = model[0].get_feature_names_out().tolist()
    columns = [names.index(name) for name in display.part_names]
    np.testing.assert_allclose(display.weights, weights[[2, 0]][:, columns])
    with pytest.raises(ValueError, match="'cow' is none of the 3 classes"):
        ClassPartMatrixDisplay.from_estimator(model, classes=["cow"])
    with pytest.raises(ValueError, match="classes is empty"):
        ClassPartMatrixDisplay.from_estimator(model, classes=[])


def test_searches_are_drawn_and_what_is_not_linear_is_refused(features):
    _, X, y, *_ = features
    parts = quick(DPNetTransformer, max_epochs=1)
    steps = make_pipeline(parts, LogisticRegression())
    search = GridSearchCV(steps, {"logisticregression__C": [0.1, 1]}, cv=2).fit(X, y)
    best = search.best_estimator_
    display = ClassPartMatrixDisplay.from_estimator(search)
    np.testing.assert_allclose(np.sort(display.weights), np.sort(best[1].coef_))
    near = make_pipeline(parts, KNeighborsClassifier()).fit(X, y)
    with pytest.raises(ValueError, match="is not a sum of contributions of the parts"):
        ClassPartMatrixDisplay.from_estimator(near)


def test_two_classes_have_two_rows():
    X, y, _ = part_maps(30, n_classes=2)
    model = quick(DPNetClassifier, max_epochs=1).fit(X, y)
    display = ClassPartMatrixDisplay.from_estimator(model).plot()
    assert display.weights.shape == (2, len(model.part_classes_))
