"""Bags of words: the counts of a loop, kernels of histograms, pyramids."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import chi2_kernel
from sklearn.svm import SVC

from skdpnet import BagOfWords
from skdpnet.encodings import intersection_kernel
from tests.encodings.made_maps import PYRAMID, cells_of, made_maps, several

LEVELS = ((1, 1), (2, 2), (4, 4))
SMALL = {"n_words": 5, "random_state": 0}


def counts_by_loops(maps, whitening, words, levels=((1, 1),)):
    """Counts (n_cells, K) of one image, whose maps (H, W, D) share a vocabulary."""
    out = []
    for descriptors in cells_of(maps, whitening, levels):
        nearest = [np.linalg.norm(x - words, axis=1).argmin() for x in descriptors]
        out.append(np.bincount(np.array(nearest, int), minlength=len(words)))
    return np.array(out, float)


def fitted(X, **params) -> tuple[BagOfWords, np.ndarray]:
    model = BagOfWords("precomputed", **SMALL, **params)
    return model, model.fit_transform(X)


@pytest.mark.parametrize("n_components", [None, 3])
@pytest.mark.parametrize("pyramid", [None, PYRAMID, LEVELS])
def test_histograms_are_the_counts_of_a_loop(pyramid, n_components):
    maps = made_maps()
    maps[3, 2:4] = 0
    model, got = fitted(
        maps, pyramid=pyramid, feature_map=None, n_components=n_components
    )
    (whitening,), (words,) = model.whitenings_, model.words_
    levels = pyramid or ((1, 1),)
    counts = [counts_by_loops([m], whitening, words, levels).ravel() for m in maps]
    expected = counts / np.sum(counts, axis=1, keepdims=True)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    # Its square root has unit length.
    _, roots = fitted(maps, pyramid=pyramid, n_components=n_components)
    np.testing.assert_allclose(roots, np.sqrt(expected), atol=1e-6)


def test_cells_of_a_level_sum_to_the_level_before():
    maps = made_maps(height=8, width=8)
    model, got = fitted(maps, pyramid=LEVELS, feature_map=None)
    cells = 3 * got.reshape(12, 21, 5)
    whole, quarters, sixteenths = cells[:, 0], cells[:, 1:5], cells[:, 5:]
    np.testing.assert_allclose(quarters.sum(axis=1), whole, atol=1e-6)
    np.testing.assert_allclose(sixteenths.sum(axis=1), whole, atol=1e-6)
    by_place = sixteenths.reshape(12, 2, 2, 2, 2, 5).sum(axis=(2, 4))
    np.testing.assert_allclose(by_place.reshape(12, 4, 5), quarters, atol=1e-6)
    # The first level is the histogram without a pyramid.
    _, alone = fitted(maps, feature_map=None)
    np.testing.assert_allclose(whole, alone, atol=1e-6)


def test_the_weights_of_the_pyramid_match():
    maps = made_maps(height=8, width=8)
    _, equal = fitted(maps, pyramid=LEVELS, feature_map=None)
    _, weighted = fitted(
        maps, pyramid=LEVELS, feature_map=None, level_weights="pyramid_match"
    )
    of_level = np.repeat([1 / 4, 1 / 4, 1 / 2], [5, 4 * 5, 16 * 5])
    np.testing.assert_allclose(weighted, 3 * equal * of_level, atol=1e-6)


def test_the_pyramid_match_kernel_is_that_of_the_paper():
    maps = made_maps(height=8, width=8)
    _, X = fitted(maps, pyramid=LEVELS, feature_map=None, level_weights="pyramid_match")
    model, single = fitted(maps, pyramid=((4, 4),), feature_map=None)
    finest = single.reshape(12, 2, 2, 2, 2, 5)
    # Equation 3: matches of level l that are none of level l + 1 count 1/2^(L-l).
    matches = []
    for histograms in (
        finest.sum(axis=(1, 2, 3, 4)),
        finest.sum(axis=(2, 4)),
        finest,
    ):
        flat = histograms.reshape(12, -1)
        matches.append(np.minimum(flat[:, None], flat).sum(axis=2))
    new = [matches[0] - matches[1], matches[1] - matches[2], matches[2]]
    expected = new[0] / 4 + new[1] / 2 + new[2]
    np.testing.assert_allclose(intersection_kernel(X), expected, atol=1e-6)


def test_the_chi2_map_approximates_the_chi2_kernel():
    maps = np.abs(made_maps(40)) ** 3
    model, X = fitted(maps, feature_map="chi2")
    _, histograms = fitted(maps, feature_map=None)
    assert X.shape == (40, 15) == (40, model._n_features_out)
    # The additive kernel Σ 2 x y / (x + y) is 1 - Σ (x - y)² / (2 (x + y)) for sums 1.
    exact = 1 + np.log(chi2_kernel(histograms, gamma=1.0)) / 2
    got = X @ X.T
    # Three numbers for each entry leave a tenth of every histogram's length away.
    np.testing.assert_allclose(np.diag(got), got[0, 0], rtol=1e-5)
    np.testing.assert_allclose(got / got[0, 0], exact, atol=0.07)
    assert np.corrcoef(got.ravel(), exact.ravel())[0, 1] > 0.99
    assert np.ptp(exact) > 0.1


def test_the_order_of_the_descriptors_does_not_matter():
    maps = made_maps()
    model, expected = fitted(maps)
    shuffled = np.random.default_rng(1).permutation(maps.reshape(12, 30, 8), axis=1)
    got = model.transform(shuffled.reshape(maps.shape))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_maps_of_other_shapes_have_histograms_of_their_own():
    fine, coarse = made_maps(), made_maps(height=3, seed=1)
    model, got = fitted(several(fine, coarse, fine[::-1]), feature_map=None)
    first, second = model.words_
    pairs = zip(fine, fine[::-1], strict=True)
    counts = [
        counts_by_loops(pair, model.whitenings_[0], first).ravel() for pair in pairs
    ]
    others = [
        counts_by_loops([m], model.whitenings_[1], second).ravel() for m in coarse
    ]
    expected = np.hstack([counts, others]) / (2 * 30 + 15)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_pyramid_divides_images_and_not_their_canvas():
    maps = np.zeros((12, 9, 9, 8), np.float32)
    own = [made_maps(1, *[(6, 8), (9, 6), (6, 6)][i % 3], seed=i)[0] for i in range(12)]
    for canvas, feature_map in zip(maps, own, strict=True):
        canvas[: len(feature_map), : feature_map.shape[1]] = feature_map
    model, got = fitted(maps, framing="aspect", pyramid=PYRAMID, feature_map=None)
    (whitening,), (words,) = model.whitenings_, model.words_
    counts = [counts_by_loops([m], whitening, words, PYRAMID).ravel() for m in own]
    expected = [c / c.sum() for c in counts]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_intersections_are_those_of_a_loop_and_drive_an_svm():
    random = np.random.default_rng(0)
    X, Y = random.random((9, 6)), random.random((7, 6))
    expected = [[np.minimum(x, y).sum() for y in Y] for x in X]
    np.testing.assert_allclose(intersection_kernel(X, Y), expected, atol=1e-12)
    np.testing.assert_allclose(np.diag(intersection_kernel(X)), X.sum(axis=1))
    y = np.arange(9) % 2
    called = SVC(kernel=intersection_kernel, C=10).fit(X, y)
    given = SVC(kernel="precomputed", C=10).fit(intersection_kernel(X), y)
    np.testing.assert_allclose(
        called.decision_function(Y), given.decision_function(np.transpose(expected))
    )


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[0.5, -0.1]], "Negative values"),
        ([[0.5, np.nan]], "NaN"),
        ([0.5, 0.5], "2D array"),
    ],
)
def test_what_is_no_histogram(X, message):
    with pytest.raises(ValueError, match=message):
        intersection_kernel(X)


def test_histograms_of_other_lengths():
    with pytest.raises(ValueError, match="Incompatible dimension"):
        intersection_kernel([[0.5, 0.5]], [[1.0]])
