"""The part model against the descriptor spelt out region by region."""

import numpy as np
import pytest
import torch

from skdpnet.parts import MapParts, PartModel, part_responses, soft_maximum
from skdpnet.regions import RegionGrid

NO_MEAN = np.zeros(6)
GRID = RegionGrid.from_scales(4, 5, (0.25, 0.5, 1.0))


@pytest.fixture
def maps():
    maps = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    maps[1, :2, :2] = 0  # some regions of norm zero, as ReLU maps have
    return maps


@pytest.fixture
def parts():
    parts = np.random.default_rng(1).normal(size=(7, 6))
    return parts / np.linalg.norm(parts, axis=1, keepdims=True)


def _cosines(maps, parts, mean):
    """S as the definition has it: pool, normalise, centre, normalise, project."""
    out = np.zeros((len(maps), GRID.n_regions, len(parts)))
    for n, one in enumerate(maps):
        for r, (top, left, bottom, right) in enumerate(GRID.cells):
            x = one[top:bottom, left:right].mean(axis=(0, 1))
            x = x / max(np.linalg.norm(x), 1e-300) - mean
            out[n, r] = parts @ (x / max(np.linalg.norm(x), 1e-300))
    return out


def _inputs(maps, mean=NO_MEAN):
    """Cells, lengths and norms as `WhitenedMaps` defines them, by loops."""
    lengths = np.zeros((len(maps), GRID.n_regions))
    norms = np.zeros_like(lengths)
    for n, one in enumerate(maps):
        for r, (top, left, bottom, right) in enumerate(GRID.cells):
            x = one[top:bottom, left:right].mean(axis=(0, 1))
            lengths[n, r] = np.linalg.norm(x)
            norms[n, r] = np.linalg.norm(x - lengths[n, r] * mean)
    cells = torch.tensor(maps).flatten(1, 2)
    return cells, torch.tensor(lengths), torch.tensor(norms)


def _responses(maps, parts, mean=NO_MEAN):
    offset, u = torch.tensor(mean), torch.tensor(parts)
    return part_responses(*_inputs(maps, mean), offset, u, GRID)


def test_projection_before_pooling_gives_the_cosines(maps, parts):
    got = _responses(maps, parts).numpy()
    np.testing.assert_allclose(got, _cosines(maps, parts, 0), atol=1e-12)
    assert (got[1] == 0).any()


def test_the_mean_is_taken_off_the_normalised_regions(maps, parts):
    maps = maps + 5
    mean = np.full(6, 0.4)
    got = _responses(maps, parts, mean).numpy()
    np.testing.assert_allclose(got, _cosines(maps, parts, mean), atol=1e-12)


def test_a_region_equal_to_the_mean_responds_with_zero(parts):
    mean = np.random.default_rng(3).normal(size=6).astype(np.float32)
    mean /= np.linalg.norm(mean)
    maps = np.tile(mean * np.float32(7), (1, 4, 5, 1))
    cells, lengths, norms = (x.float() for x in _inputs(maps, mean))
    u = torch.tensor(parts).float()
    s = part_responses(cells, lengths, norms, torch.tensor(mean), u, GRID)
    assert (s.abs() <= 1).all()


def test_regions_of_norm_zero_have_finite_gradients(maps, parts):
    u = torch.tensor(parts, requires_grad=True)
    inputs = _inputs(np.zeros((1, 4, 5, 6)))
    s = part_responses(*inputs, torch.zeros(6).double(), u, GRID)
    assert (s == 0).all()
    soft_maximum(s, 20.0).sum().backward()
    assert torch.isfinite(u.grad).all()


def test_hard_maximum_is_the_maximum(maps, parts):
    s = _responses(maps, parts)
    np.testing.assert_array_equal(soft_maximum(s, None), s.numpy().max(axis=1))


@pytest.mark.parametrize("beta", [0.5, 10.0, 1000.0])
def test_soft_maximum_is_the_log_mean_of_exponentials(maps, parts, beta):
    s = _responses(maps, parts)
    exact = s.numpy().astype(np.longdouble)
    expected = np.log(np.exp(beta * exact).mean(axis=1)) / beta
    np.testing.assert_allclose(soft_maximum(s, beta), expected.astype(float))


def test_soft_maximum_goes_from_the_mean_to_the_maximum(maps, parts):
    s = _responses(maps, parts)
    np.testing.assert_allclose(soft_maximum(s, 1e-6), s.mean(dim=1), atol=1e-6)
    np.testing.assert_allclose(soft_maximum(s, 1e6), s.amax(dim=1), atol=1e-5)


def _model(parts):
    one = MapParts(torch.tensor(parts), GRID, torch.zeros(6))
    model = PartModel([one], 3, 20.0, dropout=0.5)
    torch.nn.init.normal_(model.classifier.weight)
    return model.double().eval()


def test_standardising_leaves_the_logits_and_gives_unit_descriptors(maps, parts):
    model, inputs = _model(parts), [_inputs(maps)]
    before = model(inputs).logits
    b = soft_maximum(model.responses(inputs)[0], 20.0)
    model.standardise(b.mean(0), b.std(0, correction=0))
    torch.testing.assert_close(model(inputs).logits, before)
    descriptor = model.descriptor(model.responses(inputs)).detach().numpy()
    np.testing.assert_allclose(descriptor.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(descriptor.var(0), 1 / 7)


def test_a_part_that_never_varies_is_switched_off_and_its_logit_kept(maps, parts):
    parts[2] = 0
    model, inputs = _model(parts), [_inputs(maps)]
    before = model(inputs).logits
    b = soft_maximum(model.responses(inputs)[0], 20.0)
    model.standardise(b.mean(0), b.std(0, correction=0))
    after = model(inputs)
    torch.testing.assert_close(after.logits, before)
    assert (model.descriptor(after.responses)[:, 2] == 0).all()
