"""The pointing game, by hand and by chance."""

import numpy as np
import pytest

from skdpnet.metrics import pointing_game


def test_a_box_points_where_its_centre_is():
    box = [10, 20, 30, 40]  # centre 20, 30
    cases = [
        ([[20, 30, 21, 31]], True),
        ([[0, 0, 19, 60]], False),
        ([[0, 0, 60, 29]], False),
        ([[0, 0, 5, 5], [15, 25, 25, 35]], True),
        ([], False),
    ]
    boxes = [box] * len(cases)
    got = pointing_game(boxes, [target for target, _ in cases])
    assert got.tolist() == [hit for _, hit in cases]


def test_random_points_hit_as_often_as_the_target_is_large():
    random = np.random.default_rng(0)
    points = random.random((20_000, 2))
    boxes = np.hstack([points - 0.1, points + 0.1])
    hits = pointing_game(boxes, [[[0.2, 0.1, 0.6, 0.6]]] * len(boxes))
    assert hits.mean() == pytest.approx(0.4 * 0.5, abs=0.01)


def test_numbers_that_differ_are_an_error():
    with pytest.raises(ValueError, match="1 boxes but targets of 2 images"):
        pointing_game([[0, 0, 1, 1]], [[], []])
