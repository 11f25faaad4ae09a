"""Samples of descriptors, their whitening, their words, and the cells of pyramids."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet.encodings.pyramid import pyramid_cells
from skdpnet.encodings.vocabulary import (
    DescriptorSample,
    learn_words,
    principal_axes,
    project,
)


def numbered(n: int) -> np.ndarray:
    """Unit descriptors that say by their direction which they are."""
    angles = (np.arange(n) + 1) / (n + 1) * np.pi / 2
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def numbers(sample: np.ndarray, n: int) -> np.ndarray:
    return np.rint(np.arctan2(sample[:, 1], sample[:, 0]) / np.pi * 2 * (n + 1)) - 1


def test_a_sample_has_each_descriptor_with_the_same_chance():
    n, counts = 60, np.zeros(60)
    for seed in range(600):
        sample = DescriptorSample(6, np.random.RandomState(seed))
        for piece in np.array_split(numbered(n), 9):
            sample.add(piece)
        drawn = numbers(sample.descriptors(), n)
        assert len(drawn) == 6
        assert (np.diff(drawn) > 0).all()
        counts[drawn.astype(int)] += 1
    # A binomial number, of mean 60 and standard deviation 7.3.
    assert abs(counts - 60).max() < 5 * 7.3


def test_a_sample_does_not_depend_on_the_pieces():
    samples = []
    for n_pieces in (1, 7, 50):
        sample = DescriptorSample(20, np.random.RandomState(0))
        for piece in np.array_split(numbered(500), n_pieces):
            sample.add(piece)
        samples.append(sample.descriptors())
    np.testing.assert_array_equal(samples[0], samples[1])
    np.testing.assert_array_equal(samples[0], samples[2])


def test_a_sample_of_many_small_pieces_is_that_of_all_at_once():
    samples = [DescriptorSample(20, np.random.RandomState(0)) for _ in range(2)]
    held = []
    for descriptor in numbered(500):
        samples[0].add(descriptor[None])
        held.append(len(samples[0]._rows))
    samples[1].add(numbered(500))
    np.testing.assert_array_equal(*(sample.descriptors() for sample in samples))
    assert max(held) <= 64  # arrays


def test_a_sample_holds_few_descriptors_however_many_come():
    sample = DescriptorSample(100, np.random.RandomState(0))
    held = []
    for _ in range(200):
        sample.add(numbered(150))
        held.append(sum(map(len, sample._rows)))
    assert max(held) <= 2 * 100
    # Late descriptors seldom are among those kept.
    assert sum(np.diff(held).clip(0)[100:]) < 150


def test_small_samples_are_whole_and_normalised():
    sample = DescriptorSample(100, np.random.RandomState(0))
    sample.add(3 * numbered(40).astype(np.float16))
    sample.add(np.zeros((5, 2), np.float16))
    got = sample.descriptors()
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, numbered(40), atol=1e-3)


def test_whitened_axes_have_nearly_equal_variances():
    random = np.random.default_rng(0)
    spreads = np.array([5, 2, 1, 0.1, 0, 0])
    turn, _ = np.linalg.qr(random.normal(size=(6, 6)))
    sample = ((random.normal(size=(5000, 6)) * spreads + 1) @ turn).astype(np.float32)
    whitening = principal_axes(sample, 80, whiten=True)
    assert whitening.projection.shape == (6, 4)
    projected = (sample - whitening.mean) @ whitening.projection
    covariance = np.cov(projected.T, bias=True)
    variances = np.linalg.eigvalsh(np.cov(sample.T, bias=True))[:1:-1]
    expected = np.diag(variances / (variances + 0.01 * variances[0]))
    np.testing.assert_allclose(covariance, expected, atol=1e-3)
    two = principal_axes(sample, 2, whiten=True)
    np.testing.assert_allclose(two.projection, whitening.projection[:, :2], rtol=1e-4)
    units = project(torch.from_numpy(sample), two)
    np.testing.assert_allclose(units.norm(dim=1), 1, atol=1e-6)


def test_a_sample_smaller_than_its_depth():
    sample = np.random.default_rng(0).normal(size=(4, 10)).astype(np.float32)
    assert principal_axes(sample, 8, whiten=True).projection.shape == (10, 3)


def test_words_are_the_means_of_their_descriptors():
    random = np.random.default_rng(0)
    centres = 10 * random.normal(size=(4, 6))
    labels = np.repeat(np.arange(4), 50)
    sample = (centres[labels] + random.normal(size=(200, 6))).astype(np.float32)
    words = learn_words(sample, 4, np.random.RandomState(0))
    expected = np.array([sample[labels == k].mean(axis=0) for k in range(4)])
    order = np.linalg.norm(words[:, None] - expected, axis=2).argmin(axis=0)
    assert sorted(order) == [0, 1, 2, 3]
    np.testing.assert_allclose(words[order], expected, atol=1e-4)
    few = learn_words(np.repeat(sample[:3], 9, axis=0), 4, np.random.RandomState(0))
    assert len(few) == 3


@pytest.mark.parametrize("size", [(3, 1), (7, 5), (12, 12), (56, 14)])
@pytest.mark.parametrize("level", [(1, 1), (2, 1), (3, 1), (2, 2)])
def test_the_cells_of_a_level_cover_the_map_once(size, level):
    covered = np.zeros(size, int)
    cells = pyramid_cells([level], *size)
    assert len(cells) == level[0] * level[1]
    for rows, columns in cells:
        covered[rows, columns] += 1
    assert (covered == 1).all()
    areas = [covered[cell].size for cell in cells]
    if size[0] % level[0] == size[1] % level[1] == 0:
        assert len(set(areas)) == 1


def test_levels_come_one_after_the_other_and_row_by_row():
    cells = pyramid_cells([(1, 1), (2, 2)], 5, 4)
    starts = [(rows.start, columns.start) for rows, columns in cells]
    # The centre of the middle row lies on the border, and counts as below it.
    assert starts == [(0, 0), (0, 0), (0, 2), (2, 0), (2, 2)]
