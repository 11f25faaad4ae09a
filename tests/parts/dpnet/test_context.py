"""The whole image as a part of each class, against joint fits by scikit-learn."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

import skdpnet
from skdpnet import DPNetClassifier, DPNetTransformer, explain, part_gallery
from skdpnet.parts.dpnet.context import CONTEXT_SCALE, fit_context_axes
from tests.parts.dpnet.made_maps import PLAIN, part_maps, quick, two_maps

C, P = 3, 12  # classes, and parts of `quick` on one map


def averages(X):
    """Averages of one map, or of the fields of X, from their definition."""
    each = [X] if X.dtype.names is None else [X[name] for name in X.dtype.names]
    units = [normalize(maps.astype(float).mean(axis=(1, 2))) for maps in each]
    return normalize(np.hstack(units))


def whole_images(X, train, n_components=None):
    """Unit vectors of whole images, from their definition."""
    average, on_train = averages(X), averages(train)
    axes = PCA(n_components, svd_solver="full").fit(on_train)
    return normalize(axes.transform(average))


def diffuse_maps(n, seed=0):
    """Maps of noise whose cells all lean a little to the direction of the class."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % C
    X = random.normal(size=(n, 6, 6, 12)) + 0.5 * np.eye(12)[y][:, None, None]
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def fitted(train):
    return quick(DPNetClassifier, context=True, max_epochs=2).fit(*train[:2])


@pytest.mark.parametrize("n_components", [None, 5])
def test_scores_are_those_of_an_svm_on_parts_and_whole_images(train, n_components):
    X, y, _ = train
    settings = {"n_components": n_components, "max_epochs": 0, "specificity_weight": 0}
    model = quick(DPNetClassifier, context=True, **settings).fit(X, y)
    new = part_maps(60, seed=1)[0]
    joint, joint_new = (
        np.hstack(
            [
                model.transform(maps)[:, :P],
                CONTEXT_SCALE * whole_images(maps, X, n_components),
            ]
        )
        for maps in (X, new)
    )
    svm = LinearSVC(C=1.0, intercept_scaling=100, tol=1e-8, max_iter=100_000)
    expected = svm.fit(joint, y).decision_function(joint_new)
    found = model.decision_function(new)
    factor = found.std() / expected.std()  # the scores are calibrated by one factor
    np.testing.assert_allclose(found, factor * expected, atol=0.01 * found.std())


def test_partial_fit_is_the_least_squares_of_parts_and_whole_images(train):
    X, y, _ = train
    settings = {"n_components": 6, "specificity_weight": 0, "lr": 1e-9, "dropout": 0}
    model = quick(DPNetClassifier, context=True, **settings)
    model.partial_fit(X[:75], y[:75], classes=np.unique(y)).partial_fit(X[75:], y[75:])
    whole = whole_images(X, X[:75], 6)
    joint = np.hstack([model.transform(X)[:, :P], CONTEXT_SCALE * whole])
    ridge = Ridge(alpha=0.5).fit(joint, 2.0 * (y[:, None] == np.arange(C)) - 1)
    expected, found = ridge.predict(joint), model.decision_function(X)
    expected, found = (s - s.mean(axis=1, keepdims=True) for s in (expected, found))
    factor = found.std() / expected.std()
    np.testing.assert_allclose(found, factor * expected, atol=0.02 * found.std())


def test_context_parts_are_one_for_each_class_on_a_map_of_one_region(fitted, train):
    X, y, _ = train
    assert fitted.part_classes_[-C:].tolist() == [0, 1, 2]
    assert fitted.part_maps_.tolist() == [0] * P + [1] * C
    assert [grid.n_regions for grid in fitted.grids_][1:] == [1]
    assert fitted.map_shapes_ == ((5, 6, 12),)
    assert fitted.get_feature_names_out()[[0, P - 1, P, -1]].tolist() == [
        *("0_part0", "2_part3", "0_context", "2_context")
    ]
    assert fitted.coef_.shape == (C, P + C)
    on_context = fitted.coef_[:, P:]
    assert (np.diag(on_context) > 0).all()
    np.testing.assert_array_equal(on_context, np.diag(np.diag(on_context)))
    lengths = np.linalg.norm(fitted.parts_, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    # The descriptor has their cosines with whole images.
    projected = (
        whole_images(X, X)
        @ PCA(svd_solver="full")
        .fit(normalize(X.astype(float).mean(axis=(1, 2))))
        .components_
    )
    projection = fitted.whitenings_[-1].projection
    np.testing.assert_allclose(projection.T @ projection, np.eye(12), atol=1e-5)
    cosines = projected @ projection @ fitted.parts_[P:].T
    np.testing.assert_allclose(
        fitted.transform(X)[:, P:], CONTEXT_SCALE * cosines, atol=1e-4
    )


def test_an_explanation_has_the_whole_image_as_the_region_of_the_context(fitted, train):
    X, _, _ = train
    for label in (None, 1):
        why = explain(fitted, X[0], label)
        assert why.contributions.sum() + why.bias == pytest.approx(why.score, abs=1e-5)
        np.testing.assert_allclose(why.boxes[P:], np.tile([0, 0, 1, 1], (C, 1)))
        assert why.part_names[-1] == "2_context"
        others = np.arange(C) != fitted.classes_.tolist().index(why.explained)
        assert (why.contributions[P:][others] == 0).all()
        # The context contributes to all cells alike.
        heat = why.heat_map(parts=np.arange(P, P + C))
        np.testing.assert_allclose(heat, why.contributions[P:].sum() / 30, atol=1e-6)
    gallery = part_gallery(fitted, P, X, n=3)
    strongest = fitted.transform(X)[:, P].argsort()[::-1][:3]
    assert list(gallery.images) == strongest.tolist()
    assert gallery.name == "0_context"


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_positive_bounds_the_weights_of_the_parts_alone(train, method):
    X, y, _ = train
    settings = {"positive": True, "specificity_weight": 0.1, "max_epochs": 3}
    model = getattr(quick(DPNetClassifier, context=True, **settings), method)(X, y)
    joint, _ = model.net_.module_.get_classifier()
    assert (joint[:, :P] >= 0).all() and (joint[:, P:] < 0).any()
    assert (model.coef_ >= 0).all()
    assert (model.transform(X)[:, P:] < 0).any()


def test_the_specificity_penalty_leaves_the_context_alone(train):
    X, y, _ = train
    settings = {"specificity_weight": 100.0, "max_epochs": 1}
    model = quick(DPNetClassifier, context=True, **settings).fit(X, y)
    foreign = model.part_classes_ != np.arange(C)[:, None]
    assert (model.coef_[foreign] == 0).all()
    joint, _ = model.net_.module_.get_classifier()
    assert (joint[:, P:] != 0).all()


def test_context_sees_what_the_average_alone_tells():
    settings = {"region_scales": (0.1,), "n_parts_per_class": 2, "max_epochs": 3}
    X, y = diffuse_maps(90)
    new, labels = diffuse_maps(300, seed=1)
    alone, together = (
        quick(DPNetClassifier, **{**PLAIN, **settings, "context": context})
        .fit(X, y)
        .score(new, labels)
        for context in (False, True)
    )
    assert together > 0.93
    assert together > alone + 0.03


def test_parts_see_what_the_average_does_not_tell(train):
    X, y, _ = train
    new, labels, _ = part_maps(300, seed=1)
    model = quick(DPNetClassifier, context=True).fit(X, y)
    assert model.score(new, labels) > 0.95


def test_training_moves_the_parts_and_not_those_of_the_context(train):
    X, y, _ = train
    model = quick(DPNetClassifier, context=True, max_epochs=2, verbose=0).fit(X, y)
    module = model.net_.module_
    learned = {name for name, p in module.named_parameters() if p.requires_grad}
    assert learned == {"map_parts.0.parts"}
    first = quick(DPNetClassifier, context=True, max_epochs=0).fit(X, y)
    assert not np.allclose(first.parts_[:P], model.parts_[:P], atol=1e-3)


@pytest.mark.parametrize("cls", [DPNetClassifier, DPNetTransformer])
def test_saved_pickled_and_cloned_estimators_go_on_alike(cls, train, tmp_path):
    X, y, _ = train
    model = quick(cls, context=True, max_epochs=2).fit(X, y)
    # A loaded net has a new optimiser, whose steps differ: these do not count.
    model.set_params(lr=1e-9)
    model.save(tmp_path / "model")
    copies = [skdpnet.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))]
    # Parameters that change after fit do not change the model.
    copies.append(pickle.loads(pickle.dumps(model)).set_params(context=False))
    expected = model.transform(X)
    for other in copies:
        np.testing.assert_array_equal(other.transform(X), expected)
        np.testing.assert_array_equal(other.coef_, model.coef_)
    model.partial_fit(X[:40], y[:40])
    for other in copies:
        other.partial_fit(X[:40], y[:40])
        np.testing.assert_allclose(other.coef_, model.coef_, atol=1e-5)
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model").partial_fit(X[40:], y[40:])
    np.testing.assert_allclose(
        loaded.coef_, model.partial_fit(X[40:], y[40:]).coef_, atol=1e-5
    )
    again = clone(model).set_params(lr=2e-3).fit_transform(X, y)
    np.testing.assert_array_equal(again, expected)


def test_a_few_images_after_fit_change_little(fitted, train):
    X, y, _ = train
    model = pickle.loads(pickle.dumps(fitted)).set_params(lr=1e-9)
    model.partial_fit(X[:3], y[:3])
    new = part_maps(90, seed=1)[0]
    before, after = fitted.decision_function(new), model.decision_function(new)
    before, after = (s - s.mean(axis=1, keepdims=True) for s in (before, after))
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("key", ["part_classes_", "variances", "grids_"])
def test_a_forged_context_is_refused(fitted, key):
    state = fitted._get_fitted_state()
    net = {**state["net_"], "running": {**state["net_"]["running"]}}
    state["net_"] = net
    if key == "part_classes_":
        state[key] = state[key][::-1].copy()
    elif key == "grids_":
        state[key] = [state[key][0], skdpnet.regions.RegionGrid(2, 1, ((1, 1),))]
    else:
        net["running"][key] = -net["running"][key]
    with pytest.raises(ValueError, match="context is not|not variances"):
        DPNetClassifier("precomputed")._check_fitted_state(state)


def test_images_of_weight_0_have_no_influence(train):
    X, y, _ = train
    weights = np.ones(len(X))
    weights[100:] = 0
    settings = {"context": True, "max_epochs": 2}
    weighted = quick(DPNetClassifier, **settings).fit(X, y, sample_weight=weights)
    without = quick(DPNetClassifier, **settings).fit(X[:100], y[:100])
    np.testing.assert_allclose(
        weighted.decision_function(X), without.decision_function(X), atol=1e-4
    )


@pytest.mark.parametrize("shape", [(12,), (7, 12), (1, 1, 12), (4, 5, 12)])
@pytest.mark.parametrize("cls", [DPNetClassifier, DPNetTransformer])
def test_two_classes_on_features_regions_and_maps(cls, shape):
    random = np.random.default_rng(0)
    y = np.array(["no", "yes"])[np.arange(60) % 2]
    X = random.random((60, *shape)) + (y == "yes").reshape(-1, *[1] * len(shape))
    X[..., 6:] = random.random((60, *shape[:-1], 6))
    settings = {"max_epochs": 2, "validation_fraction": 0.3}
    model = quick(cls, context=True, **settings)
    described = model.fit_transform(X, y)
    np.testing.assert_allclose(described, model.transform(X), atol=1e-5)
    assert described.shape == (60, 10)
    if cls is DPNetClassifier:
        assert model.score(X, y) > 0.9
        assert model.decision_function(X).shape == (60,)


@pytest.mark.parametrize("of_one_cell", [False, True])
def test_the_averages_of_all_maps_are_the_context(of_one_cell):
    X, y, _ = two_maps(60)
    if of_one_cell:
        kind = np.dtype([*X.dtype.descr, ("map2", "f4", (1, 1, 7))])
        both = np.empty(60, kind)
        both["map0"], both["map1"] = X["map0"], X["map1"]
        both["map2"] = 5 + np.random.default_rng(1).normal(size=(60, 1, 1, 7))
        X = both
    model = quick(DPNetClassifier, context=True, max_epochs=2).fit(X, y)
    # A map of one cell has no parts of its own.
    assert model.part_maps_.tolist() == [0] * 6 + [1] * 6 + [2] * 3
    assert len(model.map_shapes_) == 2 + of_one_cell
    axes = model.whitenings_[2]
    expected = averages(X)
    np.testing.assert_allclose(axes.mean, expected.mean(axis=0), atol=1e-6)
    whole = normalize((expected - expected.mean(axis=0)) @ axes.projection)
    # Nothing that differs between images is lost in the projection.
    lengths = np.linalg.norm(expected - expected.mean(axis=0), axis=1)
    kept = np.linalg.norm((expected - expected.mean(axis=0)) @ axes.projection, axis=1)
    np.testing.assert_allclose(kept, lengths, rtol=1e-4)
    on_context = model.parts_[12:, : axes.projection.shape[1]]
    np.testing.assert_allclose(
        model.transform(X)[:, 12:], CONTEXT_SCALE * whole @ on_context.T, atol=1e-4
    )


def test_fits_with_and_without_context_share_the_cache(tmp_path):
    X, y, _ = two_maps(60)
    settings = {"max_epochs": 2, "memory": tmp_path}
    model = quick(DPNetClassifier, context=True, **settings).fit(X, y)
    # What fits share in the cache does not depend on whether others have a context.
    other = quick(DPNetClassifier, context=False, **settings).fit(X, y)
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(model.coef_, again.coef_)
    fresh = quick(DPNetClassifier, context=False, max_epochs=2).fit(X, y)
    np.testing.assert_array_equal(other.coef_, fresh.coef_)


def test_images_without_differences_have_no_directions():
    for whole in (np.zeros((5, 1, 1, 4)), np.ones((5, 1, 1, 4)), np.ones((1, 1, 1, 4))):
        axes = fit_context_axes(whole.astype(np.float32), None)
        assert not axes.projection.any()
    random = np.random.default_rng(0)
    X = random.normal(size=(30, 3, 3, 4))
    X -= X.mean(axis=(1, 2), keepdims=True) - 1  # all have the same average
    model = quick(DPNetClassifier, context=True, max_epochs=1).fit(X, np.arange(30) % 2)
    assert np.isfinite(model.decision_function(X)).all()
