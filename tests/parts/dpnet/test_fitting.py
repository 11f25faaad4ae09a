"""Steps of a fit: maxima in pieces, and the descriptor's scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet.parts.dpnet import fitting
from skdpnet.parts.dpnet.fitting import (
    fit_classifier,
    standardise,
    training_maxima,
)
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.responses import soft_maximum
from skdpnet.regions import RegionGrid
from skdpnet.training.dataset import MapDataset

CPU = torch.device("cpu")
GRID = RegionGrid.from_scales(4, 5, (0.25, 0.5))


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


def test_maxima_are_those_of_the_responses(part_model, maps, monkeypatch):
    monkeypatch.setattr(fitting, "_IMAGES_AT_ONCE", 3)
    maxima = training_maxima(part_model, maps, CPU)
    with torch.no_grad():
        tensors = [[torch.from_numpy(array) for array in maps[0]]]
        expected = soft_maximum(part_model.responses(tensors)[0], 20.0)
    np.testing.assert_allclose(maxima, expected.numpy(), atol=1e-5)


def test_descriptors_are_standardised_and_logits_stay(part_model, maps):
    maxima = training_maxima(part_model, maps, CPU)

    def logits():
        with torch.no_grad():
            descriptors = part_model.descriptor(torch.from_numpy(maxima))
            return part_model.classifier(descriptors).numpy()

    before = logits()
    descriptors = standardise(part_model, maxima)
    np.testing.assert_allclose(descriptors.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(descriptors.var(0), 1 / 6, rtol=1e-4)
    np.testing.assert_allclose(logits(), before, atol=1e-4)


def test_the_classifier_is_what_the_fit_returns(part_model, maps):
    labels, weights = np.arange(10) % 3, np.linspace(0.5, 1.5, 10)
    coef = np.arange(18, dtype=np.float32).reshape(3, 6)
    intercept = np.arange(3, dtype=np.float32)
    arguments = []

    def fit(*args):
        arguments.extend(args)
        return coef, intercept

    fit_classifier(part_model, MapDataset(maps, labels, weights), CPU, fit)
    descriptors, passed_labels, passed_weights, n_classes = arguments
    np.testing.assert_allclose(descriptors.var(0), 1 / 6, rtol=1e-4)
    np.testing.assert_array_equal(passed_labels, labels)
    np.testing.assert_allclose(passed_weights, weights, rtol=1e-6)
    assert n_classes == 3
    np.testing.assert_array_equal(part_model.classifier.weight.detach(), coef)
    np.testing.assert_array_equal(part_model.classifier.bias.detach(), intercept)
