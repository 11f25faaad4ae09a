"""The choice of elements: pure before impure, and what others leave uncovered."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from skdpnet.parts.mode_seeking.choice import choose_elements

IN_CLASS = np.arange(10) < 6
LEFT, RIGHT = [0, 0, 2, 2], [0, 2, 2, 4]


def detections(*elements):
    """Scores and boxes of elements that detect some images at a place."""
    scores = np.full((len(elements), 10), -1.0)
    boxes = np.zeros((len(elements), 6, 4), int)
    for i, (images, place) in enumerate(elements):
        # Other images of the class come after those of other classes.
        scores[i, IN_CLASS] = -2 - np.arange(6)
        scores[i, images] = 1
        boxes[i] = place
    return scores, boxes


def test_the_second_element_covers_what_the_first_leaves():
    scores, boxes = detections(([0, 1, 2, 3], LEFT), ([0, 1, 2], LEFT), ([4, 5], LEFT))
    choice = choose_elements(scores, boxes, IN_CLASS, 3, purity=1.0)
    assert choice.elements.tolist() == [0, 2, 1]
    assert_allclose(choice.gains, [4, 2, 1.5])
    assert_allclose(choice.coverages, np.array([4, 2, 3]) / 6)


def test_another_place_of_the_same_images_is_not_covered():
    scores, boxes = detections(([0, 1, 2, 3], LEFT), ([0, 1, 2], RIGHT), ([4, 5], LEFT))
    choice = choose_elements(scores, boxes, IN_CLASS, 3, purity=1.0)
    assert choice.elements.tolist() == [0, 1, 2]
    assert_allclose(choice.gains, [4, 3, 2])


def test_gains_never_increase():
    random = np.random.default_rng(0)
    scores = random.standard_normal((30, 10)) + IN_CLASS
    places = np.array([LEFT, RIGHT, [0, 1, 2, 3]])
    boxes = places[random.integers(3, size=(30, 6))]
    choice = choose_elements(scores, boxes, IN_CLASS, 30, purity=0.7)
    assert sorted(choice.elements) == list(range(30))
    assert (np.diff(choice.gains) <= 1e-12).all()
    assert choice.gains[0] > choice.gains[-1]


def test_detections_count_while_they_are_pure():
    scores = np.zeros((1, 10))
    # By rank: four of the class, one that is not, one that is, and only then the rest.
    scores[0, [0, 1, 2, 3, 6, 4, 7, 8, 9, 5]] = np.arange(10)[::-1]
    boxes = np.zeros((1, 6, 4), int) + LEFT
    coverages = [
        choose_elements(scores, boxes, IN_CLASS, 1, purity=purity).coverages[0]
        for purity in (1.0, 0.8, 0.6)
    ]
    assert_allclose(coverages, np.array([4, 5, 6]) / 6)
    choice = choose_elements(scores, boxes, IN_CLASS, 1, purity=1.0)
    assert_allclose(choice.purities, 5 / 6)


def test_images_that_an_element_was_trained_on_do_not_count():
    scores, boxes = detections(([0, 1, 2, 3], LEFT), ([2, 3, 4], LEFT))
    scores[0, :4] = -np.inf
    choice = choose_elements(scores, boxes, IN_CLASS, 2, purity=1.0)
    assert choice.elements.tolist() == [1, 0]
    assert_allclose(choice.coverages, [3 / 6, 0])
    scores[:] = -np.inf
    choice = choose_elements(scores, boxes, IN_CLASS, 2, purity=1.0)
    assert choice.elements.tolist() == [0, 1]
    assert not choice.purities.any() and not choice.coverages.any()


def test_the_purest_come_first_where_none_is_pure_enough():
    scores = np.zeros((2, 10))
    scores[:, 9] = 2  # The best detection of both is of another class.
    scores[0, 6:9] = 1
    scores[1, :6] = 1
    boxes = np.zeros((2, 6, 4), int) + LEFT
    choice = choose_elements(scores, boxes, IN_CLASS, 2, purity=1.0)
    assert choice.elements.tolist() == [1, 0]
    assert choice.gains.tolist() == [0, 0]
    assert_allclose(choice.purities, [5 / 6, 2 / 6], rtol=1e-6)
