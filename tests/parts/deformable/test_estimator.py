"""Deformable parts: what they tell apart, where they are, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from torch import nn

import skdpnet
from skdpnet import SoftAssignParts, best_regions, explain
from skdpnet.display import ExplanationDisplay, HeatMapDisplay
from skdpnet.parts.deformable.latent_svm import fit_latent_svm
from tests.parts.deformable.made_stars import arranged, bodies, estimator
from tests.parts.dpnet.made_maps import two_maps

TWO_STARS = {"n_stars": 2, "C": 1.0, "n_components": None}


@pytest.fixture(scope="module")
def fitted():
    X, y, _ = arranged(200)
    return estimator(**TWO_STARS).fit(X, y)


@pytest.fixture(scope="module")
def other_images():
    return arranged(100, seed=1)


def test_an_arrangement_is_told_where_a_bag_of_parts_cannot(fitted, other_images):
    X, y, _ = other_images
    assert fitted.score(X, y) > 0.9
    bag = make_pipeline(
        SoftAssignParts(
            "precomputed", n_parts_per_class=4, n_components=None, random_state=0
        ),
        LinearSVC(),
    )
    train, labels, _ = arranged(200)
    assert bag.fit(train, labels).score(X, y) < 0.7


def stars_by_hand(model, X):
    """The score of each star, and the place of its root and parts, by loops."""
    found = []
    for image in range(len(X)):
        for_image = []
        cells = []
        for name, whitening in zip(("map0", "map1"), model.whitenings_, strict=True):
            unit = X[name][image].astype(float)
            unit /= np.linalg.norm(unit, axis=2, keepdims=True)
            white = (unit - whitening.mean) @ whitening.projection
            cells.append(white / np.linalg.norm(white, axis=2, keepdims=True))
        fine, coarse = cells
        for c, m in np.ndindex(model.biases_.shape):
            root = model.roots_[c, m].transpose(1, 2, 0)
            size = len(root)
            best = (-np.inf,)
            for r, s in np.ndindex(*(np.array(coarse.shape[:2]) - size + 1)):
                own = (root * coarse[r : r + size, s : s + size]).sum()
                terms, places = [], []
                for part, anchor, d in zip(
                    model.part_templates_[c, m],
                    model.anchors_[c, m],
                    model.deformations_[c, m],
                    strict=True,
                ):
                    responses = fine @ part[:, 0, 0]
                    dy = np.arange(12)[:, None] - 2 * r - anchor[0]
                    dx = np.arange(12)[None] - 2 * s - anchor[1]
                    responses = responses - (
                        d[0] * dy + d[1] * dy**2 + d[2] * dx + d[3] * dx**2
                    )
                    terms.append(responses.max())
                    places.append(int(responses.argmax()))
                total = own + sum(terms) + model.biases_[c, m]
                if total > best[0]:
                    best = total, own, terms, (r, s), places
            for_image.append(best)
        found.append(for_image)
    return found


def test_terms_and_regions_are_those_of_the_best_joint_placement(fitted, other_images):
    X = other_images[0][:4]
    by_hand = stars_by_hand(fitted, X)
    terms, regions = fitted.transform(X), best_regions(fitted, X).regions
    names = fitted.get_feature_names_out().tolist()
    scores = np.empty((4, 2, 2))
    steps = fitted.grids_[1].width - fitted.grids_[1].windows[0][1] + 1
    for image, of_image in enumerate(by_hand):
        for star, (total, own, of_parts, root, places) in enumerate(of_image):
            name = f"{fitted.classes_[star // 2]}_star{star % 2}_"
            scores[image, star // 2, star % 2] = total
            column = names.index(f"{name}root")
            assert_allclose(terms[image, column], own, atol=1e-4)
            assert regions[image, column] == root[0] * steps + root[1]
            for part, (term, place) in enumerate(zip(of_parts, places, strict=True)):
                column = names.index(f"{name}part{part}")
                assert_allclose(terms[image, column], term, atol=1e-4)
                assert regions[image, column] == place
    best = scores.max(axis=2)
    assert_allclose(fitted.decision_function(X), best[:, 1] - best[:, 0], atol=1e-4)
    assert_allclose(fitted.class_scores(terms), best, atol=1e-4)


def test_contributions_are_the_terms_of_the_best_star_alone(fitted, other_images):
    X = other_images[0][:10]
    terms = fitted.transform(X)
    names = fitted.get_feature_names_out()
    for c, label in enumerate(fitted.classes_):
        contributions = fitted.contributions(terms, c)
        for row, of_image in zip(terms, contributions, strict=True):
            totals = [
                row[np.char.startswith(names.astype(str), f"{label}_star{m}_")].sum()
                + fitted.biases_[c, m]
                for m in range(2)
            ]
            star = f"{label}_star{int(np.argmax(totals))}_"
            in_star = np.array([name.startswith(star) for name in names])
            assert_array_equal(of_image, np.where(in_star, row, 0))
    why = explain(fitted, X[0])
    assert_allclose(why.contributions.sum() + why.bias, why.score)
    assert_allclose(why.heat_map().sum(), why.contributions.sum())
    assert why.bias in fitted.biases_.astype(float)


def test_parts_point_at_marks_and_move_less_against_the_root_than_in_the_image():
    settings = {"n_parts": 1, "root_size": 0.34, "n_components": None}
    X, y, _ = bodies(120)
    model = estimator(**settings).fit(X, y)
    X, y, marks = bodies(90, seed=1)
    assert model.score(X, y) > 0.95
    regions = best_regions(model, X).regions
    corners = [grid.cells[:, :2] for grid in model.grids_]
    for label in range(3):
        part, root = np.flatnonzero(model.part_classes_ == label)
        places = corners[0][regions[y == label, part]]
        origins = 2 * corners[1][regions[y == label, root]]
        assert (places == marks[y == label]).all(axis=1).mean() > 0.9
        spread = (places - origins).std(axis=0)
        assert (spread < 0.5 * places.std(axis=0)).all()


def test_places_are_within_images_that_do_not_fill_their_maps():
    extents = np.tile([[12, 8], [8, 12], [10, 12]], (20, 1))
    X, y, _ = arranged(60, extents=extents)
    model = estimator(**TWO_STARS, root_size=0.6, n_rounds=1).fit(X, y)
    regions = best_regions(model, X).regions
    for i, grid in enumerate(model.grids_):
        on_map = model.part_maps_ == i
        bottom_right = grid.cells[regions[:, on_map], 2:]
        assert (bottom_right <= extents[:, None] // (1 + i)).all()
    # Whatever the sign of a term, it is shown where it comes from.
    for label in model.classes_:
        why = explain(model, X[:1], label)
        used = np.flatnonzero(why.contributions)
        assert len(used) == 3
        for part in used:
            number = model.part_maps_[part]
            top, left, bottom, right = model.grids_[number].cells[regions[0, part]]
            factor = 1 + number
            heat = why.heat_map(part)
            inside = heat[
                factor * top : factor * bottom, factor * left : factor * right
            ]
            assert_allclose(inside.sum(), why.contributions[part])


def test_a_single_map_has_roots_alone():
    X, y = load_iris(return_X_y=True)
    model = estimator(n_stars=2).fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.get_feature_names_out().tolist()[:2] == [
        "0_star0_root",
        "0_star1_root",
    ]
    assert model.part_templates_.shape[:3] == (3, 2, 0)


def test_the_order_of_the_maps_has_no_influence():
    X, y, _ = two_maps(30)
    kind = np.dtype([("map0", X.dtype["map1"]), ("map1", X.dtype["map0"])])
    swapped = np.empty(len(X), kind)
    swapped["map0"], swapped["map1"] = X["map1"], X["map0"]
    model = estimator(n_components=None, n_rounds=1).fit(X, y)
    other = clone(model).fit(swapped, y)
    assert_allclose(
        other.decision_function(swapped), model.decision_function(X), atol=1e-5
    )
    assert other.part_maps_[0] == 0 and other.get_feature_names_out()[0].endswith(
        "root"
    )


def test_equal_seeds_give_equal_models():
    X, y, _ = two_maps(30)
    first, second = (
        estimator(n_stars=2, n_rounds=1).fit(X, y).transform(X) for _ in range(2)
    )
    assert_array_equal(first, second)


def test_the_objective_of_stars_never_rises(monkeypatch):
    fits = []

    def record(*args, **settings):
        fits.append(fit_latent_svm(*args, **settings))
        return fits[-1]

    monkeypatch.setattr("skdpnet.parts.deformable.estimator.fit_latent_svm", record)
    X, y, _ = bodies(60)
    estimator(n_stars=2, root_size=0.5).fit(X, y)
    assert len(fits) == 6  # roots alone, and whole stars, of three classes
    for fit in fits:
        assert (np.diff(fit.objectives) <= 0).all()
    assert max(len(fit.objectives) for fit in fits) > 2
    assert all(fit.objectives[-1] < fit.objectives[0] for fit in fits)


def test_deformations_stay_above_a_tenth_of_the_first_one(fitted):
    assert fitted.deformations_[..., 1::2].min() >= np.float32(0.001)


class TwoMaps(nn.Module):
    """Mean colours of patches of 16×16 and of 32×32 pixels."""

    def forward(self, x):
        return nn.functional.avg_pool2d(x, 16), nn.functional.avg_pool2d(x, 32)


@pytest.fixture(scope="module")
def with_network():
    """Stars of images of several shapes, in which a square has the class's colour."""
    random = np.random.default_rng(0)
    y = np.arange(16) % 2
    images = [
        random.integers(0, 40, (128, 128 + 32 * (i % 3), 3), np.uint8)
        for i in range(len(y))
    ]
    for image, label in zip(images, y, strict=True):
        image[32:64, 64:96, label] += 180
    model = estimator(framing="aspect", image_size=128, n_parts=1, n_rounds=1)
    return model.set_params(backbone=TwoMaps(), strides=None).fit(images, y), images, y


def test_images_of_several_shapes_pass_through_a_network(with_network):
    model, images, y = with_network
    assert model.score(images, y) == 1
    boxes = best_regions(model, images).boxes
    widths = np.array([image.shape[1] for image in images])
    assert (boxes[..., 2] <= widths[:, None]).all() and (boxes[..., 3] <= 128).all()


def test_stars_have_galleries_displays_and_a_report(with_network, tmp_path):
    model, images, y = with_network
    of_root = skdpnet.part_gallery(model, 2, images, n=4)
    assert of_root.name == "0_star0_root" and (y[of_root.images] == 0).all()
    ExplanationDisplay.from_estimator(model, images[0]).plot()
    HeatMapDisplay.from_estimator(model, images[1]).plot()
    skdpnet.report(model, images, images[:4], y[:4], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "0_star0" in page and "1_star0" in page


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_stars": 0}, "n_stars must be"),
        ({"root_size": 1.5}, "root_size must be"),
        ({"C": 0.0}, "C must be"),
        ({"deformation": 0}, "deformation must be"),
        ({"part_size": 1.5}, "part_size must be"),
    ],
)
def test_unusable_parameters_are_named(parameters, message):
    X, y, _ = two_maps(12)
    with pytest.raises(ValueError, match=message):
        estimator(**parameters).fit(X, y)


def test_three_maps_are_refused():
    kind = [("a", "f4", (8, 8, 2)), ("b", "f4", (4, 4, 2)), ("c", "f4", (2, 2, 2))]
    X = np.zeros(6, kind)
    with pytest.raises(ValueError, match="one or two feature maps of several cells"):
        estimator().fit(X, np.arange(6) % 2)


@pytest.mark.parametrize("data", ["two maps", "features"])
def test_saved_stars_are_loaded_and_forged_ones_refused(data, tmp_path):
    if data == "two maps":
        X, y, _ = two_maps(30)
    else:
        X, y = load_iris(return_X_y=True)
    model = estimator(n_rounds=1).fit(X, y)
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model")
    assert_array_equal(loaded.decision_function(X), model.decision_function(X))
    state = model._get_fitted_state()
    forged = {
        "roots_": state["roots_"][..., :-1],
        "part_templates_": state["part_templates_"][:1],
        "anchors_": state["anchors_"].astype(np.float32),
        "deformations_": state["deformations_"][:1],
        "biases_": state["biases_"] * np.nan,
        "part_classes_": state["part_classes_"][::-1].copy(),
        "part_maps_": np.append(state["part_maps_"], 0),
        "whitenings_": state["whitenings_"][:0],
    }
    if data == "two maps":
        negative = state["deformations_"].copy()
        negative[0, 0, 0, 1] = -1
        far = state["anchors_"] + 2**20
        cases = [*forged.items(), ("deformations_", negative), ("anchors_", far)]
    else:
        cases = list(forged.items())
    model._check_fitted_state(state)
    for name, value in cases:
        with pytest.raises(ValueError, match=name.removesuffix("s_")):
            model._check_fitted_state({**state, name: value})


def test_an_image_of_zeros_has_finite_responses(fitted, other_images):
    X = other_images[0][:2].copy()
    X["map0"][0], X["map1"][0] = 0, 0
    assert all(torch.isfinite(r).all() for r in fitted.iter_responses(X).__next__())
    assert np.isfinite(fitted.predict_proba(X)).all()
