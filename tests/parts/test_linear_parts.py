"""What a learner of linear parts inherits: responses, biases, shared parts, files."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import skdpnet
from skdpnet.parts.linear_parts import LinearParts, MapParts, region_maxima

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
    monkeypatch.setattr("skdpnet.parts.linear_parts.PIECE_BYTES", 1)
    assert_allclose(region_maxima(regions, parts), expected, rtol=1e-5)
