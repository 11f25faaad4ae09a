"""The layout of figures: text that is whole and does not overlap, and subplots."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure, FigureBase
from matplotlib.text import Text
from PIL import Image

from skdpnet.display import (
    BestRegionsDisplay,
    ClassPartMatrixDisplay,
    ExplanationDisplay,
    HeatMapDisplay,
    PartGalleryDisplay,
    ParticipationDisplay,
)
from skdpnet.display._boxes import badge_places, draw_boxes
from skdpnet.display._images import ShownImage, mark_unseen
from skdpnet.display._text import shorten, signed, wrap
from skdpnet.utils.colours import part_colours
from tests.display.models import BLUE, RED, colour_images, pipeline


@pytest.fixture(scope="module")
def model():
    return pipeline().fit(*colour_images())


X, Y = colour_images()
SHAPES = [X[1], X[2].resize((120, 300)), X[6].resize((700, 128)), X[7], X[12]]
DISPLAYS = {
    "heat": lambda model: HeatMapDisplay.from_estimator(model, X[1]),
    "heat, tall": lambda model: HeatMapDisplay.from_estimator(model, SHAPES[1]),
    "difference": lambda model: HeatMapDisplay.from_estimator(
        model, SHAPES[2], RED, against=BLUE
    ),
    "one part": lambda model: HeatMapDisplay.from_estimator(model, X[1], part=1),
    "explanation": lambda model: ExplanationDisplay.from_estimator(model, X[1]),
    "explanation, tall": lambda model: ExplanationDisplay.from_estimator(
        model, SHAPES[1], against=BLUE
    ),
    "regions": lambda model: BestRegionsDisplay.from_estimator(
        model, SHAPES, [BLUE] * 5
    ),
    "gallery": lambda model: PartGalleryDisplay.from_estimator(model, RED, X),
    "participation": lambda model: ParticipationDisplay.from_estimator(model, RED, X),
    "matrix": ClassPartMatrixDisplay.from_estimator,
}


def texts_of_axis(axis, *view) -> list[Text]:
    """The label and the ticks' texts that are in view: others are made, not drawn."""
    ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
    seen = [tick for tick in ticks if min(view) <= tick.get_loc() <= max(view)]
    texts = [axis.label, *(label for t in seen for label in (t.label1, t.label2))]
    return [text for text in texts if text.get_visible() and text.get_text()]


def drawn_texts(figure) -> list[Text]:
    """All text of a figure that can be seen."""
    pages = figure.findobj(FigureBase)
    texts = [text for page in pages for text in page.texts]
    for axes in figure.axes:
        texts += [axes.title, *axes.texts]
        if axes.get_legend():
            texts += axes.get_legend().get_texts()
        if axes.axison:
            texts += texts_of_axis(axes.xaxis, *axes.get_xlim())
            texts += texts_of_axis(axes.yaxis, *axes.get_ylim())
    return [text for text in texts if text.get_text()]


def cut(figure) -> list[str]:
    """The texts of a drawn figure that go over its edge by more than a pixel."""
    page, over = figure.bbox.padded(1), []
    for text in drawn_texts(figure):
        place = text.get_window_extent()
        if not (page.contains(*place.min) and page.contains(*place.max)):
            over.append(text.get_text())
    return over


@pytest.mark.parametrize("name", DISPLAYS)
def test_no_text_is_cut_or_read_as_mathematics(model, name):
    display = DISPLAYS[name](model).plot()
    # An error where the name of the class is taken for a formula.
    display.figure_.canvas.draw()
    said = drawn_texts(display.figure_)
    assert any("\\frac{" in text.get_text().replace("\n", "") for text in said)
    assert not cut(display.figure_)


@pytest.mark.parametrize("name", ["heat", "explanation", "regions", "participation"])
def test_titles_legends_and_labels_lie_apart(model, name):
    display = DISPLAYS[name](model).plot()
    display.figure_.canvas.draw()
    blocks = [display.figure_._suptitle] if display.figure_.get_suptitle() else []
    for axes in display.figure_.axes:
        blocks += [axes.title] if axes.get_title() else []
        blocks += [axes.get_legend()] if axes.get_legend() else []
        if axes.axison:
            blocks += texts_of_axis(axes.yaxis, *axes.get_ylim())
    places = [block.get_window_extent() for block in blocks]
    assert len(places) > 2
    for a, b in combinations(places, 2):
        apart = a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
        assert apart


def place_of(axes, figure):
    return axes.get_window_extent().transformed(figure.transFigure.inverted())


@pytest.mark.parametrize("name", DISPLAYS)
def test_panels_take_the_place_of_given_axes(model, name):
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(16, 8))
    left.plot([0, 1])
    display = DISPLAYS[name](model)
    assert display.plot(right) is display
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()
    panels = np.ravel([display.ax_ if hasattr(display, "ax_") else display.axes_])
    for axes in panels:
        assert place_of(axes, figure).x0 > place_of(left, figure).x1
    assert left.get_lines()
    assert not cut(figure)
    # Drawing again, in a new figure, does not change the first drawing.
    assert display.plot().figure_ is not figure


def test_a_place_within_a_subfigure(model):
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(16, 6), layout="constrained")
    top, _ = figure.subfigures(1, 2)
    display = DISPLAYS["explanation"](model).plot(top.subplots())
    figure.canvas.draw()
    assert display.figure_ is figure
    assert all(place_of(axes, figure).x1 < 0.51 for axes in display.axes_)
    loose = figure.add_axes((0, 0, 1, 1))
    with pytest.raises(ValueError, match="no place in a grid"):
        display.plot(loose)


@pytest.mark.parametrize("size", [(200, 2000), (30, 300), (12, 24)])
def test_a_matrix_names_what_can_be_read(size):
    n_classes, n_parts = size
    names = [f"class_{c:03}_{'of_the_meadows' * 2}" for c in range(n_classes)]
    owners = np.repeat(names, n_parts // n_classes)
    parts = [f"{name}_part{p}" for p, name in enumerate(owners)]
    weights = np.random.default_rng(0).normal(size=size)
    shown = ClassPartMatrixDisplay(weights, names, parts, owners.tolist()).plot()
    shown.figure_.canvas.draw()
    for axis, named in ((shown.ax_.xaxis, parts), (shown.ax_.yaxis, names)):
        labels = axis.get_ticklabels()
        assert len(labels) >= min(len(named), 10)
        boxes = [label.get_window_extent() for label in labels]
        for a, b in zip(boxes, boxes[1:], strict=False):
            assert a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
    # Each name stands at its row.
    for label in shown.ax_.get_yticklabels():
        name = names[int(label.get_position()[1])]
        assert label.get_text()[:9] == name[:9]


def test_boxes_in_one_place_share_a_frame():
    import matplotlib.pyplot as plt

    boxes = np.array([[2, 3, 20, 30], [40, 3, 60, 30], [2, 3, 20, 30]], float)
    _, axes = plt.subplots()
    draw_boxes(axes, boxes)
    coloured = [p for p in axes.patches if p.get_edgecolor() != (0, 0, 0, 1)]
    drawn = [(*p.get_xy(), p.get_width(), p.get_height()) for p in coloured]
    # The first is drawn last, so lies on top.
    assert coloured[-1].get_edgecolor() == to_rgba(part_colours(3)[0])
    assert drawn == [(2, 3, 18, 27), (40, 3, 20, 27), (2, 3, 18, 27)]
    third, second, first = coloured
    assert second.get_linestyle() in ("-", "solid")
    (start, on_off), (other_start, other_on_off) = (
        p._unscaled_dash_pattern for p in (first, third)
    )
    # The dashes of the first fill the gaps of the third.
    assert on_off[0] == on_off[1] == other_on_off[0] == other_on_off[1]
    assert abs(start - other_start) == on_off[0]


def test_numbers_do_not_cover_one_another():
    same = np.tile([20.0, 10, 90, 80], (6, 1))
    places = badge_places(same, (200, 100))
    for a, b in combinations(places, 2):
        assert np.hypot(*(a - b)) >= 0.09 * 200
    assert (places >= same[:, :2]).all()
    assert (places <= same[:, 2:]).all()
    middle = badge_places(same, (200, 100), centred=True)[0]
    np.testing.assert_allclose(middle, (55, 45))
    # A box smaller than its number keeps it outside, but in the image.
    tiny = badge_places(np.array([[0.0, 0, 4, 4]]), (200, 100))[0]
    assert (tiny > 4).any()
    assert (tiny >= 0).all()
    assert badge_places(np.empty((0, 4)), (200, 100)).shape == (0, 2)


def test_text_is_cut_in_the_middle_and_broken_at_its_joints():
    assert shorten("a_class_part12", 14) == "a_class_part12"
    short = shorten("a_class_of_the_meadows_part12", 14)
    assert len(short) == 14
    assert short.startswith("a_")
    assert short.endswith("part12")
    assert shorten("two\nlines", 20) == "two lines"
    assert shorten(3, 8) == "3"
    assert wrap("of_the_meadows and\nwoods", 9) == "of_the_\nmeadows\nand\nwoods"
    assert wrap("x" * 20, 8) == "xxxxxxxx\nxxxxxxxx\nxxxx"


@pytest.mark.parametrize(
    "values, written",
    [
        ([0.5, -0.25], ["+0.50", "−0.25"]),
        ([12.345], ["+12.35"]),
        ([0.0012, 0.0], ["+0.0012", "+0.0000"]),
        ([-1234.5], ["−1234"]),
        ([0.0], ["+0.00"]),
        ([], []),
    ],
)
def test_numbers_have_the_decimals_that_they_need(values, written):
    assert signed(values) == written


def test_images_are_made_small_but_keep_their_size():
    large = Image.new("RGB", (4000, 3000), (10, 200, 30))
    image = ShownImage.of(large)
    assert image.size == (4000, 3000)
    assert image.pixels.shape == (1200, 1600, 3)
    assert (image.pixels == (10, 200, 30)).all()
    thin = ShownImage.of(Image.new("RGB", (9000, 2)))
    assert thin.pixels.shape == (1, 1600, 3)


@pytest.mark.parametrize(("right", "hatched"), [(528.9999999, False), (500.0, True)])
def test_what_is_not_seen_is_hatched_and_no_rounding_error(right, hatched):
    axes = Figure().add_subplot()
    mark = mark_unseen(axes, (529, 224), (0.0, 1e-12, right, 224.0))
    assert (mark is not None) == hatched == bool(axes.patches)
