"""The add-on layer: its gradient, and its place in the whitening."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skdpnet import ProtoPNetClassifier
from skdpnet.prototypes import model as model_module
from skdpnet.prototypes.add_on import apply_add_on, fold_add_on, initial_add_on
from skdpnet.prototypes.model import PrototypeModel
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import fit_whitening
from tests.prototypes.planted import planted_maps

CPU = torch.device("cpu")


def unit(shape, seed):
    x = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_it_starts_as_the_first_dimensions():
    regions = [unit((2, 3, 6), 0), unit((2, 3, 3), 1)]
    layers = initial_add_on(regions, 4)
    first, second = apply_add_on(layers, regions, CPU)
    expected = regions[0][..., :4]
    expected = expected / np.linalg.norm(expected, axis=2, keepdims=True)
    assert_allclose(first, expected, atol=1e-6)
    assert_allclose(second, regions[1], atol=1e-6)
    assert initial_add_on(regions, None) is None


def test_a_whitening_with_the_layer_describes_regions_as_both_in_turn():
    X, *_ = planted_maps()
    grid = RegionGrid(5, 5, ((1, 1), (2, 2)))
    whitening = fit_whitening(X, grid, 8, np.random.RandomState(0))
    layer = unit((4, 8), 1)
    (in_turn,) = apply_add_on([layer], [whitening(X, grid)], CPU)
    assert_allclose(fold_add_on(whitening, layer)(X, grid), in_turn, atol=1e-5)


@pytest.mark.parametrize("piece_bytes", [1, 2**26])
def test_gradients_are_those_of_the_smallest_distances(piece_bytes, monkeypatch):
    monkeypatch.setattr(model_module, "_PIECE_BYTES", piece_bytes)
    regions, prototypes, layers = unit((5, 7, 6), 0), unit((3, 4), 1), unit((4, 6), 2)
    weights = torch.from_numpy(unit((5, 3), 3))
    model = PrototypeModel([prototypes], [layers])
    (model([torch.from_numpy(regions)]) * weights).sum().backward()

    p = torch.from_numpy(prototypes).double().requires_grad_()
    A = torch.from_numpy(layers).double().requires_grad_()
    z = torch.from_numpy(regions).double() @ A.T
    z, q = z / z.norm(dim=2, keepdim=True), p / p.norm(dim=1, keepdim=True)
    distances = (z[:, :, None] - q).square().sum(dim=3).amin(dim=1)
    (distances * weights).sum().backward()
    assert_allclose(model.prototypes[0].grad.numpy(), p.grad.numpy(), atol=1e-5)
    assert_allclose(model.layers[0].grad.numpy(), A.grad.numpy(), atol=1e-5)


def test_without_a_layer_distances_are_the_same_as_with_the_identity():
    maps = [torch.from_numpy(unit((5, 7, 6), 0))]
    prototypes, identity = [unit((3, 6), 1)], [np.eye(6, dtype=np.float32)]
    plain = PrototypeModel(prototypes)(maps)
    layered = PrototypeModel(prototypes, identity)(maps)
    assert_allclose(plain.detach().numpy(), layered.detach().numpy(), atol=1e-6)
    assert PrototypeModel(prototypes).layer_arrays() is None


def test_a_learned_layer_separates_classes_that_differ_in_small_dimensions():
    """Classes differ where the variance is small; large dimensions are noise."""
    random = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = random.standard_normal((120, 1, 12)).astype(np.float32) * 3
    X[:, :, 9:] *= 0.1
    X[np.arange(120), 0, 9 + y] += 1.5
    settings = {
        "n_components": None,
        "n_prototypes_per_class": 3,
        "max_epochs": 40,
        "lr": 0.01,
        "random_state": 0,
    }
    train, test = slice(60), slice(60, None)
    scores = [
        ProtoPNetClassifier("precomputed", add_on_size=size, **settings)
        .fit(X[train], y[train])
        .score(X[test], y[test])
        for size in (12, None)
    ]
    assert scores[0] > scores[1] + 0.1


def test_prototypes_are_regions_as_the_model_describes_them():
    X, y, _ = planted_maps()
    model = ProtoPNetClassifier(
        "precomputed",
        region_scales=[0.2],
        n_components=10,
        add_on_size=6,
        n_prototypes_per_class=2,
        random_state=0,
    ).fit(X, y)
    assert model.prototypes_.shape == (6, 6)
    (whitening,), (grid,) = model.whitenings_, model.grids_
    sources = model.prototype_sources_
    regions = whitening(X, grid)[sources["image"], sources["region"]]
    assert_allclose(model.prototypes_, regions, atol=1e-5)
    assert_array_equal(y[sources["image"]], model.classes_[model.part_classes_])
