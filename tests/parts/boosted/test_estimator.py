"""Boosted parts: planted parts, own and shared pools, scores and files."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

import skdpnet
from skdpnet import SharedBoostedParts
from skdpnet.explanations.readout import read_model

SIDE, DEPTH, N_EACH = 4, 12, 20
# The patterns of each class. Each pattern is in two classes.
PATTERNS = {0: (0, 1), 1: (0, 2), 2: (1, 3), 3: (2, 3)}


@pytest.fixture(scope="module")
def data():
    """Noise with two patterns an image, and the cell (n, 4) of each; −1: not there."""
    random = np.random.default_rng(0)
    patterns = 3 * np.linalg.qr(random.normal(size=(DEPTH, DEPTH)))[0][:4]
    labels = np.tile(np.arange(4), N_EACH)
    X = random.normal(size=(len(labels), SIDE**2, DEPTH))
    X /= np.linalg.norm(X, axis=2, keepdims=True)
    cells = np.full((len(labels), 4), -1)
    for i, label in enumerate(labels):
        places = random.permutation(SIDE**2)[:2]
        for pattern, place in zip(PATTERNS[label], places, strict=True):
            X[i, place] += patterns[pattern]
            cells[i, pattern] = place
    return X.reshape(-1, SIDE, SIDE, DEPTH).astype(np.float32), labels, cells


def boosted_parts(**parameters):
    defaults = {
        "region_scales": (0.25,),
        "n_components": None,
        "n_candidates_per_class": 8,
        "n_rounds": 20,
        "random_state": 0,
    }
    return SharedBoostedParts("precomputed", **{**defaults, **parameters})


@pytest.fixture(scope="module")
def parts_alone(data):
    X, y, _ = data
    return boosted_parts(start=None).fit(X, y)


@pytest.fixture(scope="module")
def with_global_start(data):
    X, y, _ = data
    return boosted_parts(max_depth=2).fit(X, y)


def test_two_classes_select_the_planted_part_that_they_share(data, parts_alone):
    X, y, cells = data
    (responses,) = parts_alone.part_responses([X])
    best = responses.argmax(dim=1).numpy()
    for pattern in range(4):
        has_it = cells[:, pattern] >= 0
        finds_it = (best[has_it] == cells[has_it, pattern][:, None]).mean(axis=0) > 0.9
        shares = parts_alone.part_importances_[:, finds_it].sum(axis=1)
        classes = [c for c, of_class in PATTERNS.items() if pattern in of_class]
        assert (shares[classes] > 0.1).all()
    assert (np.diag(parts_alone.part_shares_) < 0.9).any()
    assert parts_alone.score(X, y) > 0.95


def test_classes_without_sharing_have_parts_of_their_own_alone(data):
    X, y, _ = data
    model = boosted_parts(start=None, shared=False).fit(X, y)
    assert_allclose(model.part_shares_, np.eye(4), atol=1e-12)
    for c, trees in enumerate(model.tree_parts_):
        assert set(model.part_classes_[trees[trees >= 0]]) == {c}


def test_each_class_is_boosted_as_scikit_learn_does_on_the_responses(data):
    X, y, _ = data
    # Without noise, two parts tell the classes equally well.
    X = X + np.random.default_rng(5).normal(scale=0.7, size=X.shape).astype(np.float32)
    model = boosted_parts(start=None, shared=False, n_rounds=6).fit(X[:60], y[:60])
    maxima, new = model.transform(X[:60]), model.transform(X[60:])
    for c in range(4):
        of_class = model.part_classes_ == c
        boosting = AdaBoostClassifier(
            DecisionTreeClassifier(max_depth=1), n_estimators=6, random_state=0
        ).fit(maxima[:, of_class], y[:60] == c)
        weights = np.abs(model.tree_values_[c, :, 1])
        expected = boosting.estimator_weights_ / boosting.estimator_weights_.sum()
        assert_allclose(weights / weights.sum(), expected)
        scores = model.class_scores(new)[:, c] / weights.sum()
        expected = boosting.decision_function(new[:, of_class]) / 2
        assert_allclose(scores, expected, atol=1e-6)


def test_the_weights_of_all_classes_have_the_same_sum(parts_alone):
    sums = np.abs(parts_alone.tree_values_[..., 1]).sum(axis=1)
    assert_allclose(sums, sums[0])


def test_the_loss_falls(parts_alone):
    assert_allclose(parts_alone.losses_[:, 0], 1)
    assert (np.diff(parts_alone.losses_) <= 0).all()


@pytest.mark.parametrize("name", ["parts_alone", "with_global_start"])
def test_contributions_and_a_constant_add_up_to_the_scores(data, name, request):
    X, _, _ = data
    model = request.getfixturevalue(name)
    parts, readout = read_model(model)
    descriptors = parts.transform(X)
    scores = model.decision_function(X)
    for c in range(4):
        biases = readout.biases(descriptors, c)
        assert np.ptp(biases) < 1e-9
        total = model.contributions(descriptors, c).sum(axis=1) + biases[0]
        assert_allclose(total, scores[:, c], atol=1e-9)
    # Trees contribute nothing on average over the training images.
    learned = model.part_maps_ == 0
    means = model.contributions(descriptors, 0)[:, learned].sum(axis=1).mean()
    assert abs(means) < 1e-9


def test_the_context_is_a_classifier_of_whole_images(data, with_global_start):
    X, y, _ = data
    model = with_global_start
    assert model.part_maps_[-4:].tolist() == [1] * 4
    names = ["0_context", "1_context", "2_context", "3_context"]
    assert model.get_feature_names_out()[-4:].tolist() == names
    assert_allclose(model.part_shares_.sum(axis=1), 1)
    averages = X.mean(axis=(1, 2))
    averages /= np.linalg.norm(averages, axis=1, keepdims=True)
    axes = model.whitenings_[-1]
    whole = (averages - axes.mean) @ axes.projection
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    depth = whole.shape[1]
    maxima = whole @ model.parts_[-4:, :depth].T
    standard = (maxima - maxima.mean(0)) / maxima.std(0) / np.sqrt(len(model.parts_))
    assert_allclose(model.transform(X)[:, -4:], standard, atol=1e-4)
    # Without its trees, the model is that classifier.
    scores = standard * model.context_coef_ + model.intercept_
    assert (scores.argmax(axis=1) == y).mean() > 0.6


def test_probabilities_are_the_softmax_of_the_scores(data, parts_alone):
    X, _, _ = data
    probabilities = parts_alone.predict_proba(X)
    assert_allclose(probabilities, softmax(parts_alone.decision_function(X), axis=1))
    assert_array_equal(parts_alone.predict(X), probabilities.argmax(axis=1))


def test_background_is_where_the_network_responds_little(data):
    X, y, _ = data
    model = boosted_parts(start=None).fit(X, y)
    # The patterns are three times as long as the noise.
    assert model.background_shares_.mean() < 0.3
    dim = X.copy()
    dim[:, :, 0] *= 100  # something bright that is no part of any class
    dim[:, :, 0] = dim[:, :, 0].mean(axis=(0, 1))
    beside = boosted_parts(start=None).fit(dim, y)
    assert beside.background_shares_.min() > 0.7


def test_candidates_are_shared_out_over_the_maps(data):
    X, y, _ = data
    two = np.empty(len(X), [("a", "f4", X.shape[1:]), ("b", "f4", (2, 2, DEPTH))])
    two["a"], two["b"] = X, X[:, :2, :2]
    with pytest.raises(ValueError, match="n_candidates_per_class=1 leaves"):
        boosted_parts(n_candidates_per_class=1).fit(two, y)


def test_a_map_that_no_tree_asks_for_keeps_a_part(data):
    X, y, _ = data
    two = np.zeros(len(X), [("a", "f4", X.shape[1:]), ("b", "f4", (2, 2, DEPTH))])
    two["a"] = X
    two["b"] = 1
    model = boosted_parts(start=None).fit(two, y)
    assert (model.part_maps_ == 1).sum() == 1
    assert model.part_importances_[:, -1].max() == 0
    assert np.isfinite(model.decision_function(two)).all()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("tree_parts_", lambda a: a + 10_000, "tree_parts_"),
        ("tree_values_", lambda a: a[:, :, :1], "tree_values_"),
        ("context_coef_", lambda a: a[:2], "context_coef_"),
        ("intercept_", lambda a: a * np.nan, "intercept_"),
        ("losses_", lambda a: a[:, :1], "losses_"),
        ("part_importances_", lambda a: a[:, :1], "part_importances_"),
        ("part_shares_", lambda a: a[:1], "part_shares_"),
        ("background_shares_", lambda a: a[:1], "background_shares_"),
        ("part_foreground_", lambda a: a[:1], "part_foreground_"),
        ("part_classes_", lambda a: 0 * a - 1, "part_classes_|context"),
    ],
)
def test_crafted_files_are_refused(with_global_start, name, change, message):
    state = with_global_start._get_fitted_state()
    with_global_start._check_fitted_state(state)
    with pytest.raises(ValueError, match=message):
        with_global_start._check_fitted_state({**state, name: change(state[name])})


def test_a_loaded_model_decides_as_the_saved_one(data, with_global_start, tmp_path):
    X, _, _ = data
    with_global_start.save(tmp_path / "model")
    again = skdpnet.load(tmp_path / "model")
    assert_array_equal(
        again.decision_function(X), with_global_start.decision_function(X)
    )
    assert_array_equal(again.part_shares_, with_global_start.part_shares_)
