"""Random regions as shared parts: what is found, kept, and refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import skdpnet
from skdpnet import RandomSelectedParts, metrics
from skdpnet.datasets import make_part_images
from skdpnet.parts.random_selected import estimator as module


def planted_images(n=60, n_classes=3, size=5, depth=12, seed=0):
    """Maps of noise; a random cell of each image has the direction of its class."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, size, size, depth)).astype(np.float32)
    y = np.arange(n) % n_classes
    rows, columns = random.integers(size, size=(2, n))
    X[np.arange(n), rows, columns, y] += 12
    return X, np.array(["ant", "bee", "cow"])[y], rows * size + columns


def estimator(**parameters):
    defaults = {
        "region_scales": [0.2],
        "n_components": None,
        "n_candidates": 300,
        "n_parts": 6,
        "random_state": 0,
    }
    return RandomSelectedParts("precomputed", **(defaults | parameters))


def test_planted_regions_are_selected_from_many_of_noise():
    X, y, where = planted_images()
    fitted = estimator().fit(X, y)
    images, regions, classes = fitted.part_sources_[:3].T
    assert_array_equal(regions, where[images])
    # Two marks tell three classes apart, so that the third may be of either.
    assert classes[0] != classes[1]
    assert_array_equal(fitted.classes_[classes], y[images])


def test_selected_parts_classify_better_than_as_many_random_ones():
    X, y, _ = planted_images(180)
    accuracies = []
    for n_candidates in (6, 300):
        model = make_pipeline(estimator(n_candidates=n_candidates), LinearSVC())
        accuracies.append(model.fit(X[:90], y[:90]).score(X[90:], y[90:]))
    assert accuracies[1] > 0.9 and accuracies[0] < accuracies[1] - 0.1


def test_parts_are_the_regions_that_they_were_drawn_as():
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    images, regions, _ = fitted.part_sources_.T
    cells = X.reshape(len(X), -1, 12)[images, regions]
    expected = cells / np.linalg.norm(cells, axis=1, keepdims=True)
    assert_allclose(fitted.parts_, expected, atol=1e-6)
    assert_array_equal(fitted.part_classes_, -1)
    assert fitted.get_feature_names_out().tolist() == [f"part{p}" for p in range(6)]


def test_descriptor_is_the_standardised_maximum_of_the_cosines():
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    cells = X.reshape(len(X), 25, 12)
    cells = cells / np.linalg.norm(cells, axis=2, keepdims=True)
    maxima = (cells @ fitted.parts_.T).max(axis=1)
    expected = (maxima - maxima.mean(0)) / maxima.std(0) / np.sqrt(6)
    assert_allclose(fitted.transform(X), expected, atol=1e-5)


def test_as_many_parts_as_candidates_are_a_random_bag(monkeypatch):
    X, y, _ = planted_images()

    def path(*_):
        raise AssertionError("nothing is to be selected")

    monkeypatch.setattr(
        "skdpnet.parts.random_selected.selection.group_lasso_path", path
    )
    bags = [
        estimator(n_candidates=9, n_parts=9, random_state=seed).fit(X, labels)
        for seed, labels in ((0, y), (0, y[::-1]), (1, y))
    ]
    # Labels have no influence on it, and the random state has.
    assert_array_equal(bags[0].parts_, bags[1].parts_)
    assert not np.array_equal(bags[0].parts_, bags[2].parts_)


def test_joint_rounds_lower_the_objective_and_move_the_parts():
    X, y, _ = planted_images()
    before = estimator(n_candidates=6).fit(X, y)
    after = estimator(n_candidates=6, joint_rounds=4).fit(X, y)
    assert before.objectives_ == [] and len(after.objectives_) == 5
    assert (np.diff(after.objectives_) <= 0).all()
    assert after.objectives_[-1] < 0.8 * after.objectives_[0]
    assert_array_equal(before.part_sources_, after.part_sources_)
    assert_allclose(np.linalg.norm(after.parts_, axis=1), 1, rtol=1e-5)
    assert (np.sum(before.parts_ * after.parts_, axis=1) < 0.99).any()
    out = after.transform(X)
    assert_allclose(out.var(0), 1 / 6, rtol=1e-3)
    assert_allclose(after.fit_transform(X, y), out, atol=1e-5)


def test_joint_rounds_help_new_images_where_random_parts_are_few():
    X, y, _ = planted_images(600)
    accuracies = []
    for joint_rounds in (0, 6):
        parts = estimator(n_candidates=6, joint_rounds=joint_rounds, C=0.3)
        model = make_pipeline(parts, LinearSVC()).fit(X[:300], y[:300])
        accuracies.append(model.score(X[300:], y[300:]))
    assert accuracies[1] > 0.95 and accuracies[0] < 0.85


def test_each_map_has_its_share():
    X, y, _ = planted_images()
    maps = np.empty(len(X), [("fine", "f4", (5, 5, 12)), ("coarse", "f4", (2, 2, 7))])
    maps["fine"] = X
    maps["coarse"] = np.random.default_rng(0).standard_normal((len(X), 2, 2, 7))
    fitted = estimator(n_parts=7, joint_rounds=1).fit(maps, y)
    assert_array_equal(fitted.part_maps_, [0, 0, 0, 1, 1, 1, 1])
    assert (fitted.part_sources_[3:, 1] < fitted.grids_[1].n_regions).all()
    # Noise alone matters less.
    assert fitted.part_norms_[:3].min() > fitted.part_norms_[3:].max()


def test_norms_are_those_of_the_weights():
    X, y, _ = planted_images()
    fitted = estimator(C=2.0).fit(X, y)
    machine = LinearSVC(multi_class="crammer_singer", C=2.0, max_iter=5000)
    machine.fit(fitted.transform(X), y)
    expected = np.linalg.norm(machine.coef_, axis=0)
    assert_allclose(fitted.part_norms_, expected, rtol=0.02)


def test_the_copies_of_a_part_in_a_pyramid_are_selected_together():
    X, y, where = planted_images()
    fitted = estimator(pyramid=((1, 1), (2, 2)), joint_rounds=1).fit(X, y)
    assert fitted.transform(X).shape == (60, 30)
    copies = fitted.part_sources_.reshape(6, 5, 3)
    assert (copies == copies[:, :1]).all()
    assert_array_equal(copies[:3, 0, 1], where[copies[:3, 0, 0]])
    norms = fitted.part_norms_.reshape(6, 5)
    assert (norms == norms[:, :1]).all()


def test_a_part_speaks_against_a_class_and_the_explanation_shows_it():
    """Class 0 is what lacks the mark of class 1: its evidence is negative."""
    X, y, _ = planted_images(60, n_classes=2)
    X[y == "ant", :, :, 0] = np.random.default_rng(1).standard_normal((30, 5, 5))
    model = make_pipeline(estimator(n_parts=1), LogisticRegression()).fit(X, y)
    assert model.score(X, y) > 0.9
    of_bee = skdpnet.explain(model, X[y == "bee"][0], "ant")
    assert of_bee.contributions[0] < 0
    assert of_bee.contributions.sum() + of_bee.bias == pytest.approx(of_bee.score)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_candidates": 5}, "n_candidates=5 must be at least n_parts=6"),
        ({"n_parts": 0}, "n_parts"),
        ({"joint_rounds": -1}, "joint_rounds"),
        ({"C": 0}, "C"),
    ],
)
def test_what_cannot_be_is_refused(parameters, message):
    X, y, _ = planted_images()
    with pytest.raises(ValueError, match=message):
        estimator(**parameters).fit(X, y)


def test_random_directions_are_the_parts_that_regions_cannot_be():
    X, y, _ = planted_images(6, size=2)
    fitted = estimator(n_candidates=40, n_parts=30).fit(X, y)
    is_region = fitted.part_sources_[:, 0] >= 0
    assert is_region.sum() == 6 * 4
    assert_array_equal(fitted.part_sources_[~is_region], -1)
    assert_allclose(np.linalg.norm(fitted.parts_, axis=1), 1, rtol=1e-5)
    alike = estimator(n_components=4, joint_rounds=1).fit(np.ones_like(X), y)
    assert_array_equal(alike.transform(np.ones_like(X)), np.zeros((6, 6)))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("part_norms_", np.zeros(5, np.float32), "part_norms_"),
        ("part_sources_", np.zeros((6, 2), np.int64), "part_sources_"),
        ("part_sources_", np.full((6, 3), -2), "part_sources_"),
        ("part_sources_", np.tile([0, 25, 0], (6, 1)), "a region that there is not"),
        ("part_sources_", np.tile([0, 0, 3], (6, 1)), "a class that there is not"),
        ("objectives_", [1.0, "much"], "objectives_"),
    ],
)
def test_files_that_do_not_fit_are_refused(name, value, message):
    X, y, _ = planted_images()
    fitted = estimator().fit(X, y)
    state = fitted._get_fitted_state()
    fitted._check_fitted_state(state)
    with pytest.raises(ValueError, match=message):
        fitted._check_fitted_state({**state, name: value})


def test_parts_that_lost_their_length_are_those_that_they_were():
    first = np.eye(3, dtype=np.float32)
    moved = np.array([[0, 3, 4], [0, 0, 0], [0, 0, 2]], np.float32)
    expected = [[0, 0.6, 0.8], [0, 1, 0], [0, 0, 1]]
    assert_allclose(module._unit(moved, first), expected)


def test_on_made_birds_the_strongest_part_points_at_a_telling_part():
    train, test = (
        make_part_images(n, n_classes=4, image_size=160, random_state=seed)
        for n, seed in ((160, 0), (60, 100))
    )
    parts = RandomSelectedParts(
        image_size=160, framing="crop", n_candidates=2000, n_parts=40, random_state=0
    )
    model = make_pipeline(parts, LogisticRegression(C=100))
    model.fit(train.images, train.target)
    explanations = skdpnet.explain_each(model, test.images)
    boxes = [why.boxes[why.top_parts(1)[0]] for why in explanations]
    hits = metrics.pointing_game(boxes, test.discriminative_boxes)
    drawn = metrics.random_regions(model[0].grids_, 60, 1, random_state=0)[:, 0] * 160
    chance = metrics.pointing_game(drawn, test.discriminative_boxes)
    assert hits.mean() > 0.5 > 2 * chance.mean()
