"""Displays of parts that classes share, and of decisions that are not linear."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from skdpnet import best_regions
from skdpnet.display import (
    BestRegionsDisplay,
    ClassPartMatrixDisplay,
    ExplanationDisplay,
    HeatMapDisplay,
    PartGalleryDisplay,
    ParticipationDisplay,
)
from skdpnet.explanations.readout import EstimatorReadout, LinearReadout, read_model
from tests.display.models import (
    BLUE,
    GREEN,
    RED,
    ColourClassifier,
    ColourParts,
    Colours,
    colour_images,
    shared_linear,
    shared_nonlinear,
)

X, Y = colour_images()
SHARED = [1, 4, 5]
NAMES = [f"{BLUE}_part0", "part0", f"{GREEN}_part0", f"{RED}_part0", "part1", "part2"]
MAKERS = [shared_linear, shared_nonlinear, ColourClassifier]
WITHOUT_WEIGHTS = MAKERS[1:]


def fitted(make):
    return make(Colours(), image_size=128).fit(X, Y)


@pytest.fixture(scope="module", params=MAKERS, ids=lambda make: make.__name__)
def model(request):
    return fitted(request.param)


@pytest.fixture(scope="module")
def linear():
    return fitted(shared_linear)


@pytest.fixture(scope="module", params=WITHOUT_WEIGHTS, ids=lambda make: make.__name__)
def without_weights(request):
    return fitted(request.param)


def weights_of(model):
    """Weights V (C, P) on the parts' descriptor, by scikit-learn's attributes."""
    return model[-1].coef_ / model[1].scale_


def contributions(model, images):
    """What each part contributes to each score, (n, C, P), computed by hand."""
    if not isinstance(model, Pipeline):
        b = model.transform(images).astype(float)
        return np.stack([model.contributions(b, c) for c in range(3)], axis=1)
    b = model[0].transform(images).astype(float)
    if len(model) == 2:
        return np.stack([model[1].contributions(b, c) for c in range(3)], axis=1)
    return weights_of(model) * b[:, None]


def scores(model, images):
    """The scores (n, C), by methods of scikit-learn's or of the estimator."""
    if not isinstance(model, Pipeline):
        return model.class_scores(model.transform(images))
    if len(model) == 2:
        return model[1].class_scores(model[0].transform(images))
    return model.decision_function(images)


def test_the_models_are_what_the_tests_are_about():
    for make in MAKERS:
        parts, readout = read_model(fitted(make))
        assert parts.get_feature_names_out().tolist() == NAMES
        assert (parts.part_classes_ == [0, -1, 1, 2, -1, -1]).all()
        kind = LinearReadout if make is shared_linear else EstimatorReadout
        assert type(readout) is kind


def test_an_explanation_adds_up(model):
    for i in (0, 7, 12):
        display = ExplanationDisplay.from_estimator(model, X[i], n_parts=2).plot()
        why, winner = display.explanation, scores(model, [X[i]])[0].argmax()
        added = contributions(model, [X[i]])[0, winner]
        np.testing.assert_allclose(why.contributions, added, atol=1e-5)
        bars = [patch.get_width() for patch in display.axes_[2].patches]
        assert sum(bars) == pytest.approx(scores(model, [X[i]]).max(), abs=1e-4)
        np.testing.assert_allclose(bars[: len(display.parts)], added[display.parts])
        written = [text.get_text() for text in display.axes_[2].get_yticklabels()]
        for label, p in zip(written, display.parts, strict=False):
            # Long names have lost their middle.
            assert label[:3] == NAMES[p][:3]
            assert label.endswith(f"part{NAMES[p][-1]}")


def test_a_heat_map_adds_up_for_a_class_a_difference_and_a_shared_part(model):
    i, c = 6, [BLUE, GREEN, RED].index(GREEN)
    display = HeatMapDisplay.from_estimator(model, X[i], GREEN).plot()
    bias = display.explanation.bias
    score = scores(model, [X[i]])[0]
    assert display.heat.sum() + bias == pytest.approx(score[c], abs=1e-4)
    lead = HeatMapDisplay.from_estimator(model, X[i], GREEN, against=BLUE).plot()
    assert lead.explanation.score == pytest.approx(score[c] - score[0], abs=1e-4)
    added = contributions(model, [X[i]])[0]
    assert lead.heat.sum() == pytest.approx((added[c] - added[0]).sum(), abs=1e-4)
    alone = HeatMapDisplay.from_estimator(model, X[i], GREEN, part=SHARED[0]).plot()
    assert alone.heat.sum() == pytest.approx(added[c, SHARED[0]], abs=1e-5)
    assert alone.ax_.get_title().endswith("part0 alone")


def test_best_regions_are_those_of_the_largest_contributions(model):
    display = BestRegionsDisplay.from_estimator(model, X[3:9], n_parts=1).plot()
    boxes = best_regions(model, X[3:9]).boxes
    for i, added in enumerate(contributions(model, X[3:9])):
        winner = scores(model, [X[3 + i]])[0].argmax()
        speaks_for = added[winner].copy()
        if type(read_model(model)[1]) is LinearReadout:
            speaks_for[weights_of(model)[winner] <= 0] = -1
        top = speaks_for.argmax()
        np.testing.assert_allclose(display.contributions[i], added[winner, top])
        np.testing.assert_allclose(display.boxes[i], boxes[i, [top]])
        assert display.part_names[i] == [NAMES[top]]


def test_participation_is_the_mean_contribution(model):
    images = [image for image, label in zip(X, Y, strict=True) if label == GREEN]
    display = ParticipationDisplay.from_estimator(model, GREEN, images).plot()
    added = contributions(model, images)[:, 1].mean(axis=0)
    order = np.argsort(-added, kind="stable")
    widths = [[bar.get_width() for bar in axes.patches] for axes in display.axes_]
    np.testing.assert_allclose(widths[0], added[order], atol=1e-6)
    written = [text.get_text() for text in display.axes_[0].get_yticklabels()]
    assert [name for name in written if name.startswith("part")] == [
        NAMES[p] for p in order if p in SHARED
    ]
    title = display.figure_.get_suptitle().replace("−", "-")
    score = scores(model, images)[:, 1].mean()
    assert f"score {score:+.2f}" in title
    if type(read_model(model)[1]) is LinearReadout:
        np.testing.assert_allclose(widths[1], weights_of(model)[1, order])
    else:
        assert len(widths) == 1


def test_a_gallery_of_a_class_has_shared_parts(linear):
    display = PartGalleryDisplay.from_estimator(linear, GREEN, X, n_images=3).plot()
    weights = weights_of(linear)[1]
    order = [p for p in np.argsort(-weights) if weights[p] > 0]
    assert set(order) & set(SHARED)
    np.testing.assert_allclose(display.weights, weights[order])
    assert display.contributions is None
    for row, p in zip(display.axes_, order, strict=True):
        name, weight = row[0].get_ylabel().split("\n")
        assert (name, weight) == (NAMES[p], f"weight +{weights[p]:.2f}")


def test_a_gallery_without_weights_is_of_the_largest_mean_contributions(
    without_weights,
):
    model = without_weights
    display = PartGalleryDisplay.from_estimator(model, RED, X, n_parts=4).plot()
    added = contributions(model, X)[:, 2]
    assigned = scores(model, X).argmax(axis=1) == 2
    assert 0 < assigned.sum() < len(X)
    means = added[assigned].mean(axis=0)
    order = [p for p in np.argsort(-means, kind="stable")[:4] if means[p] > 0]
    assert [gallery.part for gallery in display.galleries] == order
    assert set(order) & set(SHARED)
    assert display.weights is None
    np.testing.assert_allclose(display.contributions, means[order], rtol=1e-5)
    for row, p in zip(display.axes_, order, strict=True):
        assert row[0].get_ylabel().endswith(f"\ncontributes +{means[p]:.2f}")
    blue_ones = [image for image, label in zip(X, Y, strict=True) if label == BLUE]
    with pytest.raises(ValueError, match="assigns none in X to 'green'"):
        PartGalleryDisplay.from_estimator(model, GREEN, blue_ones)


def test_the_matrix_has_a_group_of_shared_parts(linear):
    display = ClassPartMatrixDisplay.from_estimator(linear).plot()
    order = [0, 2, 3, *SHARED]
    assert display.part_names == [NAMES[p] for p in order]
    assert display.owners == [BLUE, GREEN, RED] + ["(shared)"] * 3
    np.testing.assert_allclose(display.weights, weights_of(linear)[:, order])
    written = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert written[-3:] == ["part0", "part1", "part2"]


def test_a_matrix_of_some_classes_has_the_shared_parts_that_they_use(linear):
    display = ClassPartMatrixDisplay.from_estimator(linear, classes=[RED, BLUE])
    order = [3, 0, *SHARED]
    assert display.part_names == [NAMES[p] for p in order]
    np.testing.assert_allclose(display.weights, weights_of(linear)[[2, 0]][:, order])
    without = fitted(shared_linear)
    without[-1].coef_[2, 4] = without[-1].coef_[0, 4] = 0
    display = ClassPartMatrixDisplay.from_estimator(without, classes=[RED, BLUE])
    assert display.part_names == [NAMES[p] for p in [3, 0, 1, 5]]


def test_many_columns_are_named_by_their_owners():
    names = ["ant", "bee"]
    owners = [name for name in [*names, "(shared)"] for _ in range(200)]
    weights = np.ones((2, 600))
    display = ClassPartMatrixDisplay(weights, names, owners, owners).plot()
    written = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert written == ["ant", "bee", "(shared)"]


def test_a_matrix_needs_weights_and_parts(without_weights, linear):
    with pytest.raises(ValueError, match="no weights.* ParticipationDisplay shows"):
        ClassPartMatrixDisplay.from_estimator(without_weights)
    owned = fitted(shared_linear)
    owned[-1].coef_[:] = 0
    owned[0].part_classes_ = np.array([0, -1, 0, 0, -1, -1])
    with pytest.raises(ValueError, match="no part belongs to the classes"):
        ClassPartMatrixDisplay.from_estimator(owned, classes=[GREEN])


@pytest.mark.parametrize("make", [shared_linear, shared_nonlinear])
def test_features_are_drawn_where_no_pixels_are_needed(make):
    maps = np.random.default_rng(0).random((30, 4, 5, 3), np.float32)
    labels = np.arange(30) % 3
    model = make().fit(maps, labels)
    parts, readout = read_model(model)
    display = ParticipationDisplay.from_estimator(model, 2, maps[2::3]).plot()
    b = parts.transform(maps[2::3]).astype(float)
    added = readout.contributions(b, 2).mean(axis=0)
    np.testing.assert_allclose(display.explanation.contributions, added)
    assert display.explanation.part_names[SHARED].tolist() == [
        "part0",
        "part1",
        "part2",
    ]
    if make is shared_linear:
        matrix = ClassPartMatrixDisplay.from_estimator(model).plot()
        assert matrix.owners == ["0", "1", "2"] + ["(shared)"] * 3
    with pytest.raises(ValueError, match="HeatMapDisplay draws images"):
        HeatMapDisplay.from_estimator(model, maps[0])
    assert isinstance(parts, ColourParts)
