"""The display of an image's graph: frames, arrows and numbers."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.text import Annotation, Text
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from skdpnet import LayoutGraphClassifier, SoftAssignParts
from skdpnet.datasets import make_arrangement_images
from skdpnet.display import LayoutGraphDisplay
from skdpnet.display._colours import sign_colours
from tests.display.models import Colours

DATA = make_arrangement_images(12, 2, 64, random_state=0)
NAMES = np.array(["left", "right"])[DATA.target]


@pytest.fixture(scope="module")
def model():
    return LayoutGraphClassifier(
        Colours(), image_size=64, n_regions=6, max_epochs=3, random_state=0
    ).fit(DATA.images, NAMES)


def test_regions_are_those_of_the_largest_contributions(model):
    display = LayoutGraphDisplay.from_estimator(model, DATA.images[0], n_regions=3)
    (graph,) = model.explain_layout(DATA.images[:1])
    np.testing.assert_array_equal(display.graph.contributions, graph.contributions)
    expected = sorted(np.abs(graph.contributions))[:-4:-1]
    assert np.abs(graph.contributions[display.regions]).tolist() == expected
    assert display.graph.explained == model.predict(DATA.images[:1])[0]


def test_panels_show_frames_and_arrows(model):
    display = LayoutGraphDisplay.from_estimator(
        model, DATA.images[0], "right", n_regions=3, n_edges=2
    ).plot()
    boxes = display.graph.boxes
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    for axes, relation in zip(display.axes_, ("spatial", "semantic"), strict=True):
        frames = {
            (*p.get_xy(), p.get_width(), p.get_height())
            for p in axes.patches
            if isinstance(p, Rectangle)
        }
        expected = {(b[0], b[1], b[2] - b[0], b[3] - b[1]) for b in boxes}
        assert frames == {
            (b[0], b[1], b[2] - b[0], b[3] - b[1]) for b in boxes[display.regions]
        }
        assert frames < expected
        arrows = [text for text in axes.texts if isinstance(text, Annotation)]
        edges = display.edges[relation]
        weights = getattr(display.graph, relation)
        assert len(edges) == len(arrows) == 6
        for edge, arrow in zip(edges, arrows, strict=True):
            assert edge.weight == weights[edge.source, edge.target]
            np.testing.assert_array_equal(arrow.xyann, centres[edge.source])
            np.testing.assert_array_equal(arrow.xy, centres[edge.target])
            assert isinstance(arrow.arrow_patch, FancyArrowPatch)
        widths = [arrow.arrow_patch.get_linewidth() for arrow in arrows]
        assert np.argmax(widths) == np.argmax([edge.weight for edge in edges])
    texts = [text.get_text() for text in display.figure_.findobj(Text)]
    assert any("score of right" in text for text in texts)


def test_colours_say_what_speaks_for_the_class(model):
    display = LayoutGraphDisplay.from_estimator(model, DATA.images[1]).plot()
    contributions = display.graph.contributions[display.regions]
    written = [
        text.get_bbox_patch().get_facecolor()
        for text in display.axes_[0].texts
        if text.get_bbox_patch() is not None
    ]
    assert len(written) == len(contributions) == 5
    same = [[a == b for b in written] for a in written]
    colours = sign_colours(contributions)
    assert same == [[a == b for b in colours] for a in colours]


def test_it_takes_a_place_in_a_grid(model):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2)
    display = LayoutGraphDisplay.from_estimator(model, DATA.images[0]).plot(axes[0])
    assert display.figure_ is figure
    figure.canvas.draw()


def test_a_search_is_drawn_as_its_best_model(model):
    search = GridSearchCV(model, {"lr": [0.003]}, cv=2).fit(DATA.images, NAMES)
    display = LayoutGraphDisplay.from_estimator(search, DATA.images[0])
    first = search.best_estimator_.explain_layout(DATA.images[:1])[0]
    assert display.graph.score == first.score


def test_what_cannot_be_drawn_is_named(model):
    image = DATA.images[0]
    with pytest.raises(ValueError, match="SoftAssignParts has none: fit a LayoutGraph"):
        LayoutGraphDisplay.from_estimator(SoftAssignParts(), image)
    with pytest.raises(NotFittedError):
        LayoutGraphDisplay.from_estimator(LayoutGraphClassifier(), image)
    features = LayoutGraphClassifier("precomputed", max_epochs=0)
    features.fit(np.random.RandomState(0).rand(8, 4, 4, 3), [0, 1] * 4)
    with pytest.raises(ValueError, match="draws images"):
        LayoutGraphDisplay.from_estimator(features, image)
    with pytest.raises(ValueError, match="n_regions"):
        LayoutGraphDisplay.from_estimator(model, image, n_regions=0)
    with pytest.raises(TypeError, match="n_edges"):
        LayoutGraphDisplay.from_estimator(model, image, n_edges=1.5)
