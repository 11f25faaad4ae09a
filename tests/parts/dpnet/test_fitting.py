"""Steps of a fit: maxima in pieces, the descriptor's scale, and the fits of V."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from skdpnet.parts.dpnet import fitting
from skdpnet.parts.dpnet.fitting import (
    ClassifierFits,
    training_descriptors,
    training_maxima,
)
from skdpnet.parts.dpnet.left_out import left_out_descriptors
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.responses import soft_maximum
from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import Whitening
from skdpnet.training.calibration import logit_factor
from skdpnet.training.dataset import MapDataset
from skdpnet.training.linear_fits import ClassifierPenalty, fit_svm
from skdpnet.training.running_fit import RunningLeastSquares

CPU = torch.device("cpu")
GRID = RegionGrid.from_scales(4, 5, (0.25, 0.5))
FITS = ClassifierFits(3, C=2.0, ridge=0.01, label_smoothing=0.0, penalty=None)
LABELS = np.arange(10) % 3


@pytest.fixture
def part_model():
    parts = np.random.default_rng(0).normal(size=(6, 7)).astype(np.float32)
    model = PartModel.from_arrays([parts], 3, 20.0, 0)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.classifier.weight)
    return model.eval()


@pytest.fixture
def maps():
    """The region descriptors of ten images."""
    regions = np.random.default_rng(1).normal(size=(10, 30, 7))
    regions /= np.linalg.norm(regions, axis=2, keepdims=True)
    return [regions.astype(np.float32)]


@pytest.fixture
def dataset(maps):
    return MapDataset(maps, LABELS, np.linspace(0.5, 1.5, 10))


def test_maxima_are_those_of_the_responses(part_model, maps, monkeypatch):
    monkeypatch.setattr(fitting, "_IMAGES_AT_ONCE", 3)
    maxima = training_maxima(part_model, maps, CPU)
    with torch.no_grad():
        responses = part_model.responses([torch.from_numpy(maps[0])])[0]
        expected = soft_maximum(responses, 20.0)
    np.testing.assert_allclose(maxima, expected.numpy(), atol=1e-5)


def test_descriptors_are_standardised_and_logits_stay(part_model, dataset):
    maxima = training_maxima(part_model, dataset.maps, CPU)

    def logits():
        with torch.no_grad():
            descriptors = part_model.descriptor(torch.from_numpy(maxima))
            return part_model.classifier(descriptors).numpy()

    before = logits()
    descriptors = training_descriptors(part_model, dataset, CPU)
    np.testing.assert_allclose(descriptors.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(descriptors.var(0), 1 / 6, rtol=1e-4)
    np.testing.assert_allclose(logits(), before, atol=1e-4)


def test_the_fits_have_the_settings_of_scikit_learn_s_estimators(dataset):
    d = np.random.default_rng(2).normal(size=(10, 6)).astype(np.float32)
    w = dataset.weights
    coef, _ = FITS.in_training(d, LABELS, w)
    model = LogisticRegression(C=0.5 / (0.01 * 10), tol=1e-10, max_iter=5000)
    np.testing.assert_allclose(coef, model.fit(d, LABELS, w).coef_, atol=2e-3)

    # The final classifier is an SVM of the wanted spread.
    coef, intercept = FITS.final(dataset, d, 3.0)
    scores = d @ coef.T + intercept
    assert (scores - scores.mean(1, keepdims=True)).std() == pytest.approx(3, rel=1e-5)
    svm = LinearSVC(C=2.0, dual=False, intercept_scaling=1e3, tol=1e-10, max_iter=10**5)
    expected = svm.fit(d, LABELS, w).coef_
    factor = np.linalg.norm(coef) / np.linalg.norm(expected)
    np.testing.assert_allclose(coef / factor, expected, atol=2e-3)

    # So is that of `partial_fit`, by least squares.
    sums = RunningLeastSquares.empty(3, 6)
    sums.add(d, LABELS, w)
    coef, _ = FITS.running(sums, (coef, intercept))
    sides = 2 * np.eye(3)[LABELS] - 1
    expected = Ridge(alpha=0.5 / 2.0).fit(d, sides, w).coef_
    factor = np.linalg.norm(coef) / np.linalg.norm(expected)
    np.testing.assert_allclose(coef / factor, expected, atol=1e-5)


def test_the_penalty_is_part_of_all_fits(dataset):
    d = np.random.default_rng(2).normal(size=(10, 6)).astype(np.float32)
    penalty = ClassifierPenalty(lambda v: 100 * v[:, 0].abs().sum(), sparse=True)
    fits = ClassifierFits(3, C=2.0, ridge=0.01, label_smoothing=0.0, penalty=penalty)
    sums = RunningLeastSquares.empty(3, 6)
    sums.add(d, LABELS, dataset.weights)
    present = np.eye(3, 6, dtype=np.float32), np.zeros(3, np.float32)
    for coef, _ in (
        fits.in_training(d, LABELS, dataset.weights),
        fits.final(dataset, d, 1.0),
        fits.running(sums, present),
    ):
        assert (coef[:, 0] == 0).all() and (coef[:, 1:] != 0).all()


def test_the_final_classifier_of_parts_that_never_vary_is_finite(dataset):
    coef, intercept = FITS.final(dataset, np.zeros((10, 6), np.float32), 3.0)
    assert (coef == 0).all()
    assert np.isfinite(intercept).all()


def test_descriptors_that_say_nothing_of_the_classes_make_uncertain_logits(
    part_model, dataset, monkeypatch
):
    descriptors = training_descriptors(part_model, dataset, CPU)
    # As if the images said of themselves what they say as training images.
    monkeypatch.setattr(fitting, "left_out_descriptors", lambda *args: descriptors)
    known = FITS.calibrated_spread(part_model, dataset, descriptors, CPU)
    coef, intercept = FITS.first_running(part_model, dataset, descriptors, CPU)
    running = _spread(descriptors @ coef.T + intercept, dataset.weights)
    others = descriptors[np.random.default_rng(3).permutation(10)]
    monkeypatch.setattr(fitting, "left_out_descriptors", lambda *args: others)
    assert FITS.calibrated_spread(part_model, dataset, descriptors, CPU) < known
    coef, intercept = FITS.first_running(part_model, dataset, descriptors, CPU)
    assert _spread(descriptors @ coef.T + intercept, dataset.weights) < running


def _spread(scores, weights):
    centred = scores - scores.mean(axis=1, keepdims=True)
    return np.sqrt(np.average((centred**2).mean(axis=1), weights=weights))


def test_the_spread_is_that_of_the_best_factor_of_scores_of_new_images(part_model):
    n = 60
    labels = np.arange(n) % 3
    cells = np.random.default_rng(4).normal(size=(n, 4, 5, 7)).astype(np.float32)
    cells += 0.3 * np.eye(3, 7, dtype=np.float32)[labels][:, None, None]
    plain = Whitening(np.zeros(7, np.float32), np.eye(7, dtype=np.float32))
    regions = plain(cells, GRID)
    dataset = MapDataset([regions], labels, np.linspace(0.5, 1.5, n))
    w = dataset.weights
    descriptors = training_descriptors(part_model, dataset, CPU)
    left_out = left_out_descriptors(part_model, dataset.maps, labels, descriptors, CPU)
    ridge = 0.5 / (2.0 * n)
    rows = []
    for i in range(n):
        without = np.where(np.arange(n) == i, 0, w)
        coef, intercept = fit_svm(descriptors, labels, without, 3, ridge)
        rows.append(left_out[i] @ coef.T + intercept)
    coef, intercept = fit_svm(descriptors, labels, w, 3, ridge)
    scores = descriptors @ coef.T + intercept
    found = FITS.calibrated_spread(part_model, dataset, descriptors, CPU)
    # The scores without each image are approximations.
    expected = logit_factor(np.array(rows), labels, w) * _spread(scores, np.ones(n))
    assert found == pytest.approx(expected, rel=0.1)
    # They are of use: the scores of the training images would give other logits.
    naive = logit_factor(scores, labels, w) * _spread(scores, np.ones(n))
    assert naive > 1.3 * expected
