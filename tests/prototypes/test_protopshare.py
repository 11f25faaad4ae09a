"""ProtoPShare on frozen maps: what merges, what is shared, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import skdpnet
from skdpnet import (
    ProtoPNetClassifier,
    ProtoPShareClassifier,
    best_regions,
    datasets,
    explain_each,
    metrics,
)
from skdpnet.prototypes import protopshare
from tests.prototypes.planted import planted_maps

MAPS = {
    "region_scales": [0.2],
    "n_components": None,
    "add_on_size": None,
    "n_prototypes_per_class": 6,
    "random_state": 0,
}


def classifier(**params):
    return ProtoPShareClassifier("precomputed", **{**MAPS, **params})


@pytest.fixture(scope="module")
def fitted():
    X, y, where = planted_maps()
    return classifier(merge_fraction=0.4).fit(X, y), X, y, where


def test_without_rounds_it_is_protopnet():
    X, y, _ = planted_maps()
    model = classifier(n_merges=0).fit(X, y)
    expected = ProtoPNetClassifier("precomputed", **MAPS).fit(X, y)
    assert_array_equal(model.decision_function(X), expected.decision_function(X))
    assert_array_equal(model.prototype_classes_.argmax(axis=0), expected.part_classes_)
    assert (model.prototype_classes_.sum(axis=0) == 1).all()


def test_prototypes_are_some_of_protopnet(fitted):
    model, X, y, _ = fitted
    whole = ProtoPNetClassifier("precomputed", **MAPS).fit(X, y)
    assert 3 <= len(model.prototypes_) < len(whole.prototypes_)
    of_whole = {tuple(row) for row in whole.prototypes_.tolist()}
    assert all(tuple(row) in of_whole for row in model.prototypes_.tolist())
    cells = X.reshape(len(X), -1, 12)
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    sources = model.prototype_sources_
    assert_allclose(
        model.prototypes_, cells[sources["image"], sources["region"]], atol=1e-6
    )


def test_shared_prototypes_have_several_classes(fitted):
    model, *_ = fitted
    own = model.prototype_classes_
    assert own.shape == (3, len(model.prototypes_)) and own.any(axis=0).all()
    shared = own.sum(axis=0) > 1
    assert shared.any() and not shared.all()
    assert_array_equal(model.part_classes_[shared], -1)
    assert_array_equal(model.part_classes_[~shared], own.argmax(axis=0)[~shared])


def test_equal_regions_of_all_classes_become_one_prototype():
    """The same region in the images of all classes is learned by each, and merged."""
    random = np.random.default_rng(0)
    labels = np.arange(30) % 3
    X = random.standard_normal((4, 8)).astype(np.float32)[
        np.stack([labels, np.full(30, 3)], axis=1)
    ]
    params = {"n_prototypes_per_class": 2, "max_epochs": 0}
    before = ProtoPNetClassifier("precomputed", **{**MAPS, **params}).fit(X, labels)
    assert len(before.prototypes_) == 6
    model = classifier(n_merges=1, merge_fraction=0.5, **params).fit(X, labels)
    assert sorted(model.part_classes_) == [-1, 0, 1, 2]
    assert model.prototype_classes_[:, model.part_classes_ == -1].all()
    assert model.score(X, labels) == 1


def test_distances_are_without_the_sources_of_prototypes(monkeypatch):
    X, y, _ = planted_maps()
    seen = []
    compare = protopshare.dissimilarities

    def record(distances, part_maps):
        seen.append(distances.copy())
        return compare(distances, part_maps)

    monkeypatch.setattr(protopshare, "dissimilarities", record)
    model = classifier(n_merges=1).fit(X, y)
    assert len(seen) == 1
    whole = ProtoPNetClassifier("precomputed", **MAPS).fit(X, y)
    cells = X.reshape(len(X), -1, 12)
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    expected = np.square(cells[:, :, None] - whole.prototypes_).sum(-1).min(1)
    for p, source in enumerate(whole.prototype_sources_["image"]):
        expected[source, p] = np.delete(expected[:, p], source).min()
    assert_allclose(seen[0], expected, atol=1e-5)
    assert len(model.prototypes_) < len(whole.prototypes_)


def test_prototypes_of_different_maps_do_not_merge():
    X, y, _ = planted_maps()
    both = np.empty(len(X), [("a", X.dtype, X.shape[1:]), ("b", X.dtype, X.shape[1:])])
    both["a"] = both["b"] = X  # equal maps, equal prototypes
    model = classifier(n_merges=30, merge_fraction=1.0).fit(both, y)
    assert_array_equal(np.unique(model.part_maps_), [0, 1])
    assert_array_equal(model.part_maps_, np.sort(model.part_maps_))


def test_scores_are_the_last_layer_and_are_explained(fitted):
    model, X, *_ = fitted
    expected = model.transform(X).astype(np.float64) @ model.coef_.T
    assert_allclose(model.decision_function(X), expected, rtol=1e-9)
    why = model.explain(X[0])
    assert_allclose(why.contributions.sum(), why.score)


def test_the_strongest_prototype_points_at_the_planted_cell(fitted):
    model, *_ = fitted
    X, y, where = planted_maps(seed=1)
    assert model.score(X, y) > 0.95
    regions = best_regions(model, X).regions
    top = [why.top_parts(1)[0] for why in explain_each(model, X)]
    assert (regions[np.arange(len(X)), top] == where).mean() > 0.9


def test_the_penalty_spares_all_classes_of_a_prototype():
    X, y, _ = planted_maps()
    model = classifier(merge_fraction=0.4, off_class_weight=10.0).fit(X, y)
    own = model.prototype_classes_
    assert (model.coef_[~own] == 0).all()
    shared = own.sum(axis=0) > 1
    assert (model.coef_[:, shared][own[:, shared]] != 0).all()


def test_a_model_is_saved_and_loaded(fitted, tmp_path):
    model, X, *_ = fitted
    model.save(tmp_path / "model.safetensors")
    again = skdpnet.load(tmp_path / "model.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert_array_equal(again.prototype_classes_, model.prototype_classes_)


def test_a_file_with_other_classes_is_refused(fitted):
    model, *_ = fitted
    state = model._get_fitted_state()
    own = model.prototype_classes_
    for wrong in (own[:, 1:], own.astype(int), ~own, None):
        with pytest.raises(ValueError, match="prototype_classes_"):
            model._check_fitted_state({**state, "prototype_classes_": wrong})


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_merges": -1}, "n_merges must be .* got -1"),
        ({"n_merges": 1.5}, "n_merges must be"),
        ({"n_merges": None}, "n_merges must be"),
        ({"merge_fraction": 0}, "merge_fraction must be"),
        ({"merge_fraction": 1.1}, "merge_fraction must be"),
        ({"merge_fraction": float("nan")}, "merge_fraction must be"),
        ({"merge_fraction": "all"}, "merge_fraction must be"),
        ({"n_prototypes_per_class": 0}, "n_prototypes_per_class must be"),
        ({"epsilon": 2}, "epsilon must be"),
        ({"off_class_weight": -1}, "off_class_weight must be"),
        ({"ridge": 0}, "ridge must be"),
        ({"prune": "yes"}, "prune must be"),
    ],
)
def test_bad_parameters_are_named(params, message):
    X, y, _ = planted_maps(n=12)
    with pytest.raises(ValueError, match=message):
        classifier(**params).fit(X, y)


def test_on_made_birds_the_strongest_prototype_points_at_a_telling_part():
    train, test = (
        datasets.make_part_images(n, n_classes=4, image_size=160, random_state=seed)
        for n, seed in ((160, 0), (60, 100))
    )
    model = ProtoPShareClassifier(image_size=160, framing="crop", random_state=0)
    model.fit(train.images, train.target)
    boxes = [why.boxes[why.top_parts(1)[0]] for why in explain_each(model, test.images)]
    hits = metrics.pointing_game(boxes, test.discriminative_boxes)
    drawn = metrics.random_regions(model.grids_, 60, 1, random_state=0)[:, 0] * 160
    chance = metrics.pointing_game(drawn, test.discriminative_boxes)
    assert hits.mean() > 0.6 > 2 * chance.mean()
