"""Selections of parts against their definitions, by loops."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from scipy.stats import entropy

from skdpnet.parts import selection
from skdpnet.parts.selection import (
    entropy_areas,
    pure_heads,
    select_covering,
    select_distinct,
)


def test_select_distinct_leaves_out_near_duplicates():
    detectors = np.array([[1, 0], [0.999, 0.0447], [0, 1], [-1, 0]])
    merit = np.array([0.9, 1.0, 0.1, 0.5])
    assert select_distinct(detectors, merit, 3, 0.8).tolist() == [1, 3, 2]
    assert select_distinct(detectors, merit, 2, 1.0).tolist() == [1, 0]


def test_select_distinct_adds_near_duplicates_if_too_few_are_distinct():
    detectors = np.ones((3, 1))
    assert select_distinct(detectors, np.array([1.0, 3, 2]), 2, 0.5).tolist() == [1, 2]


def area_by_loops(scores, labels, n_classes):
    order = np.argsort(-scores)
    curve = [
        entropy(np.bincount(labels[order[:r]], minlength=n_classes), base=2)
        for r in range(1, len(scores) + 1)
    ]
    return sum((a + b) / 2 for a, b in zip(curve[:-1], curve[1:], strict=True))


@pytest.mark.parametrize("at_once", [1, 2**24])
def test_areas_are_those_of_the_definition(at_once, monkeypatch):
    monkeypatch.setattr(selection, "_NUMBERS_AT_ONCE", at_once)
    random = np.random.default_rng(0)
    scores, labels = random.normal(size=(30, 7)), random.integers(4, size=30)
    expected = [area_by_loops(column, labels, 4) for column in scores.T]
    assert_allclose(entropy_areas(scores, labels, 4), expected)


def test_the_entropy_of_a_head_of_one_class_is_zero():
    # All images of one class first: the area lies under the rest of the curve alone.
    labels = np.repeat([2, 0, 1], [6, 3, 3])
    scores = -np.arange(12.0)[:, None]
    (area,) = entropy_areas(scores[:6], labels[:6], 3)
    assert area == 0
    (whole,) = entropy_areas(scores, labels, 3)
    assert whole == pytest.approx(area_by_loops(scores[:, 0], labels, 3))
    assert 0 < whole < 6 * np.log2(3)


def test_areas_of_random_orders():
    labels = np.repeat(np.arange(5), 10)
    scores = np.random.default_rng(0).normal(size=(50, 200))
    areas = entropy_areas(scores, labels, 5)
    assert areas.mean() == pytest.approx(104, abs=1)
    assert areas.max() < 49 * np.log2(5)
    (sorted_by_class,) = entropy_areas(-labels[:, None], labels, 5)
    assert sorted_by_class < areas.min()


def test_a_part_that_responds_alike_to_all_images_has_a_large_area():
    labels = np.repeat(np.arange(5), 10)
    constant, random = np.ones((50, 1)), np.random.default_rng(0).normal(size=(50, 50))
    assert entropy_areas(constant, labels, 5) > entropy_areas(random, labels, 5).max()


def test_pure_heads_are_those_of_the_definition():
    random = np.random.default_rng(0)
    scores = random.normal(size=(20, 30))
    positive = random.random((20, 30)) < 0.6
    expected = []
    for column, is_positive in zip(scores.T, positive.T, strict=True):
        hits = is_positive[np.argsort(-column)]
        expected.append(
            max((r for r in range(1, 21) if hits[:r].mean() >= 0.7), default=0)
        )
    assert_array_equal(pure_heads(scores, positive, 0.7), expected)
    assert 0 in expected and max(expected) > 5
    shared = positive[:, 0]
    repeated = np.repeat(shared[:, None], 30, axis=1)
    assert_array_equal(
        pure_heads(scores, shared, 0.7), pure_heads(scores, repeated, 0.7)
    )


def test_a_purity_that_is_reached_exactly_counts():
    positive = np.array([True] * 7 + [False] * 3)
    assert pure_heads(-np.arange(10.0)[:, None], positive, 0.7).tolist() == [10]


def test_equal_scores_give_no_purity_away():
    positive = np.array([True, False])
    assert pure_heads(np.zeros((2, 1)), positive, 1.0).tolist() == [0]
    assert pure_heads(np.zeros((2, 1)), positive, 0.5).tolist() == [2]


def covering_by_loops(owners, overlaps, n_parts, n_selected):
    selected, gains = [], []
    for _ in range(n_selected):
        best = None
        for part in sorted(set(range(n_parts)) - set(selected)):
            gain = 0.0
            for d in np.flatnonzero(owners == part):
                taken = np.isin(owners, selected) & overlaps[d]
                gain += 1 / (1 + taken.sum())
            if best is None or gain > best[0] + 1e-12:
                best = gain, part
        gains.append(best[0])
        selected.append(best[1])
    return selected, gains


@pytest.mark.parametrize("seed", range(3))
def test_covering_parts_are_chosen_by_their_gain(seed):
    random = np.random.default_rng(seed)
    owners, things = random.integers(8, size=40), random.integers(12, size=40)
    owners[owners == 5] = 0
    overlaps = things[:, None] == things
    selected, gains = select_covering(owners, csr_array(overlaps), 8, 8)
    expected = covering_by_loops(owners, overlaps, 8, 8)
    assert selected.tolist() == expected[0]
    assert_allclose(gains, expected[1])
    assert (np.diff(gains) <= 1e-12).all()
    assert selected[-1] == 5 and gains[-1] == 0


def test_a_part_of_other_things_comes_before_a_larger_double():
    # Parts 0 and 1 detect the same ten things, part 2 six others.
    owners = np.repeat([0, 1, 2], [10, 10, 6])
    things = np.r_[np.arange(10), np.arange(10), np.arange(10, 16)]
    selected, gains = select_covering(
        owners, csr_array(things[:, None] == things), 3, 3
    )
    assert selected.tolist() == [0, 2, 1]
    assert gains.tolist() == [10, 6, 5]
