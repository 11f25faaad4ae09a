"""Parts that are dropped from fitted DP-Net estimators."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.svm import LinearSVC

import skdpnet
from skdpnet import DPNetClassifier, DPNetTransformer
from tests.parts.dpnet.cosines import cosines
from tests.parts.dpnet.made_maps import PLAIN, part_maps, quick, two_maps

# Products of matrices of other shapes round differently.
ROUNDING = 1e-6
DROPPED = [2, 5]


@pytest.fixture(scope="module")
def two():
    return two_maps(90)[:2]


@pytest.fixture(scope="module")
def whole(two):
    """A classifier with context and parts on two maps, which tests must not change."""
    return quick(DPNetClassifier, n_parts_per_class=6).fit(*two)


@pytest.fixture(scope="module")
def edited(whole, two):
    return copy.deepcopy(whole).drop_parts(DROPPED, *two)


def others(model):
    return np.setdiff1d(np.arange(len(model.part_classes_)), DROPPED)


def maxima(model, X):
    return np.concatenate(
        [
            torch.cat([r.amax(dim=1) for r in responses], dim=1).numpy()
            for responses in model.iter_responses(X)
        ]
    )


def test_the_parts_that_remain_are_the_same(whole, edited, two):
    kept = others(whole)
    learned = slice(0, len(kept) - 3)  # the context is fitted with the classifier
    assert np.array_equal(edited.parts_[learned], whole.parts_[kept][learned])
    assert np.array_equal(edited.part_classes_, whole.part_classes_[kept])
    assert np.array_equal(edited.part_maps_, whole.part_maps_[kept])
    assert edited.grids_ == whole.grids_
    assert edited.coef_.shape == (3, len(kept)) and edited.intercept_.shape == (3,)
    names = whole.get_feature_names_out()
    assert edited.get_feature_names_out().tolist() == names[kept].tolist()
    before = maxima(whole, two[0])[:, kept][:, learned]
    after = maxima(edited, two[0])[:, learned]
    np.testing.assert_allclose(after, before, rtol=0, atol=ROUNDING)


def test_a_dropped_part_responds_no_more(whole, edited, two):
    gone = maxima(whole, two[0])[:, DROPPED]
    remaining = maxima(edited, two[0])
    nearest = np.abs(gone[:, :, None] - remaining[:, None]).max(axis=0).min(axis=1)
    assert (nearest > 0.01).all()
    assert remaining.shape[1] == len(others(whole))


def test_descriptors_have_mean_0_and_variance_1_over_the_new_number_of_parts(
    edited, two
):
    descriptors = edited.transform(two[0])[:, edited.part_maps_ < 2]
    n_parts = descriptors.shape[1]
    np.testing.assert_allclose(descriptors.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(descriptors.var(axis=0), 1 / n_parts, rtol=1e-4)


def test_contributions_and_bias_are_the_score(edited, two):
    for i in (0, 1, 2):
        why = skdpnet.explain(edited, two[0][i : i + 1])
        logits = edited.decision_function(two[0][i : i + 1])[0]
        assert len(why.contributions) == len(edited.part_classes_)
        total = why.contributions.sum() + why.bias
        assert total == pytest.approx(logits.max(), abs=1e-4)


def test_the_classifier_is_that_of_liblinear_on_the_remaining_parts():
    """Squared hinge loss, by scikit-learn on maxima that NumPy computes."""
    X, y, _ = part_maps(120)
    model = quick(DPNetClassifier, **PLAIN, beta=None).fit(X, y)
    before = model.decision_function(X)
    model.drop_parts([0, 7], X, y)
    descriptors = cosines(model, X).max(axis=1)
    descriptors = (descriptors - descriptors.mean(axis=0)) / descriptors.std(axis=0)
    descriptors /= np.sqrt(descriptors.shape[1])
    svm = LinearSVC(
        C=model.C, dual=False, intercept_scaling=1e3, tol=1e-10, max_iter=10**5
    )
    expected = svm.fit(descriptors, y).decision_function(descriptors)
    deviations = [s - s.mean(axis=1, keepdims=True) for s in (expected, before)]
    expected *= deviations[1].std() / deviations[0].std()
    np.testing.assert_allclose(
        model.decision_function(X), expected, rtol=1e-2, atol=1e-2
    )


def test_a_part_that_hardly_counts_changes_hardly_anything(whole, two):
    X, y = two[0], two[1]
    learned = np.flatnonzero(whole.part_maps_ < 2)
    least = learned[np.abs(whole.coef_[:, learned]).max(axis=0).argmin()]
    most = learned[np.abs(whole.coef_[:, learned]).max(axis=0).argmax()]
    fresh = two_maps(90, seed=1)[0]
    before = whole.predict_proba(fresh)
    after = [
        copy.deepcopy(whole).drop_parts(part, X, y).predict_proba(fresh)
        for part in (least, most)
    ]
    changes = [np.abs(p - before).mean() for p in after]
    assert changes[0] < 0.01
    assert changes[0] < changes[1]


def test_saved_and_loaded_it_is_the_same_and_learns_on(edited, two, tmp_path):
    model = copy.deepcopy(edited)
    model.save(tmp_path / "model")
    loaded = skdpnet.load(tmp_path / "model")
    names = edited.get_feature_names_out().tolist()
    assert loaded.get_feature_names_out().tolist() == names
    for X, y in (two, two):
        np.testing.assert_array_equal(
            loaded.decision_function(X), model.decision_function(X)
        )
        loaded.partial_fit(X, y)
        model.partial_fit(X, y)
    assert model.coef_.shape == edited.coef_.shape
    assert model.n_iter_ == edited.n_iter_ + 2


def test_names_of_users_stay_with_their_parts(whole, two):
    model = copy.deepcopy(whole).rename_parts({3: "beak", 5: "wing"})
    model.drop_parts("wing", *two).drop_parts([0], *two)
    assert model.get_feature_names_out()[2] == "beak"
    assert "wing" not in model.get_feature_names_out()
    assert np.array_equal(model.parts_[2], whole.parts_[3])


def test_a_class_may_lose_all_its_parts_of_one_map(whole, two):
    of_class = (whole.part_classes_ == 1) & (whole.part_maps_ == 0)
    model = copy.deepcopy(whole).drop_parts(of_class, *two)
    assert not ((model.part_classes_ == 1) & (model.part_maps_ == 0)).any()
    assert np.isfinite(model.partial_fit(*two).decision_function(two[0])).all()


def test_a_transformer_drops_columns():
    X, y, _ = part_maps(60)
    parts = quick(DPNetTransformer, **PLAIN).fit(X, y)
    before = parts.transform(X)
    after = parts.drop_parts([1, 2], X, y).transform(X)
    ratio = np.sqrt(before.shape[1] / (before.shape[1] - 2))
    kept = np.delete(before, [1, 2], axis=1)
    np.testing.assert_allclose(after, ratio * kept, rtol=1e-3, atol=1e-4)


def test_a_multilabel_model_keeps_the_spread_of_its_logits(two):
    X, y = two
    Y = np.column_stack([y != 0, y != 1, y == 2])
    model = quick(DPNetClassifier).fit(X, Y)
    before = model.decision_function(X)
    n_parts = model.coef_.shape[1]
    model.drop_parts([0], X, Y)
    after = model.decision_function(X)
    assert model.coef_.shape == (3, n_parts - 1)
    assert after.std() == pytest.approx(before.std(), rel=0.3)
    assert (model.predict(X) == Y).mean() > 0.9
    with pytest.raises(ValueError, match="2 columns"):
        model.drop_parts([0], X, Y[:, :2])
    with pytest.raises(ValueError, match="no matrix"):
        model.drop_parts([0], X, y)


def test_images_of_weight_0_do_not_count(whole, two):
    X, y = two
    weights = np.arange(len(y)) < 60
    weighted = copy.deepcopy(whole).drop_parts(DROPPED, X, y, weights.astype(float))
    alone = copy.deepcopy(whole).drop_parts(DROPPED, X[:60], y[:60])
    np.testing.assert_allclose(weighted.coef_, alone.coef_, atol=1e-5)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ([], ValueError, "parts is empty"),
        ([99], IndexError, "no part 99"),
        ("beak", ValueError, "no part 'beak'"),
        (["1_context"], ValueError, "'1_context' is the context.*context=False"),
        (range(9), ValueError, "all 9 parts of feature map 0"),
        (list(range(18)), ValueError, "all 9 parts of feature map 0"),
    ],
)
def test_parts_that_cannot_be_dropped(whole, two, parts, error, message):
    model = copy.deepcopy(whole)
    with pytest.raises(error, match=message):
        model.drop_parts(parts, *two)
    assert np.array_equal(model.coef_, whole.coef_)


def test_images_that_a_classifier_cannot_be_fitted_on(whole, two):
    X, y = two
    model = copy.deepcopy(whole)
    one, some = y == 0, y < 2
    for images, labels, message in (
        (X[some], y[some], r"an image of each class.*\[2\]"),
        (X[one], y[one], r"\[1, 2\]"),
        (X, y + 1, "not among the classes"),
        (X[:5], y, "inconsistent numbers of samples"),
        (X["map0"], y, "feature maps"),
    ):
        with pytest.raises(ValueError, match=message):
            model.drop_parts([0], images, labels)
    assert np.array_equal(model.coef_, whole.coef_)
    assert model.get_feature_names_out()[0] == "0_part0"
    np.testing.assert_array_equal(model.transform(X), whole.transform(X))


def test_an_unfitted_model_has_no_parts_to_drop(two):
    with pytest.raises(NotFittedError):
        quick(DPNetClassifier).drop_parts([0], *two)
