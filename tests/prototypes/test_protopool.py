"""ProtoPool on frozen maps: pool, slots and focal similarity, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skdpnet
from skdpnet import ProtoPoolClassifier, best_regions, datasets, explain_each, metrics
from tests.prototypes.planted import planted_maps

MAPS = {
    "region_scales": [0.2],
    "n_components": None,
    "add_on_size": None,
    "random_state": 0,
}


def classifier(**params):
    return ProtoPoolClassifier(
        "precomputed", **{"n_prototypes": 12, "n_slots": 3, **MAPS, **params}
    )


@pytest.fixture(scope="module")
def fitted():
    X, y, where = planted_maps()
    return classifier().fit(X, y), X, y, where


def unit_cells(X):
    cells = X.reshape(len(X), -1, X.shape[-1]).astype(float)
    return cells / np.linalg.norm(cells, axis=2, keepdims=True)


def similarity(d):
    return np.log((d + 1) / (d + 1e-4))


def test_slots_hold_prototypes_and_no_prototype_is_without_slot(fitted):
    model, *_ = fitted
    n = len(model.prototypes_)
    assert model.slots_.shape == (3, 3) and model.slots_.dtype == np.int64
    assert_array_equal(np.unique(model.slots_), np.arange(n))
    assert model.coef_.shape == (3, n) and n < 12
    for p in range(n):
        owners = np.flatnonzero((model.slots_ == p).any(axis=1))
        assert_array_equal(np.flatnonzero(model.prototype_classes_[:, p]), owners)
        assert model.part_classes_[p] == (owners[0] if len(owners) == 1 else -1)


def test_prototypes_are_regions_of_images_of_their_classes(fitted):
    model, X, y, _ = fitted
    sources = model.prototype_sources_
    cells = unit_cells(X)[sources["image"], sources["region"]]
    assert_allclose(model.prototypes_, cells, atol=1e-6)
    classes = np.searchsorted(model.classes_, y[sources["image"]])
    assert model.prototype_classes_[classes, np.arange(len(classes))].all()


def test_descriptor_is_the_focal_similarity(fitted):
    model, *_ = fitted
    new = planted_maps(seed=2)[0]
    d = np.square(unit_cells(new)[:, :, None] - model.prototypes_).sum(-1)
    expected = similarity(d.min(axis=1)) - similarity(d.mean(axis=1))
    found = model.transform(new)
    assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    responses = model.part_responses([new])
    assert_array_equal(model.descriptor(responses), found)
    assert_allclose(responses[0], similarity(d), rtol=1e-3, atol=1e-4)


def test_the_descriptor_of_a_constant_map_is_zero(fitted):
    model, X, *_ = fitted
    constant = np.broadcast_to(X[:5, :1, :1], (5, 5, 5, 12))
    assert_allclose(model.transform(constant), 0, atol=1e-5)
    assert_allclose(model.decision_function(constant), 0, atol=1e-4)


def test_cells_beside_an_image_do_not_count():
    """On a larger canvas, whose further cells are zero, descriptors are the same."""
    X, y, _ = planted_maps()
    canvas = np.zeros((len(X), 5, 8, 12), X.dtype)
    canvas[:, :, :5] = X
    canvas[0, :, 5:] = X[0, :, :3]  # one image fills it
    model = classifier().fit(canvas, y)
    d = np.square(unit_cells(X[1:])[:, :, None] - model.prototypes_).sum(-1)
    expected = similarity(d.min(axis=1)) - similarity(d.mean(axis=1))
    assert_allclose(model.transform(canvas)[1:], expected, rtol=1e-3, atol=1e-4)


def test_of_a_single_region_it_is_protopnet_with_shared_prototypes():
    random = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = (random.standard_normal((60, 6)) + 3 * np.eye(6)[y]).astype(np.float32)
    model = classifier(n_prototypes=6, n_slots=4).fit(X, y)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    d = np.square(unit[:, None] - model.prototypes_.astype(float)).sum(axis=-1)
    assert (model.part_classes_ == -1).any()
    assert_allclose(
        model.decision_function(X), similarity(d) @ model.coef_.T, rtol=2e-2, atol=2e-2
    )
    assert model.score(X, y) > 0.9


def test_there_is_no_noise_in_predictions(fitted):
    model, X, y, _ = fitted
    assert_array_equal(model.decision_function(X), model.decision_function(X))
    again = clone(model).fit(X, y)
    assert_array_equal(again.slots_, model.slots_)
    assert_array_equal(again.decision_function(X), model.decision_function(X))


def test_training_lowers_the_loss_and_leaves_the_global_generators_alone():
    X, y, _ = planted_maps()
    np.random.seed(0)
    torch.manual_seed(0)
    expected = np.random.rand(), torch.rand(1)
    np.random.seed(0)
    torch.manual_seed(0)
    model = classifier(max_epochs=20).fit(X, y)
    assert (np.random.rand(), torch.rand(1)) == expected
    first, last = model.history_[0], model.history_[-1]
    assert last["cross_entropy"] < first["cross_entropy"]
    assert last["cluster"] < first["cluster"]
    assert model.n_iter_ == len(model.history_) == 20


def test_the_penalty_makes_slots_of_a_class_differ():
    X, y, _ = planted_maps()
    distinct = []
    for weight in (0, 5):
        models = [
            classifier(n_slots=4, orthogonality_weight=weight, random_state=seed)
            for seed in range(3)
        ]
        slots = [model.fit(X, y).slots_ for model in models]
        distinct.append(sum(len(set(row)) for of_model in slots for row in of_model))
    assert distinct[1] >= distinct[0]
    assert distinct[1] > 0.8 * 3 * 3 * 4


def test_the_strongest_prototype_points_at_the_planted_cell():
    """There is one telling part to a class: further slots would hold noise."""
    model = classifier(n_slots=1).fit(*planted_maps()[:2])
    X, y, where = planted_maps(seed=1)
    assert model.score(X, y) > 0.95
    regions = best_regions(model, X).regions
    top = [why.top_parts(1)[0] for why in explain_each(model, X)]
    assert (regions[np.arange(len(X)), top] == where).mean() > 0.9


def test_scores_are_sums_of_contributions(fitted):
    model, X, *_ = fitted
    expected = model.transform(X).astype(np.float64) @ model.coef_.T
    assert_allclose(model.decision_function(X), expected, rtol=1e-9)
    why = model.explain(X[0])
    assert why.bias == 0
    assert_allclose(why.contributions.sum(), why.score)


def test_every_map_keeps_a_prototype():
    X, y, _ = planted_maps()
    both = np.empty(
        len(X), [("fine", X.dtype, X.shape[1:]), ("noise", "f4", (2, 2, 7))]
    )
    both["fine"] = X
    both["noise"] = np.random.default_rng(0).standard_normal((len(X), 2, 2, 7))
    for seed in range(4):  # with one slot, a map has none but for chance
        model = classifier(n_slots=1, n_prototypes=9, random_state=seed).fit(both, y)
        assert_array_equal(np.unique(model.part_maps_), [0, 1])
        unused = ~model.prototype_classes_.any(axis=0)
        assert (model.coef_[:, unused] == 0).all()
        assert (model.part_classes_[unused] == -1).all()
        assert (model.prototype_sources_["image"] >= 0).all()


def test_images_of_weight_zero_have_no_influence():
    X, y, _ = planted_maps()
    weights = np.ones(len(X))
    weights[40:] = 0
    some = classifier().fit(X[:40], y[:40])
    all_ = classifier().fit(X, y, sample_weight=weights)
    assert_array_equal(some.slots_, all_.slots_)
    assert_array_equal(some.coef_, all_.coef_)
    assert all_.prototype_sources_["image"].max() < 40


def test_a_class_of_weight_zero_and_no_training_give_a_model():
    X, y, _ = planted_maps()
    weights = (y != "cow").astype(float)
    model = classifier(max_epochs=0).fit(X, y, sample_weight=weights)
    assert np.isfinite(model.predict_proba(X)).all()
    assert model.score(X, y, weights) > 0.9


def test_a_model_is_saved_and_loaded(fitted, tmp_path):
    model, X, *_ = fitted
    model.save(tmp_path / "model.safetensors")
    again = skdpnet.load(tmp_path / "model.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert_array_equal(again.slots_, model.slots_)


def test_a_file_with_broken_slots_is_refused(fitted):
    model, *_ = fitted
    state = model._get_fitted_state()
    slots = model.slots_
    for wrong in (
        slots[1:],
        slots + 1,
        slots.astype(float),
        slots.ravel(),
        -slots,
        None,
    ):
        with pytest.raises(ValueError, match="slots_"):
            model._check_fitted_state({**state, "slots_": wrong})


def test_a_search_over_the_pool():
    X, y, _ = planted_maps()
    grid = {"n_prototypes": [6, 12], "n_slots": [2, 3]}
    search = GridSearchCV(classifier(max_epochs=3), grid, cv=3).fit(X, y)
    assert search.best_score_ > 0.8


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_prototypes": 0}, "n_prototypes must be .* got 0"),
        ({"n_prototypes": 2.5}, "n_prototypes must be"),
        ({"n_slots": 0}, "n_slots must be"),
        ({"n_slots": None}, "n_slots must be"),
        ({"tau": 0}, "tau must be"),
        ({"tau": "0.5"}, "tau must be"),
        ({"gamma": -1}, "gamma must be"),
        ({"gamma": float("inf")}, "gamma must be"),
        ({"epsilon": 0}, "epsilon must be"),
        ({"cluster_weight": -1}, "cluster_weight must be"),
        ({"separation_weight": float("nan")}, "separation_weight must be"),
        ({"orthogonality_weight": -1}, "orthogonality_weight must be"),
        ({"off_class_weight": -1}, "off_class_weight must be"),
        ({"ridge": 0}, "ridge must be"),
        ({"lr": 0}, "lr must be"),
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
    several = np.ones(60, [("a", "f4", (2, 2, 3)), ("b", "f4", (2, 2, 3))])
    with pytest.raises(ValueError, match="n_prototypes=1 leaves some"):
        classifier(n_prototypes=1).fit(several, y)


def test_equal_images_give_a_model_without_nan():
    X = np.ones((12, 3, 3, 4), np.float32)
    y = np.arange(12) % 3
    model = ProtoPoolClassifier(
        "precomputed", n_prototypes=6, n_slots=2, random_state=0
    ).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(model.transform(X)).all()


def test_on_made_birds_the_strongest_prototype_points_at_a_telling_part():
    train, test = (
        datasets.make_part_images(n, n_classes=4, image_size=160, random_state=seed)
        for n, seed in ((240, 0), (60, 100))
    )
    model = ProtoPoolClassifier(image_size=160, framing="crop", random_state=0)
    model.fit(train.images, train.target)
    boxes = [why.boxes[why.top_parts(1)[0]] for why in explain_each(model, test.images)]
    hits = metrics.pointing_game(boxes, test.discriminative_boxes)
    drawn = metrics.random_regions(model.grids_, 60, 1, random_state=0)[:, 0] * 160
    chance = metrics.pointing_game(drawn, test.discriminative_boxes)
    assert hits.mean() > 0.75 > 2 * chance.mean()
