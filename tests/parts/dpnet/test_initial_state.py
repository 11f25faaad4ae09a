"""Fits that start alike share their initial state in `memory`, and stay the same."""

import numpy as np
import pytest
import scipy
import sklearn
import torch
from sklearn.model_selection import GridSearchCV

import skdpnet.parts.dpnet.initial_state
from skdpnet import DPNetClassifier
from skdpnet.parts.dpnet.fitting import ClassifierFits
from tests.parts.dpnet.made_maps import two_maps

SETTINGS = {
    "backbone": "precomputed",
    "n_parts_per_class": 4,
    "region_scales": (0.25, 0.5),
    "max_epochs": 1,
    "random_state": 0,
}


@pytest.fixture
def clusterings(monkeypatch):
    """Calls of the clustering: one for each map of an initial state."""
    calls = []
    original = skdpnet.parts.dpnet.initial_state.cluster_parts

    def counted(*args):
        calls.append(1)
        return original(*args)

    monkeypatch.setattr(skdpnet.parts.dpnet.initial_state, "cluster_parts", counted)
    return calls


@pytest.fixture
def calibrations(monkeypatch):
    """Calibrations of the logits: one for each fit that shares none."""
    calls = []
    original = ClassifierFits.calibrated_spread

    def counted(*args):
        calls.append(1)
        return original(*args)

    monkeypatch.setattr(ClassifierFits, "calibrated_spread", counted)
    return calls


def assert_same_model(first, second):
    for name in ("parts_", "coef_", "intercept_"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_cached_initial_state_gives_the_same_model(tmp_path, clusterings):
    X, y, _ = two_maps(60)
    weighted = {**SETTINGS, "orthogonality_weight": 1.0, "validation_fraction": 0.2}
    plain = DPNetClassifier(**weighted).fit(X, y)
    DPNetClassifier(**{**weighted, "lr": 0.01}, memory=tmp_path).fit(X, y)
    assert len(clusterings) == 4  # two fits, two maps each
    assert_same_model(DPNetClassifier(**weighted, memory=tmp_path).fit(X, y), plain)
    assert len(clusterings) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"random_state": 1},
        {"n_parts_per_class": 6},
        {"n_components": 8},
        {"region_scales": (0.25,)},
        {"foreground": 1.3},
        {"foreground": None},
        {"annealed_share": 0.5},
        {"validation_fraction": 0.2},
    ],
)
def test_fits_that_start_differently_share_nothing(tmp_path, clusterings, other):
    X, y, _ = two_maps(60)
    DPNetClassifier(**SETTINGS, memory=tmp_path).fit(X, y)
    settings = {**SETTINGS, **other}
    with_cache = DPNetClassifier(**settings, memory=tmp_path).fit(X, y)
    assert len(clusterings) == 4
    assert_same_model(with_cache, DPNetClassifier(**settings).fit(X, y))


def test_other_images_and_labels_share_nothing(tmp_path, clusterings):
    X, y, _ = two_maps(60)
    DPNetClassifier(**SETTINGS, memory=tmp_path).fit(X, y)
    changed = X.copy()
    changed["map1"][-1, 0, 0, 0] += 1
    swapped = y.copy()
    swapped[[0, 1]] = y[[1, 0]]
    DPNetClassifier(**SETTINGS, memory=tmp_path).fit(changed, y)
    DPNetClassifier(**SETTINGS, memory=tmp_path).fit(X, swapped)
    assert len(clusterings) == 6


@pytest.mark.parametrize("library", [np, scipy, sklearn, torch])
def test_versions_of_libraries_share_nothing(
    tmp_path, clusterings, monkeypatch, library
):
    X, y, _ = two_maps(60)
    settings = {**SETTINGS, "memory": tmp_path}
    first = DPNetClassifier(**settings).fit(X, y)
    with monkeypatch.context() as patch:
        patch.setattr(library, "__version__", "99.1")
        DPNetClassifier(**settings).fit(X, y)
        assert len(clusterings) == 4
    assert_same_model(DPNetClassifier(**settings).fit(X, y), first)
    assert len(clusterings) == 4


@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)])
def test_initial_states_without_a_seed_are_not_kept(tmp_path, clusterings, seed):
    X, y, _ = two_maps(60)
    settings = {**SETTINGS, "random_state": seed, "memory": tmp_path}
    for _ in range(2):
        DPNetClassifier(**settings).fit(X, y)
    assert len(clusterings) == 4
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("other", [{"C": 0.1}, {"beta": 30.0}])
def test_other_settings_of_the_calibration_share_none(tmp_path, calibrations, other):
    X, y, _ = two_maps(60)
    DPNetClassifier(**SETTINGS, memory=tmp_path).fit(X, y)
    settings = {**SETTINGS, **other}
    for _ in range(2):
        with_cache = DPNetClassifier(**settings, memory=tmp_path).fit(X, y)
    assert len(calibrations) == 2
    assert_same_model(with_cache, DPNetClassifier(**settings).fit(X, y))


def test_other_weights_of_images_share_no_calibration(tmp_path, calibrations):
    X, y, _ = two_maps(60)
    weights = np.linspace(0.5, 1.5, len(y))
    model = DPNetClassifier(**SETTINGS, memory=tmp_path).fit(X, y)
    model.fit(X, y, sample_weight=weights)
    assert len(calibrations) == 2
    plain = DPNetClassifier(**SETTINGS).fit(X, y, sample_weight=weights)
    assert_same_model(model, plain)


def test_a_search_clusters_once_for_each_fold(tmp_path, clusterings, calibrations):
    X, y, _ = two_maps(60)
    grid = {"orthogonality_weight": [0, 1], "specificity_weight": [0, 1]}
    search = GridSearchCV(DPNetClassifier(**SETTINGS, memory=tmp_path), grid, cv=3)
    search.fit(X, y)
    assert len(clusterings) == 2 * (3 + 1)  # three folds and the refit, two maps each
    assert len(calibrations) == 3 + 1
    plain = GridSearchCV(DPNetClassifier(**SETTINGS), grid, cv=3).fit(X, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_a_full_disk_does_not_end_the_fit(tmp_path, full_disk):
    X, y, _ = two_maps(60)
    plain = DPNetClassifier(**SETTINGS).fit(X, y)
    with pytest.warns(RuntimeWarning, match="cannot all be kept in"):
        with_cache = DPNetClassifier(**SETTINGS, memory=tmp_path).fit(X, y)
    assert_same_model(with_cache, plain)
    assert not list(tmp_path.rglob("*.safetensors"))
