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
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.responses import soft_maximum
from skdpnet.regions import RegionGrid
from skdpnet.training.dataset import MapDataset
from skdpnet.training.linear_fits import ClassifierPenalty
from skdpnet.training.running_fit import RunningLeastSquares

CPU = torch.device("cpu")
GRID = RegionGrid.from_scales(4, 5, (0.25, 0.5))
FITS = ClassifierFits(3, C=2.0, ridge=0.01, label_smoothing=0.0, penalty=None)
LABELS = np.arange(10) % 3


@pytest.fixture
def part_model():
    parts = np.random.default_rng(0).normal(size=(6, 7)).astype(np.float32)
    model = PartModel.from_arrays(
        [parts], [np.zeros(7, np.float32)], [GRID], 3, 20.0, 0
    )
    torch.manual_seed(0)
    torch.nn.init.normal_(model.classifier.weight)
    return model.eval()


@pytest.fixture
def maps():
    """Ten maps as `WhitenedMaps` describes them, with a mean of zero."""
    cells = np.random.default_rng(1).normal(size=(10, 20, 7)).astype(np.float32)
    lengths = GRID.norms(torch.from_numpy(cells)).numpy()
    return [[cells, lengths, lengths]]


@pytest.fixture
def dataset(maps):
    return MapDataset(maps, LABELS, np.linspace(0.5, 1.5, 10))


def test_maxima_are_those_of_the_responses(part_model, maps, monkeypatch):
    monkeypatch.setattr(fitting, "_IMAGES_AT_ONCE", 3)
    maxima = training_maxima(part_model, maps, CPU)
    with torch.no_grad():
        tensors = [[torch.from_numpy(array) for array in maps[0]]]
        expected = soft_maximum(part_model.responses(tensors)[0], 20.0)
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
    coef, _ = FITS.logistic(d, LABELS, w)
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
    coef, _ = FITS.running(sums, (coef, intercept), None)
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
    present = np.ones((3, 6), np.float32), np.zeros(3, np.float32)
    for coef, _ in (
        fits.logistic(d, LABELS, dataset.weights),
        fits.final(dataset, d, 1.0),
        fits.running(sums, present, 1.0),
    ):
        assert (coef[:, 0] == 0).all() and (coef[:, 1:] != 0).all()


def test_the_final_classifier_of_parts_that_never_vary_is_finite(dataset):
    coef, intercept = FITS.final(dataset, np.zeros((10, 6), np.float32), 3.0)
    assert (coef == 0).all()
    assert np.isfinite(intercept).all()


def test_the_calibrated_spread_does_not_depend_on_the_scale_of_the_svm(
    part_model, dataset, monkeypatch
):
    # A logit's spread is that of the probabilities, whatever the units of the scores.
    descriptors = training_descriptors(part_model, dataset, CPU)
    expected = FITS.calibrated_spread(part_model, dataset, descriptors, CPU)
    assert 0 < expected < np.inf
    left_out = descriptors[:, ::-1].copy()
    monkeypatch.setattr(fitting, "left_out_descriptors", lambda *args: left_out)
    other = FITS.calibrated_spread(part_model, dataset, descriptors, CPU)
    # Descriptors that say nothing on the classes make less certain logits.
    assert other < expected
