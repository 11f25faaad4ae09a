"""The pool of random regions, and which of them are selected."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skdpnet.parts.random_selected.selection import (
    columns_of,
    draw_candidates,
    select_parts,
)


def test_candidates_are_different_regions_and_never_empty_ones():
    random = np.random.default_rng(0)
    regions = random.standard_normal((5, 7, 3))
    regions[2, 3] = regions[4] = 0
    images, numbers = draw_candidates(regions, 100, np.random.RandomState(0))
    pairs = set(zip(images.tolist(), numbers.tolist(), strict=True))
    expected = {(i, r) for i in range(4) for r in range(7)} - {(2, 3)}
    assert pairs == expected and len(images) == len(expected)


def test_all_regions_are_drawn_alike():
    regions, counts = np.ones((4, 5, 2)), np.zeros((4, 5))
    for seed in range(400):
        images, numbers = draw_candidates(regions, 5, np.random.RandomState(seed))
        counts[images, numbers] += 1
    # 100 expected of each, with a standard deviation below 9.
    assert (abs(counts - 100) < 40).all()


def noise(n=80, n_classes=4, n_candidates=(30, 20), seed=0):
    random = np.random.default_rng(seed)
    return [random.standard_normal((n, k)) for k in n_candidates], np.arange(
        n
    ) % n_classes


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_the_informative_part_of_each_map_is_selected_first(unit):
    maxima, labels = noise()
    maxima[0][:, 13] += 3 * (labels == 2)
    # It speaks against a class, which counts as much.
    maxima[1][:, 5] -= 3 * (labels == 0)
    # The scale of responses has no influence.
    maxima = [unit * (of_map + 7) for of_map in maxima]
    chosen = select_parts(maxima, labels, [1, 1])
    assert [of_map.tolist() for of_map in chosen] == [[13], [5]]


def test_a_part_that_says_what_another_says_is_not_selected():
    """What is left to say counts: of two copies of a part one suffices."""
    maxima, labels = noise()
    for c, column in ((0, 3), (1, 9)):
        maxima[0][:, column] += (6 - 2 * c) * (labels == c)
    maxima[0][:, 20] = maxima[0][:, 3] + 1e-3 * maxima[0][:, 20]
    chosen, _ = select_parts(maxima, labels, [2, 1])
    assert 9 in chosen and len({3, 20} & set(chosen.tolist())) == 1


def test_all_are_kept_where_all_are_asked_for():
    maxima, labels = noise()
    chosen = select_parts(maxima, labels, [30, 20])
    assert_array_equal(chosen[0], np.arange(30))
    assert_array_equal(chosen[1], np.arange(20))


def test_as_many_as_asked_for_even_if_responses_are_constant():
    maxima, labels = noise()
    maxima[0][:, 5:] = 1.0
    chosen = select_parts(maxima, labels, [9, 3])
    assert len(set(chosen[0].tolist())) == 9 and len(set(chosen[1].tolist())) == 3
    assert set(chosen[0][:5].tolist()) == set(range(5))


def test_the_cells_of_a_pyramid_are_one_group():
    """Weak in every cell is enough where no candidate is strong in one of them."""
    maxima, labels = noise(200)
    cells = [np.repeat(of_map, 3, axis=1) for of_map in maxima]
    random = np.random.default_rng(5)
    cells = [of_map + random.standard_normal(of_map.shape) for of_map in cells]
    cells[0][:, 3 * 11 : 3 * 12] += 2 * (labels == 1)[:, None]
    chosen = select_parts(cells, labels, [1, 1], 3)
    assert chosen[0].tolist() == [11]
    assert_array_equal(columns_of(chosen[0], 3), [33, 34, 35])
    every = select_parts(cells, labels, [30, 20], 3)
    assert_array_equal(every[1], np.arange(20))
