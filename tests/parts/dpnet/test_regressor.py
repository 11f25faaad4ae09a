"""Numbers as targets: `DPNetRegressor` on maps whose targets are known functions."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Lasso, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV

import skdpnet
from skdpnet import DPNetRegressor, best_regions, explain, explain_class, part_gallery
from skdpnet.parts.dpnet.target_fits import (
    SparseObjective,
    quantile_groups,
    target_scale,
)
from skdpnet.training.least_squares import fit_least_squares
from skdpnet.training.score_losses import SquaredError

SETTINGS = {
    "backbone": "precomputed",
    "region_scales": (0.2,),
    "n_bins": 2,
    "n_parts_per_bin": 4,
    "annealed_share": 0.0,
    "foreground": None,
    "context": False,
    "max_epochs": 15,
    "lr": 0.01,
    "C": 1.0,
    "random_state": 0,
}


def mixed_maps(n, seed=0):
    """Maps of noise in which a cell is a mixture of a direction and another.

    The targets are linear functions of the share of the mixture, from 0 to 1, and of
    whether another cell has a third direction. Returns the maps, the targets (n, 2),
    and the cells (n, 2, 2) of the mixture and of the third direction.
    """
    random = np.random.default_rng(seed)
    directions = np.linalg.qr(np.random.default_rng(99).normal(size=(32, 32)))[0]
    X = random.normal(size=(n, 5, 6, 32))
    cells = np.stack([random.permutation(30)[:2] for _ in range(n)])
    where = np.stack(np.divmod(cells, 6), axis=2)
    share, present = random.random(n), random.random(n) < 0.5
    for i in range(n):
        (a, b), (c, d) = where[i]
        mixture = share[i] * directions[0] + (1 - share[i]) * directions[1]
        X[i, a, b] += 25 * mixture / np.linalg.norm(mixture)
        X[i, c, d] += 25 * present[i] * directions[2]
    targets = np.stack([100 + 20 * share, 3 * present - share], axis=1)
    return X.astype(np.float32), targets, where


@pytest.fixture(scope="module")
def train():
    return mixed_maps(200)


@pytest.fixture(scope="module")
def test():
    return mixed_maps(100, seed=1)


@pytest.fixture(scope="module")
def model(train):
    """A model of the first target, which tests must not change."""
    X, Y, _ = train
    return DPNetRegressor(**SETTINGS).fit(X, Y[:, 0])


@pytest.fixture(scope="module")
def both(train):
    """A model of both targets, which tests must not change."""
    X, Y, _ = train
    return DPNetRegressor(**{**SETTINGS, "context": True}).fit(X, Y)


def test_known_functions_of_new_images_are_predicted(model, both, test):
    X, Y, _ = test
    predicted = model.predict(X)
    assert predicted.shape == (100,) and predicted.dtype == np.float64
    assert model.score(X, Y[:, 0]) == pytest.approx(r2_score(Y[:, 0], predicted))
    assert model.score(X, Y[:, 0]) > 0.9
    assert both.predict(X).shape == (100, 2)
    assert r2_score(Y, both.predict(X), multioutput="raw_values").min() > 0.8
    assert both.score(X, Y) == pytest.approx(r2_score(Y, both.predict(X)))


def test_learning_moves_the_parts_to_what_the_target_depends_on(train, test, model):
    X, Y, _ = train
    first = DPNetRegressor(**{**SETTINGS, "max_epochs": 0}).fit(X, Y[:, 0])
    learned = model.score(test[0], test[1][:, 0])
    assert 1 - learned < 0.8 * (1 - first.score(test[0], test[1][:, 0]))


def test_the_strongest_part_lies_where_the_target_comes_from(model, test):
    X, Y, where = test
    hits = []
    # Images of large values, in which the parts of positive weight are present.
    for i in np.flatnonzero(Y[:, 0] > 115):
        why = explain(model, X[i])
        raising = why.top_parts()
        if len(raising) == 0:
            continue
        left, top, right, bottom = why.boxes[raising[0]]
        row, column = (where[i, 0] + 0.5) / (5, 6)
        hits.append(left < column < right and top < row < bottom)
        heat = why.heat_map()
        assert heat.sum() == pytest.approx(why.score - why.bias, abs=1e-6)
    # A region is one of the 30 cells.
    assert len(hits) > 10 and np.mean(hits) > 0.9


def test_contributions_add_up_to_the_prediction(model, both, test):
    X = test[0][:5]
    for fitted, targets in ((model, [0]), (both, [0, 1])):
        predictions = fitted.predict(X).reshape(5, -1)
        for i in range(5):
            for t in targets:
                why = fitted.explain(X[i], t)
                assert why.score == why.predicted
                assert why.score == pytest.approx(predictions[i, t], rel=1e-6)
                total = why.contributions.sum() + why.bias
                assert total == pytest.approx(why.score, rel=1e-9)
                assert why.explained == t and why.readout.outcome == "target"
    assert both.explain(X[0]).explained == 0


def test_parts_are_shared_and_named(model, both):
    assert (model.part_classes_ == -1).all() and (both.part_classes_ == -1).all()
    assert model.get_feature_names_out().tolist() == [f"part{i}" for i in range(8)]
    names = both.get_feature_names_out().tolist()
    assert names[:16] == [f"part{i}" for i in range(16)]  # two bins of each target
    assert names[16:] == ["target0_context", "target1_context"]
    assert model.coef_.shape == (1, 8) and both.coef_.shape == (2, 18)


def test_means_and_galleries_follow_the_target(both, test):
    X, Y, _ = test
    large, small = Y[:, 1] > 2, Y[:, 1] < 0
    assert (
        explain_class(both, 1, X[large]).score > explain_class(both, 1, X[small]).score
    )
    part = int(explain_class(both, 1, X[large]).order[0])
    gallery = part_gallery(both, part, X, n=8)
    assert Y[gallery.images, 1].mean() > Y[:, 1].mean() + 0.8
    assert best_regions(both, X).boxes.shape == (100, 18, 4)


def test_units_of_the_target_do_not_matter(train, model, test):
    X, Y, _ = train
    other = clone(model).fit(X, 1e6 + 1000 * Y[:, 0])
    expected = 1e6 + 1000 * model.predict(test[0])
    np.testing.assert_allclose(other.predict(test[0]), expected, rtol=2e-3)


@pytest.mark.parametrize("name", ["model", "both"])
def test_a_saved_model_predicts_as_before(name, test, tmp_path, request):
    fitted, X = request.getfixturevalue(name), test[0]
    fitted.save(tmp_path / "model")
    for again in (
        skdpnet.load(tmp_path / "model", device="cpu"),
        pickle.loads(pickle.dumps(fitted)),
    ):
        np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
        assert explain(again, X[0]).score == explain(fitted, X[0]).score


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("target_scale_", np.array([-1.0]), "not above 0"),
        ("target_mean_", np.array([np.nan]), "target_mean_ holds NaN"),
        ("target_mean_", 3.0, "a number for each target"),
        ("target_ndim_", 3, "target_ndim_ does not fit"),
        ("coef_", np.ones((1, 7)), "coef_ has shape"),
        ("part_classes_", np.zeros(8, int), "which a regressor has not"),
    ],
)
def test_files_that_contradict_themselves_are_refused(model, name, value, message):
    state = {**model._get_fitted_state(), name: value}
    with pytest.raises(ValueError, match=message):
        model._check_fitted_state(state)


def test_images_of_weight_zero_have_no_influence(train):
    X, Y, _ = train
    estimator = DPNetRegressor(**{**SETTINGS, "max_epochs": 2})
    weights = np.repeat([2.0, 0.0], [120, 80])
    wrong = np.append(Y[:120, 0], np.linspace(-1e6, 1e6, 80))
    weighted = clone(estimator).fit(X, wrong, sample_weight=weights)
    without = clone(estimator).fit(X[:120], Y[:120, 0])
    np.testing.assert_allclose(
        weighted.predict(X), without.predict(X), rtol=1e-4, atol=1e-4
    )


def test_weights_move_the_prediction_towards_heavy_images(train):
    X = train[0]
    y = np.random.default_rng(0).permutation(np.repeat([0.0, 1.0], 100))
    estimator = DPNetRegressor(**{**SETTINGS, "max_epochs": 0, "C": 1e-3})
    heavy = clone(estimator).fit(X, y, sample_weight=1 + 9 * y)
    light = clone(estimator).fit(X, y, sample_weight=10 - 9 * y)
    # The weighted means are 10/11 and 1/11.
    assert heavy.predict(X).mean() == pytest.approx(10 / 11, abs=0.05)
    assert light.predict(X).mean() == pytest.approx(1 / 11, abs=0.05)


def test_sparsity_sets_weights_of_parts_to_zero(train, test, model):
    X, Y, _ = train
    sparse = clone(model).set_params(sparsity_weight=0.3).fit(X, Y[:, 0])
    assert (model.coef_ != 0).all()
    assert 0 < (sparse.coef_ != 0).sum() < 8
    assert sparse.score(test[0], test[1][:, 0]) > 0.7
    assert "train_sparsity" in sparse.history_[0]


def test_images_are_held_out(train):
    X, Y, _ = train
    model = DPNetRegressor(**{**SETTINGS, "validation_fraction": 0.2, "max_epochs": 3})
    assert "valid_squared_error" in model.fit(X, Y[:, 0]).history_[0]


def test_a_target_that_does_not_vary_is_predicted(train):
    X = train[0][:20]
    model = DPNetRegressor(**{**SETTINGS, "max_epochs": 1}).fit(X, np.full(20, 7.5))
    np.testing.assert_allclose(model.predict(X), 7.5)


def test_searches_choose_by_the_coefficient_of_determination(train):
    X, Y, _ = train
    estimator = DPNetRegressor(**{**SETTINGS, "max_epochs": 0})
    search = GridSearchCV(estimator, {"C": [1e-6, 1.0]}, cv=2).fit(X, Y[:, 0])
    assert search.best_params_ == {"C": 1.0}
    assert explain(search, X[0]).readout.outcome == "target"


def test_targets_of_any_container(train):
    X, Y, _ = train
    estimator = DPNetRegressor(**{**SETTINGS, "max_epochs": 0})
    expected = clone(estimator).fit(X, Y).predict(X[:9])
    for y in (Y.tolist(), pd.DataFrame(Y), Y.astype(object)):
        np.testing.assert_array_equal(
            clone(estimator).fit(X, y).predict(X[:9]), expected
        )


def test_what_needs_classes_says_so(model, both, train):
    X, Y, _ = train
    assert not hasattr(model, "partial_fit") and not hasattr(model, "classes_")
    with pytest.raises(ValueError, match="5 is none of the 2 targets"):
        both.explain(X[0], 5)
    with pytest.raises(ValueError, match="the difference of two targets means nothing"):
        both.explain(X[0], 0).difference(1)
    with pytest.raises(ValueError, match="y has 1 targets, but .* fitted on 2"):
        both.score(X, Y[:, 0])


def test_quantile_groups_are_those_of_the_ranks():
    values = np.stack([np.arange(9.0), np.repeat([5.0, 2.0, 1.0], 3)], axis=1)
    groups = quantile_groups(values, np.ones(9), 3)
    thirds = np.repeat(np.eye(3, dtype=bool), 3, axis=0)
    np.testing.assert_array_equal(groups[:, :3], thirds)
    np.testing.assert_array_equal(groups[:, 3:], thirds[:, ::-1])
    # Equal values stay together, and images of weight 0 do not count.
    assert quantile_groups(np.ones((4, 1)), np.ones(4), 3).shape == (4, 1)
    weights = np.array([1, 1, 0, 0])
    groups = quantile_groups(np.array([[1.0], [2.0], [90.0], [99.0]]), weights, 2)
    np.testing.assert_array_equal(groups[:2], np.eye(2))


def test_the_scale_of_targets_is_weighted():
    values, w = np.array([[1.0, 4.0], [3.0, 4.0]]), np.array([3.0, 1.0])
    mean, scale = target_scale(values, w)
    np.testing.assert_allclose(mean, [1.5, 4.0])
    np.testing.assert_allclose(scale, [np.sqrt(3 / 4 * 0.25 + 1 / 4 * 2.25), 1.0])


def test_least_squares_are_scikit_learn_s():
    random = np.random.default_rng(0)
    d, w = random.normal(size=(50, 6)), random.uniform(0.5, 1.5, 50)
    w /= w.mean()
    y = d[:, :2] @ random.normal(size=(2, 3)) + random.normal(size=(50, 3)) + 5
    coef, intercept = fit_least_squares(d, y, w, 0.02)
    expected = Ridge(alpha=0.02 * 50).fit(d, y, w)
    np.testing.assert_allclose(coef, expected.coef_, atol=1e-6)
    np.testing.assert_allclose(intercept, expected.intercept_, atol=1e-5)


def test_the_penalty_is_that_of_the_lasso():
    random = np.random.default_rng(0)
    d = random.normal(size=(50, 6))
    y = d[:, :2] @ random.normal(size=(2, 1)) + 0.1 * random.normal(size=(50, 1))
    objective = SparseObjective(
        torch.full((6,), -1),
        weights={},
        ridge=1e-9,
        loss=SquaredError(),
        specificity_form="absolute",
        sparsity=0.2,
    )
    penalty = objective.classifier_penalty
    coef, intercept = fit_least_squares(d, y, np.ones(50), 1e-9, penalty)
    # The lasso of scikit-learn has half the squared error.
    lasso = Lasso(alpha=0.2 / np.sqrt(6) / 2, tol=1e-10).fit(d, y[:, 0])
    np.testing.assert_allclose(coef[0], lasso.coef_, atol=1e-4)
    np.testing.assert_allclose(intercept[0], lasso.intercept_, atol=1e-4)
    assert ((coef[0] == 0) == (lasso.coef_ == 0)).all() and (coef == 0).any()
