"""The part model: a change of the descriptor's scale keeps the logits."""

import numpy as np
import pytest
import torch

from skdpnet.parts.dpnet.model import MapParts, PartModel
from skdpnet.parts.responses import soft_maximum


@pytest.fixture
def inputs():
    """The region descriptors of three images."""
    regions = torch.tensor(np.random.default_rng(0).normal(size=(3, 30, 6)))
    return [torch.nn.functional.normalize(regions, dim=2)]


@pytest.fixture
def parts():
    return np.random.default_rng(1).normal(size=(7, 6))


def _model(parts):
    map_parts = MapParts(torch.tensor(parts))
    model = PartModel([map_parts], 3, 20.0, dropout=0.5)
    torch.nn.init.normal_(model.classifier.weight)
    return model.double().eval()


def _standardisation(b):
    """The shift and scale of `skdpnet.parts.standardisation`, in float64."""
    deviation = b.std(0, correction=0)
    scale = torch.where(deviation > 1e-6, 1 / (deviation * 7**0.5), 0)
    return b.mean(0), scale


def test_standardising_keeps_the_logits_and_gives_unit_descriptors(inputs, parts):
    model = _model(parts)
    before = model(inputs).logits
    b = soft_maximum(model.responses(inputs)[0], 20.0)
    model.set_standardisation(*_standardisation(b))
    torch.testing.assert_close(model(inputs).logits, before)
    descriptor = model.descriptor(model.maxima(inputs)).detach().numpy()
    np.testing.assert_allclose(descriptor.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(descriptor.var(0), 1 / 7)


def test_a_part_that_never_varies_becomes_0_and_the_logits_stay(inputs, parts):
    parts[2] = 0
    model = _model(parts)
    before = model(inputs).logits
    b = soft_maximum(model.responses(inputs)[0], 20.0)
    model.set_standardisation(*_standardisation(b))
    torch.testing.assert_close(model(inputs).logits, before)
    assert (model.descriptor(model.maxima(inputs))[:, 2] == 0).all()
