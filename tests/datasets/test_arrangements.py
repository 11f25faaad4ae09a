"""Images whose classes differ in arrangement alone: what tells them apart, and not."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

from skdpnet.datasets import make_arrangement_images
from skdpnet.datasets._arrangements import _render

PARTS = ["beak", "crest", "tail", "wing"]
BLOCK = {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.fixture(scope="module")
def data():
    return make_arrangement_images(360, n_classes=4, image_size=48, random_state=0)


def cells(data):
    """The row and column of each part's centre on the grid of 3×3: (n, 4, 2)."""
    boxes = np.array([[of_image[part] for part in PARTS] for of_image in data.boxes])
    centres = (boxes[..., [1, 0]] + boxes[..., [3, 2]]) / 2
    return np.floor(3 * centres / data.images.shape[1]).astype(int)


def test_shapes_types_and_names(data):
    assert data.images.shape == (360, 48, 48, 3)
    assert data.images.dtype == np.uint8
    assert len(set(data.target_names)) == len(data.arrangements) == 4
    assert np.bincount(data.target).tolist() == [90] * 4
    assert np.any(np.diff(data.target) < 0)
    assert len({image.tobytes() for image in data.images}) == 360


def test_every_image_has_every_part_once(data):
    assert all(sorted(boxes) == PARTS for boxes in data.boxes)
    boxes = np.array([list(of_image.values()) for of_image in data.boxes])
    assert boxes.min() >= 0 and boxes.max() <= 48
    assert (boxes[..., :2] < boxes[..., 2:]).all()
    # They are apart from one another, so that none hides another.
    for a, b in combinations(range(4), 2):
        start = np.maximum(boxes[:, a, :2], boxes[:, b, :2])
        end = np.minimum(boxes[:, a, 2:], boxes[:, b, 2:])
        assert not (start < end).all(axis=1).any()


def test_parts_lie_to_one_another_as_their_class_says(data):
    places = cells(data)
    for i, label in enumerate(data.target):
        of_class = np.array([data.arrangements[label][part] for part in PARTS])
        apart = (places[i] - places[i, 0]) % 3
        np.testing.assert_array_equal(apart, (of_class - of_class[0]) % 3)


def test_where_a_part_is_tells_nothing_of_the_class(data):
    places = cells(data)
    chance, error = 1 / 4, np.sqrt(3 / 16 / 360)
    tree = DecisionTreeClassifier(min_samples_leaf=5, random_state=0)
    for part in range(4):
        histogram = np.eye(9)[3 * places[:, part, 0] + places[:, part, 1]]
        linear = cross_val_score(LogisticRegression(), histogram, data.target)
        assert abs(linear.mean() - chance) < 4 * error
        # Each part is in each cell equally often: 360 / 9 times, within 4 deviations.
        assert abs(histogram.sum(axis=0) - 360 / 9).max() < 4 * np.sqrt(360 / 9)
        exact = np.array([boxes[PARTS[part]] for boxes in data.boxes])
        assert abs(cross_val_score(tree, exact, data.target).mean() - chance) < 0.1
    two = np.hstack([places[:, 0], places[:, 1]])
    assert cross_val_score(tree, two, data.target).mean() > 0.45


def test_parts_look_alike_in_all_classes(data):
    sizes, colours = [], []
    for image, boxes in zip(data.images, data.boxes, strict=True):
        edges = np.array([boxes[part] for part in PARTS])
        sizes.append((edges[:, 2:] - edges[:, :2]).ravel())
        centres = ((edges[:, :2] + edges[:, 2:]) / 2).astype(int)
        colours.append(image[centres[:, 1], centres[:, 0]].ravel())
    for looks in (np.array(sizes), np.array(colours) / 255):
        model = LogisticRegression(max_iter=500)
        accuracy = cross_val_score(model, looks, data.target).mean()
        assert abs(accuracy - 1 / 4) < 0.1


def test_boxes_hold_all_that_classes_change():
    """A scene drawn for two classes differs in the boxes of the parts alone."""
    blocks = make_arrangement_images(2, 2, 32, random_state=0).arrangements
    drawn = [_render(np.random.default_rng(7), block, 120) for block in blocks]
    differ = (drawn[0][0] != drawn[1][0]).any(axis=2)
    inside = np.zeros_like(differ)
    for _, boxes in drawn:
        for left, top, right, bottom in boxes.values():
            rows = slice(int(top), int(np.ceil(bottom)) + 1)
            inside[rows, int(left) : int(np.ceil(right)) + 1] = True
    assert not differ[~inside].any()
    assert differ[inside].mean() > 0.3


def test_images_depend_on_the_random_state_alone():
    first = make_arrangement_images(6, 3, 48, random_state=5)
    again = make_arrangement_images(6, 3, 48, random_state=5)
    other = make_arrangement_images(6, 3, 48, random_state=6)
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.target, again.target)
    assert first.boxes == again.boxes
    assert not np.array_equal(first.images, other.images)


def test_classes_are_different_arrangements():
    data = make_arrangement_images(24, 24, 32, random_state=0)
    assert all(set(places.values()) == BLOCK for places in data.arrangements)
    assert len({tuple(places[p] for p in PARTS) for places in data.arrangements}) == 24
    few = make_arrangement_images(4, 4, 32, random_state=1)
    assert few.arrangements == data.arrangements[:4]
    for a, b in combinations(few.arrangements, 2):
        assert all(a[part] != b[part] for part in PARTS)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_classes": 1}, "n_classes must be a whole number of at least 2"),
        ({"n_classes": 25}, "at most 24, got 25"),
        ({"n_samples": 3}, "n_samples must be a whole number of at least 4, got 3"),
        ({"image_size": 31}, "image_size must be a whole number of at least 32"),
        ({"image_size": 64.0}, "image_size must be"),
        ({"n_samples": True}, "n_samples must be"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_arrangement_images(**arguments)
