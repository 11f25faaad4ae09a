"""Which prototypes merge, and that equal ones merge without a trace."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from skdpnet.prototypes.merging import (
    dissimilarities,
    find_merges,
    merge_columns,
    merge_owners,
)


def test_dissimilarity_is_the_squared_distance_of_columns_on_one_map():
    distances = np.random.default_rng(0).uniform(0, 4, (30, 7)).astype(np.float32)
    part_maps = np.array([0, 0, 0, 1, 1, 1, 1])
    found = dissimilarities(distances, part_maps)
    expected = cdist(distances.T, distances.T, "sqeuclidean")
    may = (part_maps[:, None] == part_maps) & ~np.eye(7, dtype=bool)
    assert_allclose(found[may], expected[may], rtol=1e-9)
    assert np.isinf(found[~may]).all()


def table(pairs, n):
    D = np.full((n, n), np.inf)
    for i, j, value in pairs:
        D[i, j] = D[j, i] = value
    return D


def test_the_most_alike_merge_into_the_first():
    D = table([(0, 3, 0.1), (1, 2, 0.3), (0, 1, 1), (0, 2, 1), (1, 3, 1)], 4)
    assert find_merges(D, 1).tolist() == [0, 1, 2, 0]
    assert find_merges(D, 2).tolist() == [0, 1, 2, 0]  # 0 and 3 are the two
    assert find_merges(D, 3).tolist() == [0, 1, 1, 0]


def test_one_takes_in_all_within_the_threshold_and_none_is_taken_twice():
    D = table([(0, 1, 0.1), (0, 2, 0.1), (1, 3, 0.1), (2, 3, 0.1)], 4)
    # 3 is like 1 and 2, which 0 has taken in: they are gone.
    assert find_merges(D, 4).tolist() == [0, 0, 0, 3]
    D = table([(0, 2, 0.1), (1, 2, 0.1)], 3)
    assert find_merges(D, 3).tolist() == [0, 1, 0]


def test_what_may_not_merge_does_not():
    assert find_merges(table([], 3), 3).tolist() == [0, 1, 2]
    assert find_merges(table([(1, 2, 0.5)], 3), 3).tolist() == [0, 1, 1]
    assert find_merges(table([], 1), 1).tolist() == [0]


def test_merged_weights_are_sums_and_owners_are_unions():
    W = np.random.default_rng(0).standard_normal((3, 5))
    own = np.eye(3, dtype=bool)[:, [0, 0, 1, 2, 2]]
    into = np.array([0, 1, 0, 1, 0])
    expected = np.stack([W[:, 0] + W[:, 2] + W[:, 4], W[:, 1] + W[:, 3]], axis=1)
    assert_allclose(merge_columns(W, into), expected, rtol=1e-12)
    assert_array_equal(
        merge_owners(own, into), [[True, True], [True, False], [True, True]]
    )


@pytest.mark.parametrize("seed", range(3))
def test_merging_equal_prototypes_changes_no_score(seed):
    random = np.random.default_rng(seed)
    distances = random.uniform(0, 4, (20, 6))[:, [0, 1, 2, 1, 3, 0, 4, 5]]
    W = random.standard_normal((3, 8))
    into = find_merges(dissimilarities(distances, np.zeros(8, int)), 4)
    assert into.tolist() == [0, 1, 2, 1, 4, 0, 6, 7]
    kept = into == np.arange(8)
    before = np.log((distances + 1) / (distances + 1e-4))
    assert_allclose(before[:, kept] @ merge_columns(W, into).T, before @ W.T, rtol=1e-9)
