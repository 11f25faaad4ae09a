"""ProtoTree on frozen maps: its nodes, its leaves, its paths, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.model_selection import GridSearchCV

import skdpnet
from skdpnet import ProtoTreeClassifier, best_regions, datasets, explain_each, metrics
from tests.prototypes.planted import planted_maps

MAPS = {"region_scales": [0.2], "n_components": None, "random_state": 0}


def classifier(**params):
    return ProtoTreeClassifier("precomputed", **{**MAPS, **params})


@pytest.fixture(scope="module")
def fitted():
    X, y, where = planted_maps()
    return classifier().fit(X, y), X, y, where


def described(model, X):
    """Cells as the model describes them, of unit length, (n, R, K)."""
    cells = X.reshape(len(X), -1, X.shape[-1]).astype(np.float64)
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    (whitening,) = model.whitenings_
    z = (cells - whitening.mean) @ whitening.projection
    return z / np.linalg.norm(z, axis=2, keepdims=True)


def several_maps(n=60):
    """Four classes: the fine map tells ants from bees, the coarse one each in two."""
    X, y, _ = planted_maps(n, n_classes=2)
    both = np.empty(n, [("fine", X.dtype, X.shape[1:]), ("coarse", "f4", (2, 2, 7))])
    both["fine"] = X
    both["coarse"] = np.random.default_rng(0).standard_normal((n, 2, 2, 7))
    big = np.arange(n) % 4 > 1
    both["coarse"][big, 1, 0, 3] += 12
    return both, np.char.add(np.where(big, "big ", "small "), y)


def scores_by_hand(model, s):
    """Distributed probabilities of one image, from the presences of prototypes."""

    def expected(slot):
        if slot < 0:
            return model.leaf_probabilities_[-1 - slot]
        right = s[model.node_prototypes_[slot]]
        left_slot, right_slot = model.children_[slot]
        return (1 - right) * expected(left_slot) + right * expected(right_slot)

    return expected(0)


def test_prototypes_are_regions_of_training_images_of_classes_below(fitted):
    model, X, y, _ = fitted
    sources = model.prototype_sources_
    z = described(model, X)
    assert_allclose(
        model.prototypes_, z[sources["image"], sources["region"]], atol=1e-5
    )
    row, column = np.divmod(sources["region"], 5)
    assert_allclose(sources["left"], column / 5)
    assert_allclose(sources["bottom"], (row + 1) / 5)
    assert (model.part_classes_ == -1).all()


def test_descriptor_is_the_presence_of_the_nearest_region(fitted):
    model, *_ = fitted
    X = planted_maps(seed=2)[0]
    d = np.square(described(model, X)[:, :, None] - model.prototypes_).sum(-1).min(1)
    expected = expit(model.scales_ * (model.thresholds_ - d))
    assert_allclose(model.transform(X), expected, atol=1e-4)


def test_scores_are_means_of_the_leaves(fitted):
    model, *_ = fitted
    X = planted_maps(seed=2)[0][:9]
    expected = [scores_by_hand(model, s.astype(float)) for s in model.transform(X)]
    assert_allclose(model.predict_proba(X), expected, rtol=1e-9)
    assert_array_equal(model.decision_function(X), model.predict_proba(X))
    assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    assert_allclose(model.leaf_masses_.sum(), 1)


def test_decisions_agree_where_nodes_are_sure_and_differ_by_their_rule(fitted):
    model, *_ = fitted
    sure = np.eye(len(model.part_maps_))
    unsure = np.full((1, sure.shape[1]), 0.45)
    single = {}
    try:
        by_rule = {}
        for rule in ("distributed", "best_leaf", "greedy"):
            model.set_params(decision=rule)
            by_rule[rule] = model.class_scores(sure)
            single[rule] = model.class_scores(unsure)[0]
    finally:
        model.set_params(decision="distributed")
    assert_allclose(by_rule["best_leaf"], by_rule["distributed"])
    assert_allclose(by_rule["greedy"], by_rule["distributed"])
    assert any((single["greedy"] == p).all() for p in model.leaf_probabilities_)
    assert not any(
        np.allclose(single["distributed"], p) for p in model.leaf_probabilities_
    )


@pytest.mark.parametrize("rule", ["distributed", "best_leaf", "greedy"])
def test_contributions_and_the_prior_add_up_to_the_probability(fitted, rule):
    model = fitted[0]
    s = np.random.default_rng(0).random((20, len(model.part_maps_)))
    prior = model.leaf_masses_ @ model.leaf_probabilities_
    try:
        model.set_params(decision=rule)
        scores = model.class_scores(s)
        for c in range(3):
            contributions = model.contributions(s, c)
            assert_allclose(contributions.sum(axis=1), scores[:, c] - prior[c])
        if rule != "distributed":  # only the nodes of the path contribute
            assert ((contributions != 0).sum(axis=1) <= 3).all()
        why = model.explain(planted_maps(seed=3)[0][0])
        assert_allclose(why.contributions.sum() + why.bias, why.score)
        assert_allclose(why.bias, prior[list(model.classes_).index(why.explained)])
    finally:
        model.set_params(decision="distributed")


def test_a_node_contributes_what_its_step_changes():
    """Of one node and two leaves, by hand."""
    X, y, _ = planted_maps(n_classes=2)
    model = classifier(depth=1).fit(X, y)
    s = np.array([[0.3]])
    p, m = model.leaf_probabilities_, model.leaf_masses_
    expected = 0.7 * p[0, 1] + 0.3 * p[1, 1] - (m[0] * p[0, 1] + m[1] * p[1, 1])
    assert_allclose(model.contributions(s, 1), [[expected]])


def test_the_strongest_prototype_points_at_the_planted_cell(fitted):
    model, *_ = fitted
    X, y, where = planted_maps(seed=1)
    assert model.score(X, y) > 0.95
    regions = best_regions(model, X).regions
    right = model.transform(X) > 0.5
    hits = []
    for i, why in enumerate(explain_each(model, X)):
        present = [p for p in why.top_parts() if right[i, p]]
        if present:
            hits.append(regions[i, present[0]] == where[i])
    # The class that is told by the absence of the others has no prototype to show.
    assert len(hits) > 30 and np.mean(hits) > 0.8


def test_the_path_of_an_image(fitted):
    model, X, *_ = fitted
    path = model.path(X[0])
    s = model.transform(X[:1])[0][path.prototypes]
    assert_allclose(path.presences, s)
    assert_array_equal(path.prototypes, model.node_prototypes_[path.nodes])
    assert path.nodes[0] == 0
    slots = [*path.nodes[1:], -1 - path.leaf]
    assert_array_equal(model.children_[path.nodes, path.went_right.astype(int)], slots)
    steps = np.where(path.went_right, s.astype(float), 1 - s.astype(float))
    assert_allclose(path.probability, steps.prod())
    assert_allclose(path.distribution, model.leaf_probabilities_[path.leaf])
    assert path.predicted == model.classes_[path.distribution.argmax()]
    boxes = best_regions(model, X[:1]).boxes[0]
    assert_array_equal(path.boxes, boxes[path.prototypes])
    try:
        greedy = model.set_params(decision="greedy").path(X[0])
        assert_array_equal(greedy.went_right, greedy.presences > 0.5)
        assert greedy.predicted == model.predict(X[:1])[0]
    finally:
        model.set_params(decision="distributed")


def test_training_raises_the_likelihood():
    X, y, _ = planted_maps()
    model = classifier().fit(X, y)
    losses = [epoch["negative_log_likelihood"] for epoch in model.history_]
    assert model.n_iter_ == len(losses) == 20
    assert losses[9] < losses[0] and losses[-1] < losses[10]
    start = classifier(max_epochs=0).fit(X, y)
    assert start.history_ == [] and start.n_iter_ == 0
    assert model.score(X, y) >= start.score(X, y) > 0.5


def test_uniform_leaves_are_pruned():
    """Of 16 leaves and 3 classes that one cell tells, most have nothing to say."""
    X, y, _ = planted_maps()
    whole = classifier(depth=4, pruning_threshold=0).fit(X, y)
    pruned = classifier(depth=4, pruning_threshold=0.9).fit(X, y)
    assert len(whole.part_maps_) == 15 > len(pruned.part_maps_)
    for model in (whole, pruned):
        n = len(model.part_maps_)
        assert model.children_.shape == (n, 2)
        assert model.leaf_probabilities_.shape == (n + 1, 3)
        assert_array_equal(np.sort(model.node_prototypes_), np.arange(n))
    test = planted_maps(seed=1)
    assert pruned.score(*test[:2]) > 0.9


def test_depth_follows_the_number_of_classes():
    for n_classes, depth in ((2, 2), (3, 3), (4, 3), (5, 4)):
        X, y = np.random.default_rng(0).random((20, 2, 3)), np.arange(20) % n_classes
        model = classifier(max_epochs=0, pruning_threshold=0).fit(X, y)
        assert len(model.part_maps_) == 2**depth - 1


def test_nodes_are_spread_over_several_maps(tmp_path):
    X, y = several_maps()
    model = classifier(depth=4, pruning_threshold=0).fit(X, y)
    assert (np.diff(model.part_maps_) >= 0).all()
    assert set(model.part_maps_) == {0, 1}
    assert model.score(X, y) > 0.9
    # With a single node, one of the maps has no prototype.
    model = classifier(depth=1).fit(X, y)
    assert len(model.part_maps_) == 1
    assert model.transform(X).shape == (60, 1)
    assert best_regions(model, X).boxes.shape == (60, 1, 4)
    model.save(tmp_path / "tree.safetensors")
    again = skdpnet.load(tmp_path / "tree.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_images_of_weight_zero_have_no_influence():
    X, y, _ = planted_maps()
    weights = np.ones(len(X))
    weights[40:] = 0
    some = classifier(max_epochs=3).fit(X[:40], y[:40])
    all_ = classifier(max_epochs=3).fit(X, y, sample_weight=weights)
    assert_array_equal(some.prototypes_, all_.prototypes_)
    assert_array_equal(some.leaf_probabilities_, all_.leaf_probabilities_)
    assert all_.prototype_sources_["image"].max() < 40


def test_a_model_is_saved_and_loaded(fitted, tmp_path):
    model, X, *_ = fitted
    model.save(tmp_path / "model.safetensors")
    again = skdpnet.load(tmp_path / "model.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert_array_equal(again.path(X[3]).nodes, model.path(X[3]).nodes)


def test_a_forged_tree_is_refused(fitted):
    model, *_ = fitted
    state = model._get_fitted_state()
    n = len(model.part_maps_)
    circle = model.children_.copy()
    circle[-1, 0] = 0
    far = model.children_.copy()
    far[0, 1] = n + 5
    shares = model.leaf_probabilities_
    for name, wrong in (
        ("children_", circle),
        ("children_", far),
        ("children_", np.array([[-1, -2]])),
        ("children_", model.children_.astype(float)),
        ("node_prototypes_", np.zeros(n, np.int64)),
        ("node_prototypes_", np.arange(n) + 1),
        ("node_prototypes_", np.arange(n).reshape(1, -1)),
        ("scales_", -model.scales_),
        ("thresholds_", model.thresholds_[:-1]),
        ("thresholds_", np.full(n, np.nan, np.float32)),
        ("leaf_probabilities_", 2 * shares),
        ("leaf_probabilities_", shares[:, ::-1] - shares),
        ("leaf_probabilities_", shares[:-1]),
        ("leaf_masses_", np.zeros(n + 1)),
    ):
        with pytest.raises(ValueError, match=name):
            model._check_fitted_state({**state, name: wrong})
    model._check_fitted_state(state)


def test_a_search_over_its_parameters():
    X, y, _ = planted_maps()
    grid = {"depth": [2, 3], "decision": ["distributed", "greedy"]}
    search = GridSearchCV(classifier(max_epochs=3), grid, cv=3).fit(X, y)
    assert search.best_score_ > 0.8


@pytest.mark.parametrize(
    "params, message",
    [
        ({"depth": 0}, "depth must be .* got 0"),
        ({"depth": 2.5}, "depth must be"),
        ({"depth": 13}, "depth must be .* at most 12"),
        ({"decision": "sample_max"}, "decision must be .*best_leaf"),
        ({"leaf_smoothing": 0}, "leaf_smoothing must be"),
        ({"leaf_smoothing": float("nan")}, "leaf_smoothing must be"),
        ({"pruning_threshold": 1}, "pruning_threshold must be"),
        ({"pruning_threshold": -0.1}, "pruning_threshold must be"),
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


def test_equal_images_give_a_model_without_nan():
    X = np.ones((12, 3, 3, 4), np.float32)
    y = np.arange(12) % 3
    for n_components in (None, 64):
        model = classifier(n_components=n_components).fit(X, y)
        assert_allclose(model.predict_proba(X), 1 / 3, atol=1e-6)
        assert np.isfinite(model.transform(X)).all()
        assert np.isfinite(model.contributions(model.transform(X), 0)).all()


def test_on_made_birds_the_strongest_prototype_points_at_a_telling_part():
    train, test = (
        datasets.make_part_images(n, n_classes=4, image_size=160, random_state=seed)
        for n, seed in ((160, 0), (60, 100))
    )
    model = ProtoTreeClassifier(image_size=160, framing="crop", random_state=0)
    model.fit(train.images, train.target)
    boxes = []
    for why in explain_each(model, test.images):
        # What speaks for a class by its absence is nowhere in the image.
        present = [p for p in why.top_parts() if why.descriptor[p] > 0.5]
        boxes.append(why.boxes[present[0]] if present else [-1.0] * 4)
    hits = metrics.pointing_game(boxes, test.discriminative_boxes)
    drawn = metrics.random_regions(model.grids_, 60, 1, random_state=0)[:, 0] * 160
    chance = metrics.pointing_game(drawn, test.discriminative_boxes)
    assert hits.mean() > 0.6 > 2 * chance.mean()
