"""What a learner of linear parts inherits: responses, biases, shared parts, files."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import skdpnet
from skdpnet import best_regions
from skdpnet.parts.linear_parts import LinearParts
from skdpnet.parts.map_parts import MapParts, region_maxima

DEPTH = 4


class Axes(LinearParts):
    """The axes of the whitened space, less a bias; all classes share them."""

    _fitted_attributes: ClassVar[tuple[str, ...]] = (
        *LinearParts._fitted_attributes,
        "part_biases_",
    )

    def _learn_map(self, number, regions, labels, random):
        depth = regions.shape[2]
        assert set(labels.tolist()) == {0, 1}
        return MapParts(
            2 * np.eye(depth, dtype=np.float32),
            np.full(depth, -1),
            np.arange(depth, dtype=np.float32) + 10 * number,
        )


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    X = random.normal(size=(12, 3, 3, DEPTH)).astype(np.float32)
    return X, np.array(["ash", "elm"] * 6)


def responses_of(X, estimator):
    """Responses (n, R, P) of single cells, by the definition."""
    cells = X.reshape(len(X), -1, DEPTH)
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    (whitening,) = estimator.whitenings_
    cells = (cells - whitening.mean) @ whitening.projection
    cells /= np.linalg.norm(cells, axis=2, keepdims=True)
    return 2 * cells - np.arange(DEPTH)


def test_responses_are_products_less_the_biases(data):
    X, y = data
    fitted = Axes("precomputed", region_scales=[0.3], random_state=0).fit(X, y)
    expected = responses_of(X, fitted)
    (responses,) = fitted.part_responses([X])
    assert_allclose(responses.numpy(), expected, atol=1e-5)
    maxima = expected.max(axis=1)
    standard = (maxima - maxima.mean(0)) / maxima.std(0) / np.sqrt(DEPTH)
    assert_allclose(fitted.transform(X), standard, atol=1e-4)
    assert_allclose(fitted.descriptor([responses]), standard, atol=1e-4)
    assert_allclose(fitted.fit_transform(X, y), standard, atol=1e-4)


def test_shared_parts_are_named_by_number(data):
    fitted = Axes("precomputed").fit(*data)
    assert fitted.part_classes_.tolist() == [-1] * DEPTH
    assert fitted.get_feature_names_out().tolist() == [f"part{i}" for i in range(DEPTH)]


def test_parts_of_several_maps_follow_one_another(data):
    X, y = data
    maps = np.empty(len(X), [("a", "f4", X.shape[1:]), ("b", "f4", (2, 2, DEPTH))])
    maps["a"], maps["b"] = X, X[:, :2, :2]
    fitted = Axes("precomputed").fit(maps, y)
    assert fitted.part_maps_.tolist() == [0] * DEPTH + [1] * DEPTH
    assert fitted.part_biases_.tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    assert len(fitted.whitenings_) == len(fitted.grids_) == 2


def test_biases_are_saved_and_forged_ones_refused(data, tmp_path):
    X, y = data
    fitted = Axes("precomputed").fit(X, y)
    fitted.save(tmp_path / "axes")
    loaded = skdpnet.load(tmp_path / "axes", estimators=[Axes])
    assert_array_equal(loaded.part_biases_, fitted.part_biases_)
    assert_array_equal(loaded.transform(X), fitted.transform(X))
    fitted.part_biases_ = fitted.part_biases_[:2]
    # What is saved passes the same checks as what is loaded.
    with pytest.raises(ValueError, match="part_biases_ has shape"):
        fitted.save(tmp_path / "forged")


def test_maxima_of_pieces_are_those_of_all(monkeypatch):
    random = np.random.default_rng(0)
    regions = random.normal(size=(5, 7, DEPTH)).astype(np.float32)
    detectors = random.normal(size=(3, DEPTH)).astype(np.float32)
    biases = np.array([0.5, -1, 2], np.float32)
    expected = (regions @ detectors.T).max(axis=1) - biases
    parts = MapParts(detectors, np.zeros(3, int), biases)
    assert_allclose(region_maxima(regions, parts), expected, rtol=1e-5)
    monkeypatch.setattr("skdpnet.parts.map_parts.PIECE_BYTES", 1)
    assert_allclose(region_maxima(regions, parts), expected, rtol=1e-5)


def pyramids(y):
    """Cells of noise; class "ash" has a mark in the upper half, "elm" in the lower."""
    random = np.random.default_rng(1)
    X = random.normal(size=(len(y), 4, 4, DEPTH)).astype(np.float32)
    for maps, label in zip(X, y, strict=True):
        maps[random.integers(2) + 2 * (label == "elm"), random.integers(4), 1] += 20
    return X


def with_pyramid(levels, **parameters):
    parameters = {"region_scales": [0.25], "random_state": 0, **parameters}
    return Axes("precomputed", pyramid=levels, **parameters)


def test_a_pyramid_of_one_cell_changes_nothing(data):
    X, y = data
    plain = Axes("precomputed", random_state=0).fit(X, y)
    one = Axes("precomputed", random_state=0, pyramid=[(1, 1)]).fit(X, y)
    assert_allclose(one.transform(X), plain.transform(X), atol=1e-5)
    assert (
        one.get_feature_names_out().tolist() == plain.get_feature_names_out().tolist()
    )


def test_each_part_has_a_copy_for_each_cell(data):
    y = data[1]
    X = pyramids(y)
    fitted = with_pyramid([(1, 1), (2, 1)]).fit(X, y)
    assert fitted.parts_.shape == (3 * DEPTH, DEPTH)
    assert fitted.part_biases_.tolist() == np.repeat(np.arange(4), 3).tolist()
    expected = ["part0", "part0 upper", "part0 lower", "part1"]
    assert fitted.get_feature_names_out()[:4].tolist() == expected
    expected = np.tile([(0, 0, 1, 1), (0, 0, 1, 0.5), (0, 0.5, 1, 1)], (DEPTH, 1))
    assert_array_equal(fitted.part_cells_, expected)
    (whole,) = with_pyramid(None).fit(X, y).part_responses([X])
    halves = [whole, whole[:, :8], whole[:, 8:]]
    maxima = torch.stack([half.amax(dim=1) for half in halves], dim=2).flatten(1)
    maxima = maxima.numpy()
    standard = (maxima - maxima.mean(0)) / maxima.std(0) / np.sqrt(3 * DEPTH)
    assert_allclose(fitted.transform(X), standard, atol=1e-4)
    assert_allclose(fitted.fit_transform(X, y), standard, atol=1e-4)
    responses = fitted.part_responses([X])
    assert_allclose(fitted.descriptor(responses), standard, atol=1e-4)
    # The region where a copy is best lies in its cell.
    best = responses[0].argmax(dim=1)
    assert (best[:, 1::3] < 8).all() and (best[:, 2::3] >= 8).all()


def test_a_pyramid_tells_where_parts_are(data):
    y = data[1]
    X = pyramids(y)
    halves = with_pyramid([(2, 1)], n_components=None).fit(X, y).transform(X)
    # Of the axis that marks have, the copies of both halves.
    assert ((halves[:, 2] > halves[:, 3]) == (y == "ash")).all()


def test_copies_in_cells_without_regions_give_zero(data):
    y = data[1]
    X = pyramids(y)
    fitted = with_pyramid([(1, 1), (2, 1)], region_scales=[1.0]).fit(X, y)
    out = fitted.transform(X).reshape(len(X), -1, 3)
    assert (out[:, :, 1] == 0).all()
    assert_array_equal(out[:, :, 2], out[:, :, 0])
    assert_allclose(fitted.fit_transform(X, y).reshape(out.shape), out, atol=1e-5)


def test_pyramids_are_saved_and_forged_ones_refused(data, tmp_path):
    y = data[1]
    X = pyramids(y)
    fitted = with_pyramid([(1, 1), (2, 1)]).fit(X, y)
    fitted.save(tmp_path / "axes")
    loaded = skdpnet.load(tmp_path / "axes", estimators=[Axes])
    assert_array_equal(loaded.part_cells_, fitted.part_cells_)
    assert_array_equal(loaded.transform(X), fitted.transform(X))
    again = with_pyramid(None).fit(X, y)
    assert not hasattr(again, "part_cells_")
    right = fitted.part_cells_
    for wrong, message in [
        (right[:-1], "part_cells_ has shape"),
        (right + 1, "something else than cells"),
        (np.tile(right[:2], (len(right) // 2, 1)), "parts_ differs"),
        (np.vstack([right[:-1], right[:1]]), "same cells for each part"),
    ]:
        fitted.part_cells_ = wrong
        with pytest.raises(ValueError, match=message):
            fitted.save(tmp_path / "forged")


@pytest.mark.parametrize(
    "levels, message",
    [
        ([(5, 1)], "only 4×4"),
        ([(1, 1), (1, 1)], "a level twice"),
        ((1, 1), "pyramid must be"),
        ([], "pyramid must be"),
        ([(0, 1)], "pyramid must be"),
    ],
)
def test_unusable_pyramids_are_refused(levels, message, data):
    y = data[1]
    with pytest.raises(ValueError, match=message):
        with_pyramid(levels).fit(pyramids(y), y)


def test_features_without_places_have_no_pyramid(data):
    y = data[1]
    with pytest.raises(ValueError, match="use pyramid=None"):
        with_pyramid([(2, 2)]).fit(pyramids(y)[:, 0, 0], y)


@pytest.mark.parametrize("levels", [None, [(1, 1), (2, 1)]])
def test_no_part_is_found_beside_an_image(levels, data):
    X, y = pyramids(data[1]), data[1]
    X[::2, 2:] = 0
    fitted = with_pyramid(levels).fit(X, y)
    found = best_regions(fitted, X)
    assert (found.regions[::2] < 8).all()
    assert (found.regions[1::2] >= 8).any()
