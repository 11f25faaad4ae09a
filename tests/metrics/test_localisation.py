"""The pointing game, hits and purity compared with results by hand."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet import metrics

NAN = [np.nan, np.nan]


def test_a_box_points_at_what_contains_its_centre():
    box = [10, 20, 30, 40]  # centre 20, 30
    cases = [
        ([[20, 30, 21, 31]], True),
        ([[0, 0, 19, 60]], False),
        ([[0, 0, 60, 29]], False),
        ([[0, 0, 5, 5], [15, 25, 25, 35]], True),
        ([], False),
    ]
    boxes = [box] * len(cases)
    hits = metrics.pointing_game(boxes, [target for target, _ in cases])
    assert hits.tolist() == [hit for _, hit in cases]


def test_the_chance_of_pointing_at_a_target_is_its_area():
    random = np.random.default_rng(0)
    points = random.random((20_000, 2))
    boxes = np.hstack([points - 0.1, points + 0.1])
    hits = metrics.pointing_game(boxes, [[[0.2, 0.1, 0.6, 0.6]]] * len(boxes))
    assert hits.mean() == pytest.approx(0.4 * 0.5, abs=0.01)


def test_a_box_may_point_beside_a_target_within_the_tolerance():
    box = [10, 20, 30, 40]  # centre 20, 30
    # Targets to the right, above, and 3 across and 4 down from the centre.
    targets = [[[22, 0, 60, 60]], [[0, 0, 60, 27]], [[23, 34, 60, 60]], [[]]]
    for tolerance, expected in (
        (0, [False, False, False, False]),
        (2, [True, False, False, False]),
        (4.99, [True, True, False, False]),
        (5, [True, True, True, False]),
    ):
        hits = metrics.pointing_game([box] * 4, targets, tolerance=tolerance)
        assert hits.tolist() == expected
    # A target that is too far does not hide another.
    both = [[[22, 0, 60, 60], [90, 90, 99, 99]]]
    assert metrics.pointing_game([box], both, tolerance=2).tolist() == [True]


def test_an_image_without_a_box_is_a_miss():
    targets = [[[0, 0, 9, 9]]]
    assert metrics.pointing_game([NAN * 2], targets, tolerance=15).tolist() == [False]


def test_pointing_game_rejects_invalid_arguments():
    with pytest.raises(ValueError, match="1 boxes but targets of 2 images"):
        metrics.pointing_game([[0, 0, 1, 1]], [[], []])
    for tolerance in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match="tolerance must be 0 or more"):
            metrics.pointing_game([[0, 0, 1, 1]], [[]], tolerance=tolerance)


def test_a_box_hits_the_true_parts_whose_points_it_contains():
    # Two images, two parts and three true parts, the last of which may be hidden.
    boxes = [[[0, 0, 4, 4], [2, 2, 8, 6]], [[0, 0, 4, 4], [5, 5, 5, 5]]]
    truths = [[[1, 1], [4, 4], [9, 3]], [[5, 5], [0, 4.1], NAN]]
    expected = [
        [[True, True, False], [False, True, False]],
        [[False, False, False], [True, False, False]],
    ]
    np.testing.assert_array_equal(metrics.part_hits(boxes, truths), expected)


def test_a_true_box_stands_for_its_centre():
    truths = [[[0, 0, 8, 2], [3, 3, 20, 20], NAN * 2]]
    assert metrics.part_hits([[[0, 0, 5, 5]]], truths).tolist() == [
        [[True, False, False]]
    ]


@pytest.mark.parametrize(
    "boxes, truths, message",
    [
        (np.zeros((2, 1, 4)), np.zeros((3, 1, 2)), "2 images but truths of 3"),
        (np.zeros((2, 1, 4)), np.zeros((2, 1, 3)), "points, or .*, boxes"),
        (np.zeros((2, 4)), np.zeros((2, 1, 2)), "boxes must have 3 axes"),
        (np.zeros((2, 1, 2)), np.zeros((2, 1, 2)), "last axis of length 4"),
        (np.full((1, 1, 4), np.nan), np.zeros((1, 1, 2)), "holds nan at .0, 0, 0"),
        ([[[0, 5, 9, 4]]], np.zeros((1, 1, 2)), r"at \(0, 0\) ends before it begins"),
        (np.zeros((1, 1, 4)), [[[1, np.nan]]], "true part 0 of image 0"),
        (np.zeros((1, 1, 4)), [[[1, np.inf]]], "true part 0 of image 0"),
    ],
)
def test_hits_reject_invalid_arguments(boxes, truths, message):
    with pytest.raises(ValueError, match=message):
        metrics.part_hits(boxes, truths)


def purity_by_definition(hits, visible, responses, n_top):
    """Apply the definition to each part and true part in turn."""
    purities = []
    for p in range(hits.shape[1]):
        top = sorted(range(len(hits)), key=lambda i: -responses[i, p])[:n_top]
        shares = [0.0]
        for k in range(hits.shape[2]):
            shown = [i for i in top if visible[i, k]]
            if shown:
                shares.append(sum(bool(hits[i, p, k]) for i in shown) / len(shown))
        purities.append(max(shares))
    return purities


@pytest.mark.parametrize("n_top", [1, 4, 10, 99])
def test_purity_follows_the_definition(n_top):
    random = np.random.default_rng(0)
    hits = random.random((30, 6, 5)) < 0.4
    visible = random.random((30, 5)) < 0.5
    # There are ties, in which the first images count.
    responses = random.integers(0, 8, (30, 6)) / 8
    np.testing.assert_allclose(
        metrics.part_purity(hits, visible, responses, n_top),
        purity_by_definition(hits, visible, responses, n_top),
    )


def test_purity_counts_only_images_that_show_the_true_part():
    hits = np.array([[[1, 0]], [[0, 0]], [[1, 0]], [[0, 1]]], bool)
    visible = np.array([[1, 1], [0, 1], [1, 1], [1, 1]], bool)
    responses = [[0.9], [0.8], [0.7], [0.1]]
    assert metrics.part_purity(hits, visible, responses, 3) == [1.0]
    assert metrics.part_purity(hits, visible, responses, 4) == pytest.approx(2 / 3)
    # A hit on a true part that is not visible does not count.
    assert metrics.part_purity(hits, np.zeros((4, 2), bool), responses) == [0.0]


def test_left_and_right_may_count_as_one_true_part():
    # True parts: left wing, tail, right wing. A part on the wings, in four images: the
    # left one is hit, the right one, neither, and both are hidden.
    hits = np.array([[[1, 0, 0]], [[0, 0, 1]], [[0, 1, 0]], [[0, 0, 0]]], bool)
    visible = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 0], [0, 1, 0]], bool)
    responses = np.ones((4, 1))
    # Each wing is hit in one of the two images that show it.
    assert metrics.part_purity(hits, visible, responses) == [1 / 2]
    # A wing is hit in two of the three images that show one.
    for pair in ((0, 2), (2, 0)):
        assert metrics.part_purity(hits, visible, responses, pairs=[pair]) == [2 / 3]
    # A hit on the hidden wing does not count for the one that is visible.
    hits[2, 0, 2] = True
    assert metrics.part_purity(hits, visible, responses, pairs=[(0, 2)]) == [2 / 3]
    assert hits[2, 0, 2] and not visible[1, 0]  # the arguments stay as they are
    assert metrics.part_purity(hits, visible, responses, pairs=[]) == [1 / 2]


def test_parts_of_no_weight_may_be_left_out():
    # Parts 0 to 3 hit the only true part in 1, 2, 1 and 0 of two images.
    hits = np.array([[1, 1, 0, 0], [0, 1, 1, 0]], bool)[:, :, None]
    visible, responses = np.ones((2, 1), bool), np.ones((2, 4))
    weights = [[0, 1e-5, 2e-5, 0], [3, -1e-5, 0, -1]]
    purity = metrics.part_purity(hits, visible, responses, weights=weights)
    np.testing.assert_array_equal(purity, [0.5, np.nan, 0.5, 0])
    purity = metrics.part_purity(hits, visible, responses)
    np.testing.assert_array_equal(purity, [0.5, 1, 0.5, 0])


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"pairs": [0, 1]}, r"shape \(m, 2\), got int64 of shape \(2,\)"),
        ({"pairs": [(0.0, 1.0)]}, "must hold whole numbers"),
        ({"pairs": [(0, 4)]}, "numbers from 0 to 3"),
        ({"pairs": [(-1, 0)]}, "numbers from 0 to 3"),
        ({"pairs": [(1, 1)]}, "the same true part twice"),
        ({"pairs": [(0, 1), (1, 2)]}, "the same true part twice"),
        ({"weights": [1, 0]}, "weights must have 2 axes"),
        ({"weights": [[1, 0, 0]]}, r"shape \(C, 2\), got \(1, 3\)"),
        ({"weights": [[1, np.nan]]}, r"weights holds nan at \(0, 1\)"),
    ],
)
def test_purity_rejects_invalid_pairs_and_weights(changed, message):
    hits, visible = np.zeros((3, 2, 4), bool), np.ones((3, 4), bool)
    with pytest.raises(ValueError, match=message):
        metrics.part_purity(hits, visible, np.zeros((3, 2)), **changed)


def test_purity_rejects_invalid_arguments():
    hits, visible = np.zeros((3, 2, 4), bool), np.ones((3, 4), bool)
    with pytest.raises(ValueError, match=r"responses must have the shape \(3, 2\)"):
        metrics.part_purity(hits, visible, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="responses holds nan"):
        metrics.part_purity(hits, visible, np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="n_top must be a whole number of at least 1"):
        metrics.part_purity(hits, visible, np.zeros((3, 2)), n_top=0)


def test_resized_boxes_keep_their_centres():
    boxes = np.array([[[0, 10, 20, 20]], [[4, 4, 5, 5]]], float)
    resized = metrics.resize_boxes(boxes, [[6], [2]])
    np.testing.assert_allclose(resized, [[[7, 12, 13, 18]], [[3.5, 3.5, 5.5, 5.5]]])
    for side in (0, -1, np.nan):
        with pytest.raises(ValueError, match="side must be above 0"):
            metrics.resize_boxes(boxes, side)
