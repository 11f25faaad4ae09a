"""LLC: the barycentric weights of scikit-learn, and their largest ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.manifold._locally_linear import barycenter_weights

from skdpnet import LLC, BagOfWords
from skdpnet.encodings.words import linear_codes, nearest_words
from tests.encodings.made_maps import PYRAMID, cells_of, made_maps, several, unit

SMALL = {"n_words": 9, "random_state": 0}


def by_loops(maps, whitening, words, k, reg, levels):
    """Largest codes (n_cells, K) of one image, whose maps share a vocabulary."""
    out = []
    for x in cells_of(maps, whitening, levels):
        codes = np.zeros((len(x) + 1, len(words)))
        if len(x):
            distances = np.linalg.norm(x[:, None] - words, axis=2)
            near = np.argsort(distances, axis=1)[:, :k]
            weights = barycenter_weights(x, words.astype(float), near, reg=reg)
            np.put_along_axis(codes[:-1], near, weights, axis=1)
        out.append(codes.max(axis=0))
    return np.concatenate(out)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_codes_are_the_barycentric_weights_of_scikit_learn(k):
    random = np.random.default_rng(0)
    x, words = random.normal(size=(50, 6)), random.normal(size=(20, 6))
    numbers = nearest_words(torch.from_numpy(x), torch.from_numpy(words), k)
    expected_numbers = np.argsort(np.linalg.norm(x[:, None] - words, axis=2), axis=1)
    np.testing.assert_array_equal(numbers, expected_numbers[:, :k])
    got = linear_codes(torch.from_numpy(x), torch.from_numpy(words), numbers, 1e-4)
    expected = barycenter_weights(x, words, numbers.numpy(), reg=1e-4)
    np.testing.assert_allclose(got, expected, atol=1e-10)


@pytest.mark.parametrize("pyramid", [None, PYRAMID])
@pytest.mark.parametrize(("k", "reg"), [(5, 1e-4), (3, 1e-2), (50, 1e-1)])
def test_encodings_are_those_of_a_loop(pyramid, k, reg):
    maps = made_maps()
    maps[3, 2:4] = 0
    model = LLC(
        "precomputed", n_neighbors=k, regularisation=reg, pyramid=pyramid, **SMALL
    )
    got = model.fit_transform(maps)
    (whitening,), (words,) = model.whitenings_, model.words_
    levels = pyramid or ((1, 1),)
    expected = [unit(by_loops([m], whitening, words, k, reg, levels)) for m in maps]
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_one_neighbour_gives_the_set_of_words_that_are_used():
    maps = made_maps()
    codes = LLC("precomputed", n_neighbors=1, pyramid=PYRAMID, **SMALL)
    counts = BagOfWords("precomputed", feature_map=None, pyramid=PYRAMID, **SMALL)
    used = counts.fit_transform(maps) > 0
    np.testing.assert_allclose(
        codes.fit_transform(maps),
        used / np.sqrt(used.sum(axis=1, keepdims=True)),
        atol=1e-6,
    )


def test_a_pyramid_of_the_whole_image_is_none():
    maps = made_maps()
    expected = LLC("precomputed", **SMALL).fit_transform(maps)
    got = LLC("precomputed", pyramid=((1, 1),), **SMALL).fit_transform(maps)
    np.testing.assert_array_equal(got, expected)
    # The largest codes of finer cells are those of the whole image.
    more = LLC("precomputed", pyramid=((1, 1), (2, 2)), **SMALL).fit_transform(maps)
    cells = more.reshape(12, 5, 9)
    np.testing.assert_allclose(cells[:, 1:].max(axis=1), cells[:, 0], atol=1e-6)


def test_descriptors_that_are_words_have_finite_codes():
    maps = np.tile(np.eye(4, dtype=np.float32), (3, 2, 1, 1))
    model = LLC("precomputed", n_words=4, random_state=0)
    got = model.fit_transform(maps)
    # Each of the four descriptors is a word.
    np.testing.assert_allclose(got, 0.5, atol=1e-3)
    equal = LLC("precomputed", n_words=4).fit_transform(np.ones((3, 4, 4, 8)))
    np.testing.assert_allclose(equal, 1)


def test_maps_of_other_shapes_are_joined_and_normalised():
    fine, coarse = made_maps(), made_maps(height=3, seed=1)
    model = LLC("precomputed", **SMALL)
    got = model.fit_transform(several(fine, coarse))
    own = [
        [by_loops([m], *pair, 5, 1e-4, ((1, 1),)) for m in maps]
        for maps, *pair in zip(
            (fine, coarse), model.whitenings_, model.words_, strict=True
        )
    ]
    expected = [unit(row) for row in np.hstack(own)]
    np.testing.assert_allclose(got, expected, atol=2e-3)
