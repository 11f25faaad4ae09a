import tempfile
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq, linear_sum_assignment, linprog
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdpnet import SoftAssignParts
from skdpnet.parts.soft_assign.sinkhorn import select_distinct, soft_assign
from skdpnet.storage import large_arrays as memory

SHAPES = [(3, 8), (5, 5), (7, 4), (4, 1), (1, 6), (1, 1)]


def scores_of(n_parts, n_regions, n_images=6, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (n_images, n_parts, n_regions))


@pytest.mark.parametrize("n_parts, n_regions", SHAPES)
@pytest.mark.parametrize("beta", [0.01, 1.0, 30.0])
def test_constraints(n_parts, n_regions, beta):
    assigned = soft_assign(scores_of(n_parts, n_regions), beta, n_iter=2_000, tol=1e-9)
    of_parts, of_regions = assigned.sum(axis=2), assigned.sum(axis=1)
    few, many = of_parts, of_regions
    if n_regions < n_parts:
        few, many = many, few
    assert assigned.min() >= 0
    assert_allclose(few, 1, atol=1e-12)
    assert many.max() <= 1 + 1e-3


@pytest.mark.parametrize("n_parts, n_regions", SHAPES)
def test_cold_limit_is_the_best_one_to_one_assignment(n_parts, n_regions):
    scores = scores_of(n_parts, n_regions)
    assigned = soft_assign(scores, 1_000.0, n_iter=20_000)
    for score, one in zip(scores, assigned, strict=True):
        best = score[linear_sum_assignment(score, maximize=True)].sum()
        assert (one * score).sum() == pytest.approx(best, abs=0.01)


@pytest.mark.parametrize("n_parts, n_regions", [(2, 3), (3, 2), (3, 3)])
def test_warm_assignment_maximises_gain_and_entropy(n_parts, n_regions):
    # No move between two assignments that obey the constraints may raise
    # β Σ M C + entropy: its gradient is constant on rows plus columns, so its
    # value at M is a maximum of the linear programme with that gradient.
    beta, score = 3.0, scores_of(n_parts, n_regions, n_images=1)
    assigned = soft_assign(score, beta, n_iter=5_000, tol=1e-12)[0]
    few, many = sorted((n_parts, n_regions))
    table, gain = assigned, beta * score[0]
    if n_regions < n_parts:
        table, gain = table.T, gain.T
    left = np.clip(1 - table.sum(axis=0), 1e-15, None)
    slack = [left] if many > few else []
    gradient = np.vstack([gain - np.log(table), *(-np.log(row) for row in slack)])
    masses = np.r_[np.ones(few), [many - few] * len(slack)]
    rows = np.kron(np.eye(len(gradient)), np.ones(many))
    columns = np.kron(np.ones(len(gradient)), np.eye(many))
    best = linprog(
        -gradient.ravel(),
        A_eq=np.vstack([rows, columns]),
        b_eq=np.r_[masses, np.ones(many)],
    )
    reached = (np.vstack([table, *slack]) * gradient).sum()
    assert reached == pytest.approx(-best.fun, abs=1e-6)


def test_order_of_parts_regions_and_images_does_not_matter():
    scores, random = scores_of(4, 9), np.random.default_rng(1)
    images, parts, regions = (random.permutation(n) for n in scores.shape)
    assigned = soft_assign(scores, 20.0)
    turned = soft_assign(scores[images][:, parts][:, :, regions], 20.0)
    assert_allclose(turned, assigned[images][:, parts][:, :, regions], atol=1e-12)


def test_a_constant_added_to_the_scores_of_a_part_changes_nothing():
    scores = scores_of(3, 7)
    shifted = scores + np.array([5.0, -2.0, 0.0])[:, None]
    tight = {"n_iter": 1_000, "tol": 1e-10}
    assert_allclose(
        soft_assign(shifted, 10.0, **tight),
        soft_assign(scores, 10.0, **tight),
        atol=1e-8,
    )


@pytest.mark.parametrize("n_parts, n_regions", SHAPES)
@pytest.mark.parametrize("beta", [1e-12, 1e4, 1e12])
def test_extreme_beta_and_ties_stay_finite(n_parts, n_regions, beta):
    scores = scores_of(n_parts, n_regions)
    scores[0] = 0
    scores[1] = np.linspace(-1, 1, n_regions)
    assigned = soft_assign(scores, beta)
    assert np.isfinite(assigned).all()
    few_axis = 2 if n_parts <= n_regions else 1
    assert_allclose(assigned.sum(axis=few_axis), 1, atol=1e-9)
    assert_allclose(assigned[0], 1 / max(n_parts, n_regions))


def test_one_region_is_shared_among_the_parts():
    # With a factor s for the slack, each part gets x / (x + s), together 1.
    x = np.array([1.0, 2.0, 5.0])
    s = brentq(lambda s: (x / (x + s)).sum() - 1, 1e-6, 1e6)
    assigned = soft_assign(np.log(x)[None, :, None], 1.0, n_iter=1_000, tol=1e-12)
    assert_allclose(assigned.ravel(), x / (x + s))


def test_scores_are_left_alone():
    scores = scores_of(3, 5)
    before = scores.copy()
    soft_assign(scores, 5.0)
    assert_array_equal(scores, before)


def test_select_distinct_takes_the_best_but_no_near_duplicate():
    detectors = np.array([[1, 0], [0.999, 0.0447], [0, 1], [-1, 0]])
    merit = np.array([0.9, 1.0, 0.1, 0.5])
    assert select_distinct(detectors, merit, 3, 0.8).tolist() == [1, 3, 2]
    assert select_distinct(detectors, merit, 2, 1.0).tolist() == [1, 0]


def test_select_distinct_falls_back_on_duplicates():
    detectors = np.ones((3, 1))
    assert select_distinct(detectors, np.array([1.0, 3, 2]), 2, 0.5).tolist() == [1, 2]


def planted_images(n=36, n_classes=3, size=5, depth=12, seed=0):
    """Noise, with one direction of its class somewhere in each image."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, size, size, depth)).astype(np.float32)
    y = np.arange(n) % n_classes
    rows, columns = random.integers(size, size=(2, n))
    X[np.arange(n), rows, columns, y] += 12
    return X, np.array(["ant", "bee", "cow"])[y], rows * size + columns


def estimator(**parameters):
    defaults = {"n_parts_per_class": 2, "n_components": None, "random_state": 0}
    return SoftAssignParts("precomputed", **(defaults | parameters))


@parametrize_with_checks([SoftAssignParts("precomputed", n_parts_per_class=2)])
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("n_components", [None, 12])
def test_finds_planted_parts(n_components):
    X, y, where = planted_images()
    fitted = estimator(region_scales=[0.2], n_components=n_components).fit(X, y)
    cells = X.reshape(len(X), -1, 12)
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    (whitening,) = fitted.whitenings_
    cells = (cells - whitening.mean) @ whitening.projection
    cells /= np.linalg.norm(cells, axis=2, keepdims=True)
    for c, label in enumerate(fitted.classes_):
        first = fitted.parts_[fitted.part_classes_ == c][0]
        found = (cells[y == label] @ first).argmax(axis=1)
        assert (found == where[y == label]).mean() > 0.9


def test_separates_new_images():
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
    whole = estimator().fit(X, y).transform(X)
    monkeypatch.setattr("skdpnet.parts.soft_assign.sinkhorn.PIECE_BYTES", 1)
    assert_allclose(estimator().fit(X, y).transform(X), whole, atol=1e-3)


def test_stops_once_the_assignment_rests():
    X, y, _ = planted_images()
    rested = estimator(n_rounds=50, beta_start=200.0, beta_end=200.0).fit(X, y)
    assert 2 <= rested.n_iter_ < 50
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
@pytest.mark.parametrize("n_components", [None, 256])
def test_poor_data_gives_finite_numbers_without_warnings(X, y, n_components):
    model = estimator(n_parts_per_class=5, n_components=n_components)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = model.fit(X, y).transform(X)
    assert out.shape == (len(X), 5 * len(np.unique(y)))
    assert np.isfinite(out).all() and np.isfinite(model.parts_).all()


@pytest.mark.parametrize("shape", [(30, 7), (30, 2, 7), (30, 4, 3, 7)])
def test_takes_features_regions_and_maps(shape):
    X = np.random.default_rng(0).standard_normal(shape)
    fitted = estimator(n_parts_per_class=3).fit(X, np.arange(30) % 2)
    assert np.isfinite(fitted.transform(X)).all()


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
        {"beta_end": float("inf")},
    ],
)
def test_unusable_parameters_are_named(parameters):
    X, y, _ = planted_images()
    name = list(parameters)[-1]
    with pytest.raises(ValueError, match=name):
        estimator(**parameters).fit(X, y)


def test_other_shape_is_refused():
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    with pytest.raises(ValueError, match="fitted on"):
        fitted.transform(X[:, :4])


def test_same_seed_same_parts():
    X, y, _ = planted_images()
    model = estimator()
    assert_array_equal(model.fit(X, y).parts_, clone(model).fit(X, y).parts_)


def test_large_arrays_go_where_memory_says(monkeypatch, tmp_path):
    folders = set()
    make = tempfile.TemporaryFile

    def noted(*args, dir=None, **kwargs):
        folders.add(str(dir))
        return make(*args, dir=dir, **kwargs)

    monkeypatch.setattr(tempfile, "TemporaryFile", noted)
    monkeypatch.setattr(memory, "free_memory", lambda: 0)
    X = np.random.default_rng(0).normal(size=(20, 3, 3, 8)).astype(np.float32)
    parts = SoftAssignParts("precomputed", memory=tmp_path, n_parts_per_class=2)
    parts.set_params(random_state=0).fit(X, np.arange(20) % 2).transform(X)
    assert folders == {str(tmp_path)}
