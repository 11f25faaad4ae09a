"""VLAD: the encodings of a plain loop, on all kinds of maps; cached."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skdpnet import VLAD
from skdpnet.backbones import DenseSIFT
from skdpnet.base import map_estimator
from skdpnet.encodings import local_encoder
from tests.encodings.made_maps import PYRAMID, cells_of, made_maps, several, unit
from tests.probes import n_real_images

SMALL = {"n_words": 5, "n_components": 6, "random_state": 0}


def by_loops(maps, whitening, words, levels=((1, 1),), power=0.5, intra=True):
    """VLAD of one image, whose maps (H, W, D) share a vocabulary."""
    encoding = []
    for descriptors in cells_of(maps, whitening, levels):
        residuals = np.zeros(words.shape)
        for x in descriptors:
            k = np.linalg.norm(x - words, axis=1).argmin()
            residuals[k] += x - words[k]
        residuals = np.sign(residuals) * np.abs(residuals) ** power
        if intra:
            residuals = np.stack([unit(own) for own in residuals])
        encoding.append(unit(residuals.ravel()))
    return unit(np.concatenate(encoding))


@pytest.mark.parametrize("pyramid", [None, PYRAMID, ((2, 3),)])
@pytest.mark.parametrize("n_components", [None, 3, 80])
@pytest.mark.parametrize(("power", "intra"), [(0.5, True), (1.0, False), (0.3, False)])
def test_encodings_are_those_of_a_loop(pyramid, n_components, power, intra):
    maps = made_maps()
    maps[3, 2:4] = 0
    estimator = VLAD(
        "precomputed", n_words=5, n_components=n_components, pyramid=pyramid,
        power=power, intra_normalisation=intra, random_state=0,
    )  # fmt: skip
    got = estimator.fit_transform(maps)
    (whitening,), (words,) = estimator.whitenings_, estimator.words_
    assert words.shape == (5, min(n_components or 8, 8))
    levels = pyramid or ((1, 1),)
    n_cells = sum(rows * columns for rows, columns in levels)
    assert got.shape == (12, n_cells * words.size)
    assert got.dtype == np.float32
    expected = [by_loops([m], whitening, words, levels, power, intra) for m in maps]
    np.testing.assert_allclose(got, expected, atol=2e-4)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)


def test_a_pyramid_divides_images_and_not_their_canvas():
    maps = np.zeros((12, 9, 9, 8), np.float32)
    own = [made_maps(1, *[(6, 8), (9, 6), (6, 6)][i % 3], seed=i)[0] for i in range(12)]
    for canvas, feature_map in zip(maps, own, strict=True):
        canvas[: len(feature_map), : feature_map.shape[1]] = feature_map
    estimator = VLAD("precomputed", framing="aspect", pyramid=PYRAMID, **SMALL)
    got = estimator.fit_transform(maps)
    (whitening,), (words,) = estimator.whitenings_, estimator.words_
    expected = [by_loops([m], whitening, words, PYRAMID) for m in own]
    np.testing.assert_allclose(got, expected, atol=2e-4)


def test_one_word_gives_the_mean_s_difference_from_it():
    maps = made_maps()
    estimator = VLAD(
        "precomputed", n_words=1, n_components=None, power=1, intra_normalisation=False
    )
    got = estimator.fit_transform(maps)
    cells = maps.reshape(12, -1, 8)
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    centre = cells.mean(axis=(0, 1))
    np.testing.assert_allclose(estimator.words_[0], [centre], atol=1e-6)
    expected = cells.mean(axis=1) - centre
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_pyramid_of_the_whole_image_is_none():
    maps = made_maps()
    expected = VLAD("precomputed", **SMALL).fit_transform(maps)
    for pyramid in (((1, 1),), [[1, 1]], np.array([[1, 1]])):
        got = VLAD("precomputed", pyramid=pyramid, **SMALL).fit_transform(maps)
        np.testing.assert_array_equal(got, expected)
    more = VLAD("precomputed", pyramid=PYRAMID, **SMALL).fit_transform(maps)
    first = more[:, : expected.shape[1]]
    # The eight cells have equal weights.
    np.testing.assert_allclose(first * np.sqrt(8), expected, atol=1e-5)


def test_the_order_of_the_descriptors_does_not_matter():
    maps = made_maps()
    estimator = VLAD("precomputed", **SMALL).fit(maps)
    shuffled = np.random.default_rng(1).permutation(maps.reshape(12, 30, 8), axis=1)
    np.testing.assert_allclose(
        estimator.transform(shuffled.reshape(maps.shape)),
        estimator.transform(maps),
        atol=1e-4,
    )


def test_regions_and_features_are_maps_of_one_column():
    regions = made_maps().reshape(12, 30, 8)
    got = VLAD("precomputed", **SMALL).fit_transform(regions)
    np.testing.assert_array_equal(
        got, VLAD("precomputed", **SMALL).fit_transform(regions[:, :, None])
    )
    estimator = VLAD("precomputed", **SMALL)
    got = estimator.fit_transform(regions[:, 0])
    assert estimator.n_features_in_ == 8
    (whitening,), (words,) = estimator.whitenings_, estimator.words_
    expected = [by_loops([x[None, None]], whitening, words) for x in regions[:, 0]]
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_maps_of_one_shape_share_a_vocabulary():
    upper, lower = made_maps(seed=1), made_maps(seed=2)
    both = VLAD("precomputed", **SMALL)
    got = both.fit_transform(several(upper, lower))
    assert len(both.words_) == len(both.whitenings_) == 1
    tall = VLAD("precomputed", **SMALL).fit_transform(np.concatenate([upper, lower], 1))
    np.testing.assert_allclose(got, tall, atol=1e-5)
    both.set_params(pyramid=PYRAMID).fit(several(upper, lower))
    (whitening,), (words,) = both.whitenings_, both.words_
    expected = [
        by_loops(pair, whitening, words, PYRAMID)
        for pair in zip(upper, lower, strict=True)
    ]
    np.testing.assert_allclose(
        both.transform(several(upper, lower)), expected, atol=2e-4
    )


@pytest.mark.parametrize("shape", [(3, 3, 8), (6, 5, 7), (3, 2, 4)])
def test_maps_of_other_shapes_have_vocabularies_of_their_own(shape):
    fine, coarse = made_maps(), made_maps(12, *shape, seed=1)
    X = several(fine, coarse, fine[::-1])
    estimator = VLAD("precomputed", **SMALL)
    got = estimator.fit_transform(X)
    assert [words.shape for words in estimator.words_] == [
        (5, 6),
        (5, min(6, shape[-1])),
    ]
    first, second = (
        np.array([by_loops(maps, whitening, words) for maps in images])
        for images, whitening, words in zip(
            [zip(fine, fine[::-1], strict=True), coarse[:, None]],
            estimator.whitenings_,
            estimator.words_,
            strict=True,
        )
    )
    expected = np.hstack([first, second]) / np.sqrt(2)
    np.testing.assert_allclose(got, expected, atol=2e-4)


def test_descriptors_of_zero_are_left_out():
    maps = made_maps()
    estimator = VLAD("precomputed", **SMALL).fit(maps[:, :4])
    padded = np.concatenate([maps[:, :4], np.zeros_like(maps[:, :2])], axis=1)
    again = VLAD("precomputed", **SMALL).fit(padded)
    expected = VLAD("precomputed", **SMALL).fit_transform(maps[:, :4])
    assert again.words_[0].shape == estimator.words_[0].shape
    again.words_, again.whitenings_ = estimator.words_, estimator.whitenings_
    np.testing.assert_allclose(again.transform(padded), expected, atol=1e-5)
    black = again.transform(np.zeros_like(padded[:1]))
    assert black.shape == (1, 30) and not black.any()


def test_images_without_any_contrast_have_no_words():
    with pytest.raises(ValueError, match="all local descriptors of X are zero"):
        VLAD("precomputed").fit(np.zeros((3, 4, 4, 8)))


def test_equal_descriptors_have_one_word_and_no_residuals():
    estimator = VLAD("precomputed", n_words=4, random_state=0)
    got = estimator.fit_transform(np.ones((3, 4, 4, 8)))
    assert estimator.words_[0].shape == (1, 1)
    assert not got.any()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_types_and_scale_do_not_matter(dtype):
    maps = made_maps(dtype=np.float16)
    expected = VLAD("precomputed", **SMALL).fit_transform(maps.astype(np.float32))
    got = VLAD("precomputed", **SMALL).fit_transform(4 * maps.astype(dtype))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_pieces_of_any_size_give_the_same(monkeypatch):
    X = several(made_maps(30), made_maps(30, seed=1))
    settings = {**SMALL, "n_samples": 100, "pyramid": PYRAMID}
    expected = VLAD("precomputed", **settings).fit_transform(X)
    monkeypatch.setattr(map_estimator, "_IMAGES_AT_ONCE", 7)
    monkeypatch.setattr(local_encoder, "_PIECE_BYTES", 1)
    got = VLAD("precomputed", **settings).fit_transform(X)
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_number_as_random_state_gives_the_same_model():
    maps = made_maps(30)
    settings = {"n_words": 8, "n_samples": 200}
    one, two, other = (
        VLAD("precomputed", **settings, random_state=seed).fit_transform(maps)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("X", "pyramid", "message"),
    [
        (made_maps()[:, 0, 0], ((2, 2),), "regions and features have no place"),
        (made_maps()[:, :, 0], ((1, 1), (2, 1)), "regions and features have no place"),
        (made_maps(), ((1, 6),), "1×6 cells, but a feature map has only 6×5"),
        (several(made_maps(), made_maps(height=2)), ((3, 1),), "has only 2×5"),
    ],
)
def test_pyramids_that_do_not_fit(X, pyramid, message):
    with pytest.raises(ValueError, match=message):
        VLAD("precomputed", pyramid=pyramid).fit(X)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("pyramid", value) for value in ((), (1, 1), ((1, 1, 1),), ((0, 1),))),
        *(("pyramid", value) for value in ("11", ("11",), 2, ((1.5, 1),))),
        *(("n_words", 0), ("n_components", 0), ("power", 0), ("power", 1.5)),
        *(("n_samples", 0), ("strides", (0,))),
    ],
)
def test_parameters_out_of_range(parameter, value):
    with pytest.raises(ValueError, match=f"{parameter} must be"):
        VLAD("precomputed").set_params(**{parameter: value}).fit(made_maps())


# On images, cached, searched and saved.


@pytest.fixture
def passes(monkeypatch):
    """Count the images that dense SIFT sees, without the cache's probe."""
    seen = []
    forward = DenseSIFT.forward

    def count(self, images):
        seen.append(n_real_images(images))
        return forward(self, images)

    monkeypatch.setattr(DenseSIFT, "forward", count)
    return seen


def test_images_are_seen_twice_without_memory_and_once_with_it(
    photographs, passes, tmp_path
):
    paths = photographs[0]
    settings = {**SMALL, "image_size": 48, "pyramid": PYRAMID}
    expected = VLAD(**settings).fit_transform(paths)
    assert sum(passes) == 2 * len(paths)
    passes.clear()
    got = VLAD(**settings, memory=tmp_path).fit_transform(paths)
    assert sum(passes) == len(paths)
    np.testing.assert_allclose(got, expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)


def test_a_search_computes_each_map_once(photographs, passes, tmp_path):
    paths, y = photographs
    encoding = VLAD(**SMALL, image_size=48, memory=tmp_path)
    search = GridSearchCV(
        make_pipeline(encoding, LinearSVC()),
        {
            "vlad__n_words": [2, 8],
            "vlad__pyramid": [None, PYRAMID],
            "linearsvc__C": [1, 10],
        },
        cv=2,
    )
    search.fit(paths, y)
    assert sum(passes) == len(paths)
    assert search.best_score_ > 0.7
    assert search.best_estimator_.predict(paths).tolist() == y.tolist()


def test_maps_of_a_network(photographs):
    paths, _ = photographs
    encoding = VLAD("efficientnet_lite0", strides=(16, 32), image_size=96, **SMALL)
    got = encoding.fit_transform(paths[:4])
    assert [whitening.mean.size for whitening in encoding.whitenings_] == [112, 320]
    assert got.shape == (4, 2 * 5 * 6)


def test_encodings_on_the_device_are_those_of_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    maps = made_maps()
    model = VLAD("precomputed", **SMALL, pyramid=PYRAMID, device="cpu").fit(maps)
    expected = model.transform(maps)
    got = model.set_params(device="cuda").transform(maps)
    np.testing.assert_allclose(got, expected, atol=1e-3)
