"""Maps of one cell, which have no parts beside maps of several cells."""

from __future__ import annotations

import numpy as np
import pytest

import skdpnet
from skdpnet import DPNetClassifier, DPNetTransformer, SoftAssignParts, best_regions
from tests.parts.dpnet.made_maps import SETTINGS, two_maps

SHAPES = ((8, 8, 14), (4, 4, 18), (1, 1, 7))


def with_average(n, seed=0, at=2, scale=1.0):
    """Return `two_maps` and a map of one cell at a place among them, and labels."""
    X, y, _ = two_maps(n, seed)
    arrays = [X["map0"], X["map1"]]
    random = np.random.default_rng(seed + 100)
    arrays.insert(at, scale * random.normal(size=(n, 1, 1, 7)).astype(np.float32))
    fields = [(f"map{i}", "f4", array.shape[1:]) for i, array in enumerate(arrays)]
    out = np.empty(n, np.dtype(fields))
    for i, array in enumerate(arrays):
        out[f"map{i}"] = array
    return out, y


def estimators():
    return [
        DPNetClassifier(**SETTINGS, max_epochs=2),
        DPNetClassifier(**SETTINGS, max_epochs=2, context=False),
        DPNetTransformer(**SETTINGS, max_epochs=2, beta=None),
        SoftAssignParts(**SETTINGS, n_rounds=2),
    ]


def has_context(estimator):
    return getattr(estimator, "context", False)


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("estimator", estimators(), ids=str)
def test_a_map_of_one_cell_has_no_parts(estimator, at):
    X, y = with_average(30, at=at)
    estimator.fit(X, y)
    shapes = [*SHAPES[:2]]
    shapes.insert(at, SHAPES[2])
    assert estimator.map_shapes_ == tuple(shapes)
    context = 3 * has_context(estimator)
    n_regions = [grid.n_regions for grid in estimator.grids_]
    assert [(grid.height, grid.width) for grid in estimator.grids_[:2]] == [
        (8, 8),
        (4, 4),
    ]
    assert n_regions[2:] == [1] * bool(context)
    assert estimator.part_maps_.tolist() == [0] * 6 + [1] * 9 + [2] * context
    assert len(estimator.parts_) == 15 + context
    assert len(estimator.get_feature_names_out()) == 15 + context
    (responses,) = estimator.iter_responses(X)
    assert [tuple(tensor.shape) for tensor in responses] == [
        (30, n_regions[0], 6),
        (30, n_regions[1], 9),
        *[(30, 1, 3)] * bool(context),
    ]
    # Boxes of parts are windows of the maps with parts, those of the context images.
    boxes = best_regions(estimator, X).boxes
    sides = boxes[..., 2] - boxes[..., 0]
    for number, side in ((0, 8), (1, 4)):
        in_cells = sides[:, estimator.part_maps_ == number] * side
        np.testing.assert_allclose(in_cells, in_cells.round(), atol=1e-6)
        assert (in_cells < side).all()
    assert (sides[:, 15:] == 1).all()


@pytest.mark.parametrize("estimator", estimators(), ids=str)
def test_it_has_influence_on_the_context_alone(estimator):
    X, y = with_average(30)
    estimator.fit(X, y)
    new, _ = with_average(20, seed=1)
    described = estimator.transform(new)
    changed = new.copy()
    changed["map2"] = np.random.default_rng(5).normal(size=(20, 1, 1, 7))
    other = estimator.transform(changed)
    np.testing.assert_array_equal(other[:, :15], described[:, :15])
    if has_context(estimator):
        assert np.abs(other[:, 15:] - described[:, 15:]).max() > 0.01
    else:
        # The descriptors are those of a model that never saw the map.
        without, labels, _ = two_maps(30)
        estimator.fit(without, labels)
        np.testing.assert_array_equal(
            estimator.transform(new[["map0", "map1"]]), described
        )


def test_the_average_alone_tells_classes_to_the_context():
    X, y = with_average(300)
    random = np.random.default_rng(7)
    for name in ("map0", "map1"):
        X[name] = random.normal(size=X[name].shape)
    X["map2"] += 4 * np.eye(7)[y][:, None, None]
    on_average = DPNetClassifier(**SETTINGS, max_epochs=2).fit(X[::2], y[::2])
    assert on_average.score(X[1::2], y[1::2]) > 0.9
    without = on_average.set_params(context=False).fit(X[::2], y[::2])
    assert without.score(X[1::2], y[1::2]) < 0.7


@pytest.mark.parametrize("estimator", estimators(), ids=str)
def test_saved_and_loaded_it_computes_the_same(estimator, tmp_path):
    X, y = with_average(30)
    estimator.fit(X, y).save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model", device="cpu")
    assert loaded.map_shapes_ == SHAPES
    assert loaded.grids_ == estimator.grids_
    new, _ = with_average(20, seed=1)
    np.testing.assert_array_equal(loaded.transform(new), estimator.transform(new))
    np.testing.assert_array_equal(loaded.part_maps_, estimator.part_maps_)
    with pytest.raises(ValueError, match=r"\(4, 4, 18\), but"):
        loaded.transform(two_maps(4)[0])


def test_where_all_maps_have_one_cell_they_have_parts():
    X, y = with_average(30)
    both = np.empty(30, [("map0", "f4", (1, 1, 7)), ("map1", "f4", (1, 1, 5))])
    both["map0"] = X["map2"]
    both["map1"] = np.random.default_rng(3).normal(size=(30, 1, 1, 5))
    for maps, of_parts in ((X["map2"], [0] * 15), (both, [0] * 6 + [1] * 9)):
        model = DPNetClassifier(**SETTINGS, max_epochs=1).fit(maps, y)
        assert {grid.n_regions for grid in model.grids_} == {1}
        assert model.part_maps_.tolist() == [*of_parts, *[of_parts[-1] + 1] * 3]
