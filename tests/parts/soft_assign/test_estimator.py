"""Parts learned in two stages: what they find, and what they refuse."""

from __future__ import annotations

import tempfile
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from skdpnet import SoftAssignParts
from skdpnet.storage import large_arrays


def planted_images(n=36, n_classes=3, size=5, depth=12, seed=0):
    """Maps of noise; a random cell of each image has the direction of its class."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, size, size, depth)).astype(np.float32)
    y = np.arange(n) % n_classes
    rows, columns = random.integers(size, size=(2, n))
    X[np.arange(n), rows, columns, y] += 12
    return X, np.array(["ant", "bee", "cow"])[y], rows * size + columns


def estimator(**parameters):
    defaults = {"n_parts_per_class": 2, "n_components": None, "random_state": 0}
    return SoftAssignParts("precomputed", **(defaults | parameters))


@pytest.mark.parametrize("assignment", ["sinkhorn", "hungarian"])
@pytest.mark.parametrize("n_components", [None, 12])
def test_the_parts_respond_most_to_the_planted_cells(n_components, assignment):
    X, y, where = planted_images()
    fitted = estimator(
        region_scales=[0.2], n_components=n_components, assignment=assignment
    ).fit(X, y)
    cells = X.reshape(len(X), -1, 12)
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    (whitening,) = fitted.whitenings_
    cells = (cells - whitening.mean) @ whitening.projection
    cells /= np.linalg.norm(cells, axis=2, keepdims=True)
    for c, label in enumerate(fitted.classes_):
        first_part = fitted.parts_[fitted.part_classes_ == c][0]
        strongest = (cells[y == label] @ first_part).argmax(axis=1)
        assert (strongest == where[y == label]).mean() > 0.9


def test_new_images_are_classified():
    X, y, _ = planted_images(90)
    model = make_pipeline(estimator(region_scales=[0.2]), LinearSVC())
    assert model.fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.9


def test_descriptor_is_the_standardised_maximum_of_the_cosines():
    X, y, _ = planted_images()
    fitted = estimator(region_scales=[0.2, 0.4]).fit(X, y)
    cells = X.reshape(len(X), 25, 12)
    blocks = np.lib.stride_tricks.sliding_window_view(X, (2, 2), axis=(1, 2))
    regions = np.concatenate(
        [cells, blocks.mean(axis=(-1, -2)).reshape(len(X), 16, 12)], axis=1
    )
    regions /= np.linalg.norm(regions, axis=2, keepdims=True)
    maxima = (regions @ fitted.parts_.T).max(axis=1)
    expected = (maxima - maxima.mean(0)) / maxima.std(0) / np.sqrt(6)
    assert_allclose(fitted.transform(X), expected, atol=1e-5)


def test_output_is_standardised_float32_and_named():
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    out = fitted.transform(X)
    assert out.dtype == np.float32 and out.shape == (36, 6)
    assert_allclose(out.mean(0), 0, atol=1e-5)
    assert_allclose(out.var(0), 1 / 6, rtol=1e-4)
    assert_allclose(np.linalg.norm(fitted.parts_, axis=1), 1, rtol=1e-5)
    names = ["ant_part0", "ant_part1", "bee_part0", "bee_part1", "cow_part0"]
    assert fitted.get_feature_names_out()[:5].tolist() == names
    assert fitted.part_classes_.tolist() == [0, 0, 1, 1, 2, 2]


def test_fit_transform_is_fit_then_transform():
    X, y, _ = planted_images()
    once = estimator().fit_transform(X, y)
    assert_allclose(once, estimator().fit(X, y).transform(X), atol=1e-5)


def test_pieces_do_not_change_the_result(monkeypatch):
    X, y, _ = planted_images()
    expected = estimator().fit(X, y).transform(X)
    monkeypatch.setattr("skdpnet.parts.soft_assign.sinkhorn.PIECE_BYTES", 1)
    monkeypatch.setattr("skdpnet.parts.map_parts.PIECE_BYTES", 1)
    assert_allclose(estimator().fit(X, y).transform(X), expected, atol=1e-3)


def test_rounds_end_once_the_assignment_hardly_changes():
    X, y, _ = planted_images()
    fitted = estimator(n_rounds=50, beta_start=200.0, beta_end=200.0).fit(X, y)
    assert 2 <= fitted.n_iter_ < 50
    assert estimator(n_rounds=1).fit(X, y).n_iter_ == 1


@pytest.mark.parametrize(
    "X, y",
    [
        pytest.param(np.ones((6, 3, 3, 4)), [0, 1] * 3, id="constant"),
        pytest.param(np.zeros((6, 3, 3, 4)), [0, 1] * 3, id="zeros"),
        pytest.param(np.eye(4)[[0, 1] * 3], [0, 1] * 3, id="identical, R=1"),
        pytest.param(np.eye(4)[:2], [0, 1], id="one image a class, R=1"),
        pytest.param(planted_images(3)[0], [0, 1, 2], id="one image a class"),
        pytest.param(
            np.repeat(planted_images(3)[0], 2, axis=0),
            [0, 1] * 3,
            id="same images in both classes",
        ),
        pytest.param(
            1e-18 * planted_images()[0], planted_images()[1], id="tiny numbers"
        ),
        pytest.param(1e9 * planted_images()[0], planted_images()[1], id="huge numbers"),
    ],
)
@pytest.mark.parametrize("assignment", ["sinkhorn", "hungarian"])
@pytest.mark.parametrize("n_components", [None, 256])
def test_poor_data_gives_finite_numbers_without_warnings(
    X, y, n_components, assignment
):
    model = estimator(
        n_parts_per_class=5, n_components=n_components, assignment=assignment
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = model.fit(X, y).transform(X)
    assert out.shape == (len(X), 5 * len(np.unique(y)))
    assert np.isfinite(out).all() and np.isfinite(model.parts_).all()


@pytest.mark.parametrize("shape", [(30, 7), (30, 2, 7), (30, 4, 3, 7)])
def test_features_regions_and_maps_are_accepted(shape):
    X = np.random.default_rng(0).standard_normal(shape)
    fitted = estimator(n_parts_per_class=3).fit(X, np.arange(30) % 2)
    assert np.isfinite(fitted.transform(X)).all()


def test_hard_assignments_are_the_limit_of_soft_ones():
    X, y, _ = planted_images()
    parameters = {"region_scales": [0.2], "n_parts_per_class": 1, "n_rounds": 30}
    hard = estimator(assignment="hungarian", **parameters).fit(X, y)
    soft = estimator(beta_start=2e3, beta_end=2e3, **parameters).fit(X, y)
    assert_allclose(soft.parts_, hard.parts_, atol=0.01)
    assert 2 <= hard.n_iter_ < 30


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="at least two classes"):
        estimator().fit(np.ones((4, 3)), [1] * 4)


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_parts_per_class": 0},
        {"n_parts_per_class": 4, "n_candidates": 3},
        {"n_candidates": 2.5},
        {"n_rounds": 0},
        {"beta_start": 0.0},
        {"assignment": "greedy"},
        {"beta_end": float("inf")},
    ],
)
def test_unusable_parameters_are_named(parameters):
    X, y, _ = planted_images()
    name = list(parameters)[-1]
    with pytest.raises(ValueError, match=name):
        estimator(**parameters).fit(X, y)


def test_maps_of_another_shape_are_refused():
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    with pytest.raises(ValueError, match="fitted on"):
        fitted.transform(X[:, :4])


def test_the_same_seed_gives_the_same_parts():
    X, y, _ = planted_images()
    model = estimator()
    assert_array_equal(model.fit(X, y).parts_, clone(model).fit(X, y).parts_)


def test_large_arrays_are_written_to_the_folder_memory(monkeypatch, tmp_path):
    folders = set()
    original = tempfile.TemporaryFile

    def temporary_file(*args, dir=None, **kwargs):
        folders.add(str(dir))
        return original(*args, dir=dir, **kwargs)

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)
    monkeypatch.setattr(large_arrays, "free_memory", lambda: 0)
    X = np.random.default_rng(0).normal(size=(20, 3, 3, 8)).astype(np.float32)
    parts = SoftAssignParts("precomputed", memory=tmp_path, n_parts_per_class=2)
    parts.set_params(random_state=0).fit(X, np.arange(20) % 2).transform(X)
    assert folders == {str(tmp_path)}
