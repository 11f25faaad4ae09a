"""PIP-Net on frozen maps: few prototypes that are present, or none of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

import skdpnet
from skdpnet import PIPNetClassifier, best_regions, datasets, explain_each, metrics
from skdpnet.prototypes.pip_model import PIPNetModel, PIPNetObjective
from skdpnet.prototypes.pipnet import _first_prototypes
from tests.prototypes.planted import planted_maps
from tests.prototypes.test_views import Edges

MAPS = {"region_scales": [0.2], "n_components": None, "random_state": 0}


def classifier(**params):
    return PIPNetClassifier("precomputed", **{"n_prototypes": 30, **MAPS, **params})


@pytest.fixture(scope="module")
def fitted():
    X, y, where = planted_maps()
    return classifier().fit(X, y), X, y, where


def test_weights_are_sparse_and_not_negative(fitted):
    model, *_ = fitted
    assert (model.coef_ >= 0).all()
    assert (model.coef_ == 0).mean() > 0.5
    assert (model.intercept_ == 0).all()
    alone = (model.coef_ > 0).sum(axis=0) == 1
    classes = model.coef_.argmax(axis=0)
    assert_array_equal(model.part_classes_, np.where(alone, classes, -1))


def test_descriptor_is_the_largest_share_or_zero(fitted):
    model, X, *_ = fitted
    cells = X.reshape(len(X), -1, X.shape[-1])
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    z = softmax(cells @ model.prototypes_.T / model.temperatures_[0], axis=2)
    p = z.max(axis=1)
    assert_allclose(model.transform(X), np.where(p >= 0.1, p, 0), atol=1e-5)
    table = model.prototype_sources_
    assert_array_equal(table["image"], p.argmax(axis=0))
    assert_array_equal(table["region"], z[table["image"], :, range(30)].argmax(axis=1))


def test_the_strongest_prototype_points_at_the_planted_cell(fitted):
    model, *_ = fitted
    X, y, where = planted_maps(seed=1)
    assert model.score(X, y) > 0.9
    regions = best_regions(model, X).regions
    top = [why.top_parts(1)[0] for why in explain_each(model, X)]
    assert (regions[np.arange(len(X)), top] == where).mean() > 0.9


def test_contributions_are_evidence_and_add_up(fitted):
    model, X, *_ = fitted
    why = model.explain(X[0])
    assert (why.contributions >= 0).all() and why.bias == 0
    assert_allclose(why.contributions.sum(), why.score, rtol=1e-6)
    assert_allclose(model.decision_function(X[:1])[0].max(), why.score, rtol=1e-6)


def test_evaluating_changes_no_weight(fitted):
    model, X, y, _ = fitted
    before = {k: np.copy(v) for k, v in vars(model).items() if k.endswith("_")
              and isinstance(v, np.ndarray)}  # fmt: skip
    for _ in range(3):
        model.score(X, y)
        model.predict_proba(X)
        model.abstains(X)
    for name, value in before.items():
        assert_array_equal(getattr(model, name), value)


def test_images_without_prototypes_are_none_of_these(fitted):
    model, X, y, _ = fitted
    assert not model.abstains(X).any()
    # With a high threshold, what belongs to no prototype shows none.
    strict = classifier(presence_threshold=0.9).fit(X, y)
    nothing = np.zeros_like(X[:4])
    assert strict.abstains(nothing).all()
    assert_allclose(strict.predict_proba(nothing), 1 / 3)
    assert (strict.decision_function(nothing) == 0).all()
    assert (strict.transform(nothing) == 0).all()
    assert strict.abstains(np.concatenate([nothing, X])).sum() < len(X) / 2


def test_larger_sparsity_leaves_fewer_weights():
    X, y, _ = planted_maps()
    n_weights = [
        (classifier(sparsity_weight=weight).fit(X, y).coef_ > 0).sum()
        for weight in (0, 1e-3, 1e-2)
    ]
    assert n_weights[0] > n_weights[1] > n_weights[2] > 0


def test_training_makes_regions_belong_to_one_prototype():
    X, y, _ = planted_maps()
    model = classifier(max_epochs=20).fit(X, y)
    first_stage = model.history_[:20]
    assert len(model.history_) == model.n_iter_ == 40
    # Its weight has grown to 1 in the last epochs of the stage.
    assert first_stage[-1]["alignment"] < np.log(30) / 2
    assert set(model.history_[-1]) == {"alignment", "presence", "cross_entropy"}


def test_the_objective_against_numpy():
    random = np.random.default_rng(0)
    maps = [random.standard_normal((6, 4, 5)).astype(np.float32) for _ in range(2)]
    maps = [x / np.linalg.norm(x, axis=2, keepdims=True) for x in maps]
    points = random.standard_normal((3, 5)).astype(np.float32)
    model = PIPNetModel([points], 0.2, n_classes=2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -1.0, 0.5], [0.0, 2.0, -0.5]]))
    model.eval()
    output = model([torch.from_numpy(x) for x in maps])
    labels, weights = np.array([0, 1, 0, 1, 1, 0]), np.linspace(0.5, 1.5, 6)
    objective = PIPNetObjective(5.0, 2.0, 2.0, grows=False, batch_size=12)
    terms = objective.terms(
        model, output, torch.from_numpy(labels), torch.from_numpy(weights)
    )
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    z, other = (softmax(x @ unit.T / 0.2, axis=2) for x in maps)
    agreement = -np.log((z * other).sum(axis=2)).mean()
    assert_allclose(terms["alignment"].item(), 5 * agreement, rtol=1e-4)
    tanh, entropy = [], []
    for view in (z, other):
        p = view.max(axis=1)
        tanh.append(-np.log(np.tanh(2 * p.sum(axis=0))).mean())
        o = p @ np.array([[1.0, 0, 0.5], [0, 2.0, 0]]).T
        probabilities = softmax(np.log(1 + o**2), axis=1)
        entropy.append(-np.log(probabilities[np.arange(6), labels]))
    assert_allclose(terms["presence"].item(), 2 * np.mean(tanh), rtol=1e-2)
    expected = 2 * (weights * np.mean(entropy, axis=0)).mean()
    assert_allclose(terms["cross_entropy"].item(), expected, rtol=1e-4)


def test_of_one_view_the_alignment_is_an_entropy():
    random = np.random.default_rng(0)
    x = random.standard_normal((6, 4, 5)).astype(np.float32)
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    points = np.eye(5, dtype=np.float32)[:3]
    output = PIPNetModel([points], 0.2, n_classes=2).eval()([torch.from_numpy(x)])
    z = softmax(x[..., :3] / 0.2, axis=2)
    expected = -np.log(np.square(z).sum(axis=2)).mean()
    assert_allclose(output.alignment.item(), expected, rtol=1e-5)
    assert len(output.views) == 1


@pytest.mark.parametrize("n_prototypes, n_of_class", [(30, 10), (8, 2), (2, 0)])
def test_first_prototypes_are_of_each_class(n_prototypes, n_of_class):
    """Of each class there are clusters of its own regions alone."""
    random = np.random.RandomState(0)
    own = np.eye(9, dtype=np.float32).reshape(3, 3, 9)  # directions of each class
    labels = np.arange(12) % 3
    mixed = random.dirichlet(np.ones(3), (12, 40)).astype(np.float32)
    regions = np.einsum("nrd,ndk->nrk", mixed, own[labels])
    regions /= np.linalg.norm(regions, axis=2, keepdims=True)
    first = _first_prototypes(regions, labels, 3, n_prototypes, random)
    assert first.shape == (n_prototypes, 9)
    assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)
    shows = np.abs(first.reshape(n_prototypes, 3, 3)).sum(axis=2) > 1e-6
    of_one_class = shows[: 3 * n_of_class]
    assert_array_equal(of_one_class, np.repeat(np.eye(3, dtype=bool), n_of_class, 0))


def test_images_have_two_views_and_their_order_is_kept(tmp_path):
    data = datasets.make_part_images(24, n_classes=2, image_size=96, random_state=0)
    network = Edges()
    params = {
        "image_size": 96,
        "n_prototypes": 6,
        "n_components": None,
        "random_state": 0,
        "max_epochs": 3,
    }
    model = PIPNetClassifier(network, memory=tmp_path, **params)
    model.fit(data.images, data.target)
    again = PIPNetClassifier(network, **params).fit(data.images, data.target)
    assert_array_equal(model.prototypes_, again.prototypes_)
    maps = skdpnet.FeatureMaps(network, image_size=96).fit_transform(data.images)
    one_view = PIPNetClassifier("precomputed", **{**params, "image_size": None})
    one_view.fit(maps, data.target)
    # The views differ, or the second would be of no use.
    assert np.abs(one_view.prototypes_ - model.prototypes_).max() > 1e-3


def test_images_of_weight_zero_have_no_influence():
    X, y, _ = planted_maps()
    weights = np.ones(len(X))
    weights[40:] = 0
    some = classifier(max_epochs=2).fit(X[:40], y[:40])
    all_ = classifier(max_epochs=2).fit(X, y, sample_weight=weights)
    assert_array_equal(some.prototypes_, all_.prototypes_)
    assert_array_equal(some.coef_, all_.coef_)


def test_a_model_is_saved_and_loaded(fitted, tmp_path):
    model, X, *_ = fitted
    model.save(tmp_path / "model.safetensors")
    again = skdpnet.load(tmp_path / "model.safetensors")
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    state = model._get_fitted_state()
    for name, wrong, message in (
        ("temperatures_", np.zeros(1, np.float32), "above 0"),
        ("coef_", -model.coef_ - 1, "negative"),
    ):
        with pytest.raises(ValueError, match=message):
            model._check_fitted_state({**state, name: wrong})


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_prototypes": 0}, "n_prototypes must be .* got 0"),
        ({"temperature": 0}, "temperature must be"),
        ({"presence_threshold": 1}, "presence_threshold must be"),
        ({"sparsity_weight": -1}, "sparsity_weight must be"),
        ({"ridge": 0}, "ridge must be"),
        ({"max_epochs": -1}, "max_epochs must be"),
        ({"lr": float("inf")}, "lr must be"),
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
    model = PIPNetClassifier(
        image_size=160, framing="crop", n_prototypes=40, random_state=0
    ).fit(train.images, train.target)
    boxes = []
    for why in explain_each(model, test.images):
        top = why.top_parts(1)
        boxes.append(why.boxes[top[0]] if len(top) else np.full(4, -1.0))
    hits = metrics.pointing_game(boxes, test.discriminative_boxes)
    drawn = metrics.random_regions(model.grids_, 60, 1, random_state=0)[:, 0] * 160
    chance = metrics.pointing_game(drawn, test.discriminative_boxes)
    assert hits.mean() > 2 * chance.mean()
