"""The display of a tree: its nodes show what they are, and a path what happened."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from skdpnet import ProtoPNetClassifier, ProtoTreeClassifier
from skdpnet.display import PrototypeTreeDisplay
from skdpnet.images import ImageError
from tests.display.models import COLOURS, RED, Colours, colour_images, square_image

PARAMS = {"image_size": 128, "region_scales": (0.25,), "random_state": 0}


@pytest.fixture(scope="module")
def data():
    return colour_images()


@pytest.fixture(scope="module")
def model(data):
    return ProtoTreeClassifier(
        Colours(), depth=3, n_components=None, pruning_threshold=0, **PARAMS
    ).fit(*data)


def texts(display):
    """What is written on the axes of a display."""
    display.figure_.canvas.draw()
    found = display.ax_.findobj(matplotlib.text.Text)
    return [text.get_text() for text in found if text.get_text()]


def test_crops_are_the_regions_that_prototypes_are(model, data):
    display = PrototypeTreeDisplay.from_estimator(model, data[0])
    assert sorted(display.crops) == list(range(7))
    table = model.prototype_sources_
    for node, shown in display.crops.items():
        p = model.node_prototypes_[node]
        sides = [table[side][p] for side in ("left", "top", "right", "bottom")]
        left, top, right, bottom = (round(side) for side in sides)
        whole = np.asarray(data[0][table["image"][p]])
        assert np.array_equal(shown.pixels, whole[top:bottom, left:right])


def test_a_whole_tree_shows_each_leaf_and_its_class(model, data):
    display = PrototypeTreeDisplay.from_estimator(model, data[0]).plot()
    written = texts(display)
    boxes = [text for text in written if text.endswith("%")]
    assert len(boxes) == 8
    best = model.leaf_probabilities_.max(axis=1)
    assert sorted(text.split("\n")[1] for text in boxes) == sorted(
        f"{share:.0%}" for share in best
    )
    assert written.count("yes") == written.count("no") == 7


def test_a_part_of_a_tree_counts_the_leaves_of_the_rest(model, data):
    display = PrototypeTreeDisplay.from_estimator(model, data[0], max_depth=1).plot()
    assert list(display.crops) == [0]
    assert texts(display).count("… 4\nleaves") == 2


def test_a_path_shows_the_image_beside_each_prototype(model, data):
    image = square_image(COLOURS[RED], (60, 40))
    display = PrototypeTreeDisplay.from_estimator(model, data[0], image=image).plot()
    path = model.path(image)
    nodes = path.nodes.tolist()
    assert sorted(display.crops) == sorted(display.image_crops) == sorted(nodes)
    for node, box in zip(nodes, path.boxes.round().astype(int), strict=True):
        left, top, right, bottom = box
        expected = np.asarray(image)[top:bottom, left:right]
        assert np.array_equal(display.image_crops[node].pixels, expected)
    written = texts(display)
    for s in path.presences:
        assert f"yes {s:.0%}" in written and f"no {1 - s:.0%}" in written
    assert any(f"{path.probability:.0%}" in text for text in written)
    # The nodes go to the side that the path takes.
    places = display._places()
    for node, slot, right in zip(
        nodes, [*nodes[1:], -1 - path.leaf], path.went_right, strict=True
    ):
        assert (places[slot][0] > places[node][0]) == right


def test_it_draws_on_axes_of_the_user(model, data):
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    display = PrototypeTreeDisplay.from_estimator(model, data[0]).plot(ax)
    assert display.ax_ is ax and display.figure_ is figure


def test_bad_input_is_named(model, data):
    X, y = data
    make = PrototypeTreeDisplay.from_estimator
    with pytest.raises(ValueError, match="max_depth"):
        make(model, X, max_depth=0)
    with pytest.raises(TypeError, match="max_depth"):
        make(model, X, max_depth=1.5)
    with pytest.raises(ValueError, match="only 1 images"):
        make(model, X[:1])
    other = ProtoPNetClassifier(Colours(), n_prototypes_per_class=1, **PARAMS)
    with pytest.raises(ValueError, match="fit a ProtoTreeClassifier"):
        make(other.fit(X, y), X)
    features = np.random.default_rng(0).random((8, 3, 4))
    precomputed = ProtoTreeClassifier("precomputed", depth=1, max_epochs=0)
    with pytest.raises(ValueError, match="fitted on images|fit one on images"):
        make(precomputed.fit(features, [0, 1] * 4), features)
    with pytest.raises(ImageError, match="is no image"):
        make(model, X, image=7)
