"""ProtoPNet on frozen maps: what its prototypes are, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skdpnet
from skdpnet import ProtoPNetClassifier, best_regions, datasets, explain_each, metrics
from skdpnet.prototypes.protopnet import keep_prototypes
from tests.prototypes.planted import planted_maps

MAPS = {
    "region_scales": [0.2],
    "n_components": None,
    "add_on_size": None,
    "random_state": 0,
}


def classifier(**params):
    return ProtoPNetClassifier(
        "precomputed", **{"n_prototypes_per_class": 2, **MAPS, **params}
    )


@pytest.fixture(scope="module")
def fitted():
    X, y, where = planted_maps()
    return classifier().fit(X, y), X, y, where


def unit_cells(X):
    cells = X.reshape(len(X), -1, X.shape[-1])
    return cells / np.linalg.norm(cells, axis=2, keepdims=True)


def test_prototypes_are_regions_of_training_images_of_their_class(fitted):
    model, X, y, _ = fitted
    sources, cells = model.prototype_sources_, unit_cells(X)
    assert_allclose(
        model.prototypes_, cells[sources["image"], sources["region"]], atol=1e-6
    )
    of_class = model.classes_[model.part_classes_]
    assert_array_equal(y[sources["image"]], of_class)
    row, column = np.divmod(sources["region"], 5)
    assert_allclose(sources["left"], column / 5)
    assert_allclose(sources["bottom"], (row + 1) / 5)


def test_the_strongest_prototype_points_at_the_planted_cell(fitted):
    model, *_ = fitted
    X, y, where = planted_maps(seed=1)
    assert model.score(X, y) == 1
    regions = best_regions(model, X).regions
    top = [why.top_parts(1)[0] for why in explain_each(model, X)]
    assert (regions[np.arange(len(X)), top] == where).mean() > 0.95


def test_descriptor_is_the_similarity_of_the_nearest_region(fitted):
    model, X, *_ = fitted
    new = planted_maps(seed=2)[0]
    d = np.square(unit_cells(new)[:, :, None] - model.prototypes_).sum(-1).min(1)
    expected = np.log((d + 1) / (d + 1e-4))
    assert_allclose(model.transform(new), expected, rtol=2e-4)
    # The regions that prototypes come from are the most similar of all.
    s = model.transform(X)[model.prototype_sources_["image"], range(6)]
    assert_allclose(s, np.log(1e4), rtol=1e-4)


def test_scores_are_the_last_layer_without_intercepts(fitted):
    model, X, *_ = fitted
    expected = model.transform(X).astype(np.float64) @ model.coef_.T
    assert_allclose(model.decision_function(X), expected, rtol=1e-9)
    assert (model.intercept_ == 0).all()
    why = model.explain(X[0])
    assert why.bias == 0
    assert_allclose(why.contributions.sum(), why.score)


def test_training_brings_images_nearer_to_prototypes_of_their_class():
    X, y, _ = planted_maps()
    model = classifier(max_epochs=20).fit(X, y)
    first, last = model.history_[0], model.history_[-1]
    assert last["cross_entropy"] < first["cross_entropy"]
    assert last["cluster"] < first["cluster"]
    assert model.n_iter_ == len(model.history_) == 20


def test_medoids_are_not_moved_by_the_projection():
    """Where each class has as many distinct regions as prototypes, they are these."""
    random = np.random.default_rng(0)
    distinct = random.standard_normal((3, 2, 8)).astype(np.float32)
    labels = np.arange(30) % 3
    X = distinct[labels]  # n×R×D: each image has both regions of its class
    model = classifier(max_epochs=0).fit(X, labels)
    expected = distinct / np.linalg.norm(distinct, axis=2, keepdims=True)
    for c in range(3):
        found = model.prototypes_[model.part_classes_ == c]
        order = (found @ expected[c].T).argmax(axis=1)
        assert sorted(order) == [0, 1]
        assert_allclose(found, expected[c][order], atol=1e-6)


def test_pruning_drops_what_is_near_other_classes():
    labels = np.repeat([0, 1], 6)
    own = np.array([[True, True, False], [False, False, True]])
    distances = np.ones((12, 3))
    distances[:6, 0] = 0.1  # near its class
    distances[[0, 1, 6, 7, 8, 9], 1] = 0.1  # near two images of its class
    distances[[0, 1, 2, 6, 7, 8], 2] = 0.1  # near three images of its class
    assert keep_prototypes(distances, labels, own).tolist() == [True, False, True]
    nothing = keep_prototypes(distances[:, [1]], labels, own[:, [1]])
    assert nothing.tolist() == [True]  # a model needs a prototype


def test_pruned_models_have_fewer_prototypes_and_keep_their_sources():
    X, y, _ = planted_maps()
    random = np.random.default_rng(1)
    whole = classifier(n_prototypes_per_class=6).fit(X, y)
    model = classifier(n_prototypes_per_class=6, prune=True).fit(X, y)
    n = len(model.part_classes_)
    assert n < len(whole.part_classes_)
    assert model.coef_.shape == (3, n) and len(model.prototypes_) == n
    cells, sources = unit_cells(X), model.prototype_sources_
    assert_allclose(
        model.prototypes_, cells[sources["image"], sources["region"]], atol=1e-6
    )
    assert model.transform(random.standard_normal((2, 5, 5, 12))).shape == (2, n)


def test_images_of_weight_zero_have_no_influence():
    X, y, _ = planted_maps()
    weights = np.ones(len(X))
    weights[40:] = 0
    some = classifier().fit(X[:40], y[:40])
    all_ = classifier().fit(X, y, sample_weight=weights)
    assert_array_equal(some.prototypes_, all_.prototypes_)
    assert_array_equal(some.coef_, all_.coef_)
    assert all_.prototype_sources_["image"].max() < 40


def test_sources_are_items_of_x_where_images_have_weight_zero():
    X, y, _ = planted_maps()
    weights = np.ones(len(X))
    weights[::2] = 0
    model = classifier().fit(X, y, sample_weight=weights)
    sources = model.prototype_sources_
    assert (sources["image"] % 2 == 1).all()
    assert_allclose(
        model.prototypes_, unit_cells(X)[sources["image"], sources["region"]], atol=1e-6
    )


def test_several_maps_share_the_prototypes_of_a_class():
    X, y, _ = planted_maps()
    both = np.empty(
        len(X), [("fine", X.dtype, X.shape[1:]), ("coarse", "f4", (2, 2, 7))]
    )
    both["fine"] = X
    both["coarse"] = np.random.default_rng(0).standard_normal((len(X), 2, 2, 7))
    model = classifier(n_prototypes_per_class=3).fit(both, y)
    assert model.part_maps_.tolist() == [0] * 3 + [1] * 6
    assert model.transform(both).shape == (60, 9)
    assert model.score(both, y) > 0.9


def test_a_model_is_saved_and_loaded(fitted, tmp_path):
    model, X, *_ = fitted
    model.save(tmp_path / "model.safetensors")
    again = skdpnet.load(tmp_path / "model.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    for name, column in model.prototype_sources_.items():
        assert_array_equal(again.prototype_sources_[name], column)
    assert again.history_ == model.history_


def test_a_file_with_a_broken_table_of_sources_is_refused(fitted):
    model, *_ = fitted
    state = model._get_fitted_state()
    for name, wrong in (
        ("image", np.zeros(5, np.int64)),
        ("left", np.full(6, np.nan)),
        ("region", np.zeros(6)),
    ):
        broken = {**model.prototype_sources_, name: wrong}
        with pytest.raises(ValueError, match=name):
            model._check_fitted_state({**state, "prototype_sources_": broken})
    with pytest.raises(ValueError, match="coef_"):
        model._check_fitted_state({**state, "coef_": model.coef_[:, :2]})


def test_a_search_over_its_weights():
    X, y, _ = planted_maps()
    grid = {"separation_weight": [0, 0.08], "off_class_weight": [0, 0.01]}
    search = GridSearchCV(classifier(max_epochs=2), grid, cv=3).fit(X, y)
    assert search.best_score_ > 0.9
    sparse = clone(classifier(off_class_weight=0.1)).fit(X, y)
    own = sparse.part_classes_ == np.arange(3)[:, None]
    assert (sparse.coef_[~own] == 0).mean() > 0.5


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_prototypes_per_class": 0}, "n_prototypes_per_class must be .* got 0"),
        ({"n_prototypes_per_class": 2.5}, "n_prototypes_per_class"),
        ({"epsilon": 0}, "epsilon must be"),
        ({"epsilon": 1.5}, "epsilon must be"),
        ({"cluster_weight": -1}, "cluster_weight must be"),
        ({"separation_weight": float("nan")}, "separation_weight must be"),
        ({"off_class_weight": "l1"}, "off_class_weight must be"),
        ({"ridge": 0}, "ridge must be"),
        ({"prune": "yes"}, "prune must be"),
        ({"max_epochs": -1}, "max_epochs must be"),
        ({"lr": 0}, "lr must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"n_components": 0}, "n_components must be"),
        ({"region_scales": [2]}, "region_scales must be"),
    ],
)
def test_bad_parameters_are_named(params, message):
    X, y, _ = planted_maps(n=12)
    with pytest.raises(ValueError, match=message):
        classifier(**params).fit(X, y)


def test_bad_data_is_named(fitted):
    model, X, y, _ = fitted
    with pytest.raises(ValueError, match="item 3"):
        classifier().fit(X, [*y[:3], None, *y[4:]])
    infinite = X.copy()
    infinite[7, 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        classifier().fit(infinite, y)
    with pytest.raises(ValueError, match="shape"):
        model.predict(X[:, :4])
    with pytest.raises(ValueError, match="one class|two classes"):
        classifier().fit(X, ["ant"] * len(X))
    several = np.ones(60, [("a", "f4", (2, 2, 3)), ("b", "f4", (2, 2, 3))])
    with pytest.raises(ValueError, match="n_prototypes_per_class=1 leaves some"):
        classifier(n_prototypes_per_class=1).fit(several, y)


def test_equal_images_give_a_model_without_nan():
    X = np.ones((12, 3, 3, 4), np.float32)
    y = np.arange(12) % 3
    model = ProtoPNetClassifier(
        "precomputed", n_prototypes_per_class=2, random_state=0
    ).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(model.transform(X)).all()


def test_on_made_birds_the_strongest_prototype_points_at_a_telling_part():
    train, test = (
        datasets.make_part_images(n, n_classes=4, image_size=160, random_state=seed)
        for n, seed in ((160, 0), (60, 100))
    )
    model = ProtoPNetClassifier(image_size=160, framing="crop", random_state=0)
    model.fit(train.images, train.target)
    boxes = [why.boxes[why.top_parts(1)[0]] for why in explain_each(model, test.images)]
    hits = metrics.pointing_game(boxes, test.discriminative_boxes)
    drawn = metrics.random_regions(model.grids_, 60, 1, random_state=0)[:, 0] * 160
    chance = metrics.pointing_game(drawn, test.discriminative_boxes)
    assert hits.mean() > 0.6 > 2 * chance.mean()


def test_sources_of_images_are_boxes_in_their_pixels():
    data = datasets.make_part_images(12, n_classes=2, image_size=96, random_state=0)
    network = torch.nn.AvgPool2d(16)
    model = ProtoPNetClassifier(
        network, image_size=96, n_prototypes_per_class=2, random_state=0
    ).fit(data.images, data.target)
    table = model.prototype_sources_
    again = best_regions(model, data.images).boxes[table["image"], range(4)]
    columns = [table[side] for side in ("left", "top", "right", "bottom")]
    assert_allclose(np.stack(columns, axis=1), again, atol=1e-9)
