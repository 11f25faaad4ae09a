"""The context's map and parts, of an estimator that learns nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skdpnet.parts.context_map import ContextMap
from skdpnet.parts.linear_parts import LinearParts
from skdpnet.parts.map_parts import MapParts

DEPTH = 3


class Axes(ContextMap, LinearParts):
    """The axes of each map's space; those of the last are of the classes, if wanted."""

    wanted = True

    def _wants_context(self):
        return self.wanted

    def _learn_map(self, number, regions, labels, random):
        n = 2 if number == self._n_maps else 1
        return MapParts(np.eye(n, regions.shape[2], dtype=np.float32), np.arange(n))


@pytest.fixture
def maps():
    random = np.random.default_rng(0)
    X = np.zeros(8, [("a", "f4", (4, 4, DEPTH)), ("b", "f4", (2, 2, DEPTH))])
    X["a"], X["b"] = random.random((8, 4, 4, DEPTH)), random.random((8, 2, 2, DEPTH))
    return X


def fitted(maps):
    y = np.array(["ash", "elm"] * 4)
    return Axes("precomputed", region_scales=[0.3], n_components=None).fit(maps, y)


def test_the_averages_of_all_maps_are_one_more_map(maps):
    model = fitted(maps)
    assert model.part_maps_.tolist() == [0, 1, 2, 2]
    assert [grid.n_regions for grid in model.grids_] == [16, 4, 1]
    assert len(model.map_shapes_) == 2
    names = ["ash_part0", "ash_part1", "ash_context", "elm_context"]
    assert model.get_feature_names_out().tolist() == names
    averages = [maps[name].mean(axis=(1, 2)) for name in ("a", "b")]
    units = [a / np.linalg.norm(a, axis=1, keepdims=True) for a in averages]
    whole = np.hstack(units) / np.sqrt(2)
    (responses,) = model.part_responses([maps["a"], maps["b"], whole[:, None, None]])[
        2:
    ]
    assert_allclose(responses[:, 0], whole[:, :2], atol=1e-6)
    standard = (whole[:, :2] - whole[:, :2].mean(0)) / whole[:, :2].std(0) / 2
    assert_allclose(model.transform(maps)[:, 2:], standard, atol=1e-4)


def test_a_fitted_model_keeps_the_context_that_it_has(maps):
    model = fitted(maps)
    before = model.transform(maps)
    model.wanted = False
    assert_allclose(model.transform(maps), before)
    assert model.fit(maps, np.arange(8) % 2).part_maps_.tolist() == [0, 1]
