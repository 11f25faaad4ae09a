"""Displays of images: what is drawn is what the model says, where it is."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pandas
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from PIL import Image
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

import skdpnet.display
from skdpnet import DPNetClassifier, best_regions
from skdpnet.display import (
    BestRegionsDisplay,
    ClassPartMatrixDisplay,
    ExplanationDisplay,
    HeatMapDisplay,
    PartGalleryDisplay,
    ParticipationDisplay,
)
from skdpnet.explanations.readout import read_model
from tests.display.models import (
    BLUE,
    COLOURS,
    GREEN,
    PLACES,
    RED,
    colour_images,
    end_to_end,
    pipeline,
    square_image,
    two_stages,
)
from tests.parts.dpnet.made_maps import part_maps, quick

MAKERS = [end_to_end, pipeline, two_stages]


@pytest.fixture(scope="module", params=MAKERS, ids=lambda make: make.__name__)
def model(request):
    return request.param().fit(*colour_images())


@pytest.fixture(scope="module")
def fitted_pipeline():
    return pipeline().fit(*colour_images())


def readout(model, X):
    """Descriptor b (n, P) and coefficients V (C, P), by scikit-learn's attributes."""
    if isinstance(model, DPNetClassifier):
        return model.transform(X), model.coef_
    return model[:-1].transform(X), model[-1].coef_


def logits(model, X):
    if isinstance(model, DPNetClassifier):
        return model.transform(X) @ model.coef_.T + model.intercept_
    return model.decision_function(X)


def parts_of(model):
    return model if isinstance(model, DPNetClassifier) else model[0]


def frames(axes) -> list[tuple]:
    """The (left, top, right, bottom) of the empty rectangles, each once."""
    corners = {}
    for patch in axes.patches:
        if isinstance(patch, Rectangle) and not patch.get_fill():
            (left, top), right = patch.get_xy(), patch.get_x() + patch.get_width()
            corners[left, top, right, patch.get_y() + patch.get_height()] = None
    return list(corners)


def hottest(axes) -> tuple[float, float]:
    """Where, in the image's pixels, the overlay is the most opaque."""
    tints = np.asarray(axes.images[1].get_array())
    rows, columns = tints.shape[:2]
    # Of a plateau its middle.
    strongest = tints[..., 3] > tints[..., 3].max() - 1e-9
    row, column = np.argwhere(strongest).mean(axis=0)
    left, right, bottom, top = axes.images[1].get_extent()
    x = left + (column + 0.5) / columns * (right - left)
    return x, top + (row + 0.5) / rows * (bottom - top)


def near(point, place) -> bool:
    """Whether a point lies in the square at some place, or a cell from it."""
    inset = np.subtract(point, place)
    return bool((inset > -16).all() and (inset < 32 + 16).all())


@pytest.mark.parametrize("label", COLOURS)
def test_the_heat_map_lies_on_the_square_it_is_about(model, label):
    image = square_image(COLOURS[label], PLACES[1])
    display = HeatMapDisplay.from_estimator(model, image)
    ax = display.plot().ax_
    # What the network sees of 200×128 pixels is the centred 128×128.
    assert ax.images[1].get_extent() == [36, 164, 128, 0]
    assert ax.images[0].get_extent() == [0, 200, 128, 0]
    assert ax.get_aspect() == 1
    assert ax.get_xlim() + ax.get_ylim() == (0, 200, 128, 0)
    assert near(hottest(ax), PLACES[1])
    assert display.explanation.predicted == label
    assert label in ax.get_title().replace("\n", "")


def test_the_heat_adds_up_to_the_score(model):
    X, y = colour_images()
    scores = logits(model, X)
    for i in (0, 7, 13):
        display = HeatMapDisplay.from_estimator(model, X[i])
        score, bias = scores[i].max(), display.explanation.bias
        assert display.heat.sum() + bias == pytest.approx(score, abs=1e-4)
        other = HeatMapDisplay.from_estimator(model, X[i], BLUE)
        if y[i] != BLUE:
            both = HeatMapDisplay.from_estimator(model, X[i], against=BLUE)
            np.testing.assert_allclose(both.heat, display.heat - other.heat, atol=1e-9)
            assert both.explanation.score > 0


def test_colours_say_the_sign_and_the_bar_their_amount(fitted_pipeline):
    image = square_image(COLOURS[RED], PLACES[0])
    display = HeatMapDisplay.from_estimator(fitted_pipeline, image, against=BLUE).plot()
    back = HeatMapDisplay.from_estimator(
        fitted_pipeline, image, BLUE, against=RED
    ).plot()
    column, row = np.array(hottest(display.ax_)) - (36, 0)
    # A little inside, where the smoothed map has the sign of the cells.
    place = int(row * 480 / 128) + 10, int(column * 480 / 128) + 10
    tints = [np.asarray(d.ax_.images[1].get_array())[place] for d in (display, back)]
    np.testing.assert_allclose(tints[0][:3], to_rgba("#D55E00")[:3])
    np.testing.assert_allclose(tints[1][:3], to_rgba("#0072B2")[:3])
    assert tints[0][3] == pytest.approx(tints[1][3])
    (bar,) = [axes for axes in display.figure_.axes if axes is not display.ax_]
    largest = np.abs(display.heat).max()
    np.testing.assert_allclose(bar.get_ylim(), (-largest, largest))
    assert "score" in bar.get_ylabel()


def test_the_image_below_the_heat_is_its_own_grey(fitted_pipeline):
    image = square_image(COLOURS[GREEN], PLACES[2])
    ax = HeatMapDisplay.from_estimator(fitted_pipeline, image).plot().ax_
    drawn = np.asarray(ax.images[0].get_array(), float)
    wanted = np.asarray(image.convert("L"), float)
    assert drawn.shape == wanted.shape
    slope, start = np.polyfit(wanted.ravel(), drawn.ravel(), 1)
    np.testing.assert_allclose(drawn, slope * wanted + start, atol=1e-6)
    assert 0.7 < slope <= 1
    assert drawn.max() <= 255


def test_what_the_network_did_not_see_is_hatched(fitted_pipeline):
    image = square_image(COLOURS[GREEN], PLACES[2])
    ax = HeatMapDisplay.from_estimator(fitted_pipeline, image).plot().ax_
    hatched = [p for p in ax.patches if p.get_hatch()]
    strips = sorted((*p.get_xy(), p.get_width(), p.get_height()) for p in hatched)
    np.testing.assert_allclose(strips, [(0, 0, 36, 128), (164, 0, 36, 128)])
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend[-1] == "not seen by the network"
    whole = image.crop((36, 0, 164, 128))
    ax = HeatMapDisplay.from_estimator(fitted_pipeline, whole).plot().ax_
    assert not any(p.get_hatch() for p in ax.patches)


@pytest.mark.parametrize("framing", ["squash", "pad", "aspect"])
def test_whole_images_are_seen_and_their_heat_lies_on_them(framing):
    X, y = colour_images()
    settings = {"framing": framing, "annealed_share": 0, "max_epochs": 0}
    model = end_to_end().set_params(**settings).fit(X, y)
    place = PLACES[3]
    image = square_image(COLOURS[GREEN], place)
    display = HeatMapDisplay.from_estimator(model, image, GREEN).plot()
    ax = display.ax_
    assert not any(patch.get_hatch() for patch in ax.patches)
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 200), (128, 0))
    left, right, bottom, top = ax.images[1].get_extent()
    # 128×200 pixels fill 82 of 128 rows; 23 empty ones above and below.
    margin = 23 * 128 / 82 if framing == "pad" else 0
    expected = (0, 200, 128 + margin, -margin)
    np.testing.assert_allclose((left, right, bottom, top), expected)
    column, row = hottest(ax)
    assert place[0] - 20 < column < place[0] + 52
    assert place[1] - 20 < row < place[1] + 52


def test_one_part_s_heat_and_box(model):
    image = square_image(COLOURS[RED], PLACES[3])
    b, coef = readout(model, [image])
    row = np.flatnonzero(model.classes_ == RED)[0]
    part = int((coef[row] * b[0]).argmax())
    display = HeatMapDisplay.from_estimator(model, image, RED, part=part).plot()
    assert display.heat.sum() == pytest.approx(coef[row, part] * b[0, part], rel=1e-4)
    box = best_regions(parts_of(model), [image]).boxes[0, part]
    np.testing.assert_allclose(frames(display.ax_), [box])
    name = parts_of(model).get_feature_names_out()[part]
    assert display.ax_.get_title().endswith("\nalone")
    assert name in display.ax_.get_title().split("\n")
    n_parts = coef.shape[1]
    with pytest.raises(IndexError, match=f"no part {n_parts}"):
        HeatMapDisplay.from_estimator(model, image, part=n_parts)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_turned_images_are_drawn_upright(fitted_pipeline, orientation, tmp_path):
    turned = {3: "ROTATE_180", 6: "ROTATE_90", 8: "ROTATE_270"}[orientation]
    upright = square_image(COLOURS[BLUE], PLACES[4])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    upright.transpose(getattr(Image.Transpose, turned)).save(path, exif=exif)
    display = ExplanationDisplay.from_estimator(fitted_pipeline, path).plot()
    regions, heat, _ = display.axes_
    np.testing.assert_array_equal(regions.images[0].get_array(), upright)
    assert near(hottest(heat), PLACES[4])
    boxes = best_regions(fitted_pipeline[0], [upright]).boxes[0, display.parts]
    np.testing.assert_allclose(sorted(frames(regions)), np.unique(boxes, axis=0))


@pytest.mark.parametrize("size", [(3000, 2000), (32, 32), (64, 300), (900, 100)])
def test_images_of_any_size_keep_their_own_units(fitted_pipeline, size):
    image = square_image(COLOURS[RED], PLACES[1]).resize(size)
    display = ExplanationDisplay.from_estimator(fitted_pipeline, image).plot()
    display.figure_.canvas.draw()
    width, height = size
    boxes = best_regions(fitted_pipeline[0], [image]).boxes[0, display.parts]
    for axes in display.axes_[:2]:
        assert axes.images[0].get_extent() == [0, width, height, 0]
        box = axes.get_window_extent()
        assert box.width / box.height == pytest.approx(width / height, rel=1e-3)
        assert axes.images[0].get_array().shape[1] <= 1600
    np.testing.assert_allclose(
        sorted(frames(display.axes_[0])), np.unique(boxes, axis=0)
    )


def test_an_explanation_adds_up(model):
    X, _ = colour_images()
    b, coef = readout(model, X)
    scores = logits(model, X)
    for i in (1, 8):
        display = ExplanationDisplay.from_estimator(model, X[i], n_parts=2).plot()
        bars = [patch.get_width() for patch in display.axes_[2].patches]
        assert sum(bars) == pytest.approx(scores[i].max(), abs=1e-4)
        winner = scores[i].argmax()
        added = coef[winner] * b[i]
        shown = np.sort(added[(coef[winner] > 0) & (added > 0)])[::-1][:2]
        np.testing.assert_allclose(bars[: len(shown)], shown, rtol=1e-4, atol=1e-6)
        boxes = best_regions(parts_of(model), [X[i]]).boxes[0, display.parts]
        drawn = np.array(frames(display.axes_[0]))
        np.testing.assert_allclose(np.unique(drawn, axis=0), np.unique(boxes, axis=0))
        labels = display.axes_[2].get_yticklabels()
        assert [label.get_text() for label in labels][-1] == "bias"
        title = display.figure_.get_suptitle().replace("\n", " ")
        assert f"{scores[i].max():.2f}" in title


def test_best_regions_are_those_of_the_strongest_parts(model):
    X, _ = colour_images()
    display = BestRegionsDisplay.from_estimator(model, X[:6], n_parts=1).plot()
    b, coef = readout(model, X[:6])
    boxes = best_regions(parts_of(model), X[:6]).boxes
    winners = logits(model, X[:6]).argmax(axis=1)
    for i, winner in enumerate(winners):
        added = np.where(coef[winner] > 0, coef[winner] * b[i], -1)
        top = added.argmax()
        np.testing.assert_allclose(display.contributions[i], added[top], rtol=1e-4)
        axes = display.axes_.flat[i]
        np.testing.assert_allclose(frames(axes), [boxes[i, top]])
        np.testing.assert_array_equal(axes.images[0].get_array(), X[i])
        assert axes.get_aspect() == 1


def test_titles_say_whether_the_prediction_is_right(fitted_pipeline):
    X, y = colour_images()
    X, y = X[4:8], y[4:8]
    wrong = ["blue" if label != BLUE else RED for label in fitted_pipeline.predict(X)]
    made = BestRegionsDisplay.from_estimator(fitted_pipeline, X, wrong)
    assert all(title.endswith("(wrong: is blue)") for title in made.titles)
    series = pandas.Series(wrong, index=[3, 2, 1, 0])
    assert (
        BestRegionsDisplay.from_estimator(fitted_pipeline, X, series).titles
        == made.titles
    )
    right = BestRegionsDisplay.from_estimator(
        fitted_pipeline, X, fitted_pipeline.predict(X)
    )
    scores = fitted_pipeline.decision_function(X).max(axis=1)
    for title, label, score in zip(right.titles, y, scores, strict=True):
        assert title == f"predicted {label}, score +{score:.2f}\n(right)"
    with pytest.raises(ValueError, match="inconsistent numbers"):
        BestRegionsDisplay.from_estimator(fitted_pipeline, X, wrong[1:])


ONE_IMAGE = [HeatMapDisplay, ExplanationDisplay]
X_MADE = square_image(COLOURS[RED], PLACES[0])


@pytest.mark.parametrize("display", ONE_IMAGE)
def test_a_class_that_there_is_not_is_named(fitted_pipeline, display):
    for unknown in ({"class_": "gren"}, {"against": "gren"}):
        with pytest.raises(ValueError, match="'gren' is none .* mean 'green'"):
            display.from_estimator(fitted_pipeline, X_MADE, **unknown)
    with pytest.raises(ValueError, match="against='blue' is the class"):
        display.from_estimator(fitted_pipeline, X_MADE, "blue", against="blue")


DRAWN = {
    "heat": lambda model: HeatMapDisplay.from_estimator(model, X_MADE),
    "explanation": lambda model: ExplanationDisplay.from_estimator(model, X_MADE),
    "regions": lambda model: BestRegionsDisplay.from_estimator(model, [X_MADE] * 3),
    "gallery": lambda model: PartGalleryDisplay.from_estimator(model, RED, [X_MADE]),
}
COUNTED = {
    "participation": lambda model: ParticipationDisplay.from_estimator(
        model, RED, [X_MADE] * 2
    ),
    "matrix": ClassPartMatrixDisplay.from_estimator,
}


@pytest.mark.parametrize("name", DRAWN | COUNTED)
def test_models_that_cannot_be_explained_say_so(name):
    make = (DRAWN | COUNTED)[name]
    for unfitted in (end_to_end(), pipeline()):
        with pytest.raises(NotFittedError):
            make(unfitted)
    with pytest.raises(ValueError, match="has no parts"):
        make(LogisticRegression())


@pytest.mark.parametrize("name", DRAWN)
def test_features_have_no_images(name):
    X, y, _ = part_maps(30)
    with pytest.raises(ValueError, match="Display draws images"):
        DRAWN[name](quick(DPNetClassifier, max_epochs=0).fit(X, y))


def test_matplotlib_is_imported_only_to_draw():
    files = Path(skdpnet.display.__file__).parent.glob("*.py")
    for file in files:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "matplotlib" not in ast.unparse(node)


def test_other_parts_are_summed_by_presence_and_side(model, photographs):
    paths, _ = photographs
    display = ExplanationDisplay.from_estimator(model, paths[0], n_parts=1)
    parts, readout = read_model(model)
    b = parts.transform(paths[:1])[0].astype(float)
    c = list(model.classes_).index(display.explanation.explained)
    added = readout.coef[c] * b
    rounding = 1e-5 * np.abs(added).sum()
    sums = dict(display.summands)
    named = {name for name in sums if name.split()[0].isdigit()}
    listed = len(display.parts)
    assert sum(int(name.split()[0]) for name in named) == (added != 0).sum() - listed
    for description, group in {
        "absent, for it": (b < 0) & (added > 0),
        "present, against it": (b > 0) & (added < 0),
        "absent, against it": (b < 0) & (added < 0),
    }.items():
        if group.any():
            total = sums[f"{group.sum()} {description}"]
            assert total == pytest.approx(added[group].sum(), abs=rounding)
