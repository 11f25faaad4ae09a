"""One-to-one assignment: against all assignments of toys, and its objective."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skdpnet.parts.soft_assign.hungarian import assign_one_to_one, refine_one_to_one
from skdpnet.parts.soft_assign.sinkhorn import soft_assign


def unit(array):
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


def toy(seed, n_images=3, n_regions=4, depth=3):
    random = np.random.default_rng(seed)
    return unit(random.normal(size=(n_images, n_regions, depth)))


def objective(regions, assignment):
    """J of the regions (n, q) that are assigned to the parts."""
    chosen = regions[np.arange(len(regions))[:, None], assignment]
    return (chosen.mean(axis=0) ** 2).sum()


def best_objective(regions, n_parts):
    """The largest J of all one-to-one assignments."""
    n_regions = regions.shape[1]
    of_image = list(itertools.permutations(range(n_regions), n_parts))
    every = itertools.product(of_image, repeat=len(regions))
    return max(objective(regions, np.array(each)) for each in every)


@pytest.mark.parametrize("shape", [(3, 5), (3, 3), (4, 2), (1, 6)])
def test_assignments_have_the_largest_sum_of_all(shape):
    n_parts, n_regions = shape
    scores = np.random.default_rng(0).normal(size=(5, *shape))
    for score, assigned in zip(scores, assign_one_to_one(scores), strict=True):
        pairs = {(p, r) for p, r in enumerate(assigned.tolist()) if r >= 0}
        assert len(pairs) == len({r for _, r in pairs}) == min(shape)
        larger = score if n_parts <= n_regions else score.T
        best = max(
            sum(larger[i, j] for i, j in enumerate(each))
            for each in itertools.permutations(range(max(shape)), min(shape))
        )
        assert sum(score[pair] for pair in pairs) == pytest.approx(best)


@pytest.mark.parametrize("shape", [(3, 8), (5, 5), (4, 2)])
def test_soft_assignment_with_a_large_beta_is_the_same(shape):
    scores = np.random.default_rng(1).normal(size=(6, *shape))
    soft = soft_assign(scores, 1_000.0, n_iter=20_000)
    numbers = assign_one_to_one(scores)
    hard = (numbers[..., None] == np.arange(shape[1])).astype(float)
    # Of assignments that are nearly as good as the best, the soft one has a share.
    soft_sums, hard_sums = ((m * scores).sum(axis=(1, 2)) for m in (soft, hard))
    assert_allclose(soft_sums, hard_sums, atol=0.01)
    assert ((soft * hard).sum(axis=(1, 2)) > 0.5 * min(shape)).all()


@pytest.mark.parametrize("seed", range(10))
def test_the_objective_never_falls(seed):
    regions = toy(seed, n_images=6, n_regions=7, depth=4)
    start = unit(np.random.default_rng(seed + 100).normal(size=(3, 4)))
    assignment = assign_one_to_one(start @ regions.swapaxes(1, 2))
    values = [objective(regions, assignment)]
    for n_rounds in range(1, 30):
        detectors, done = refine_one_to_one(regions, start, n_rounds)
        chosen = regions[np.arange(6)[:, None], assignment]
        means = chosen.mean(axis=0)
        assert_allclose(detectors, unit(means), atol=1e-4)
        if done < n_rounds:
            break
        assignment = assign_one_to_one(means @ regions.swapaxes(1, 2))
        values.append(objective(regions, assignment))
    assert done < n_rounds
    assert (np.diff(values) >= -1e-6).all()


def reached(regions, n_parts, n_starts):
    """The largest J of several random starts."""
    random = np.random.default_rng(0)
    values = []
    for _ in range(n_starts):
        start = unit(random.normal(size=(n_parts, regions.shape[2])))
        detectors, _ = refine_one_to_one(regions, start, 50)
        scores = detectors @ regions.swapaxes(1, 2)
        values.append(objective(regions, assign_one_to_one(scores)))
    return max(values)


def test_many_starts_reach_the_global_optimum_of_most_toys():
    toys = [toy(seed) for seed in range(8)]
    best = np.array([best_objective(regions, 2) for regions in toys])
    found = np.array([reached(regions, 2, 30) for regions in toys])
    assert (found <= best + 1e-6).all()
    assert (found > best - 1e-6).mean() >= 0.5
    assert (found > 0.9 * best).all()


def test_detectors_of_regions_that_cancel_stay():
    axis = np.eye(3, dtype=np.float32)[0]
    regions = np.stack([axis[None], -axis[None]])
    detectors = np.eye(3, dtype=np.float32)[1:2]
    refined, _ = refine_one_to_one(regions, detectors, 5)
    assert_array_equal(refined, detectors)


def test_parts_without_regions_keep_their_detectors():
    regions = unit(np.array([[[1.0, 0.1, 0]], [[1.0, -0.1, 0]]]))
    detectors = np.eye(3, dtype=np.float32)
    refined, _ = refine_one_to_one(regions, detectors, 5)
    assert_allclose(refined, detectors, atol=1e-6)


def test_pieces_do_not_change_the_result(monkeypatch):
    regions = toy(3, n_images=6)
    start = unit(np.random.default_rng(0).normal(size=(2, 3)))
    expected = refine_one_to_one(regions, start, 10)
    monkeypatch.setattr("skdpnet.parts.soft_assign.hungarian.PIECE_BYTES", 1)
    found = refine_one_to_one(regions, start, 10)
    assert_allclose(found[0], expected[0], atol=1e-6)
    assert found[1] == expected[1]
