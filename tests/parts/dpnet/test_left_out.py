"""Left-out descriptors against centres that NumPy computes without each image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdpnet.parts.dpnet import left_out
from skdpnet.parts.dpnet.left_out import left_out_descriptors
from skdpnet.parts.dpnet.model import PartModel
from skdpnet.regions import RegionGrid

CPU = torch.device("cpu")
GRID = RegionGrid.from_scales(3, 3, (0.34, 0.67))
K, BETA, C = 6, 15.0, 2


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def region_vectors(cells):
    """Unit descriptors (n, R, K) of the regions of maps (n, 9, K) without a mean."""
    maps = cells.reshape(len(cells), 3, 3, -1)
    means = [
        maps[:, top:bottom, left:right].mean(axis=(1, 2))
        for top, left, bottom, right in GRID.cells
    ]
    return unit(np.stack(means, axis=1))


def regions_of(cells):
    return region_vectors(cells.astype(np.float64)).astype(np.float32)


def clusters(regions, n_parts, seed):
    """Centres of spherical k-means that has converged, and clusters of all regions."""
    flat = regions.reshape(-1, regions.shape[-1])
    random = np.random.default_rng(seed)
    u = flat[random.choice(len(flat), n_parts, replace=False)]
    for _ in range(200):
        member = (flat @ u.T).argmax(axis=1)
        u = unit(np.stack([flat[member == p].sum(axis=0) for p in range(n_parts)]))
    np.testing.assert_array_equal(member, (flat @ u.T).argmax(axis=1))
    return u, member.reshape(regions.shape[:2])


def maximum(responses, beta):
    if beta is None:
        return responses.max(axis=0)
    return np.log(np.exp(beta * responses).mean(axis=0)) / beta


def model_of(parts, beta=BETA):
    arrays = [p.astype(np.float32) for p in parts]
    model = PartModel.from_arrays(arrays, C, beta, 0.0)
    n_parts = sum(map(len, parts))
    random = np.random.default_rng(9)
    shift, scale = random.uniform(0.2, 0.8, n_parts), random.uniform(0.5, 2, n_parts)
    model.set_standardisation(
        torch.tensor(shift, dtype=torch.float32),
        torch.tensor(scale, dtype=torch.float32),
    )
    return model.eval(), shift, scale


def naive_descriptors(model, maps):
    with torch.no_grad():
        regions = [torch.from_numpy(array) for array in maps]
        return model.descriptor(model.maxima(regions)).numpy()


def made_map(seed, labels, n_parts, dimensions=K):
    """Cells of images, their regions, and parts and clusters of each class."""
    random = np.random.default_rng(seed)
    cells = random.normal(size=(len(labels), 9, dimensions)) + 0.5
    cells = cells.astype(np.float32)
    regions = region_vectors(cells.astype(np.float64))
    each = [clusters(regions[labels == c], n_parts, seed + c) for c in range(C)]
    return cells, regions, each


def expected_maxima(regions, labels, each, beta):
    """Maxima of each image to the parts of its class, without its regions in them."""
    n_parts = len(each[0][0])
    out = np.empty((len(labels), n_parts))
    for c, (u, member) in enumerate(each):
        images = np.flatnonzero(labels == c)
        for image in images:
            others = images != image
            for p in range(n_parts):
                of_others = regions[images[others]][member[others] == p]
                centre = unit(of_others.sum(axis=0)) if len(of_others) else 0 * u[p]
                out[image, p] = maximum(regions[image] @ centre, beta)
    return out


@pytest.mark.parametrize("beta", [BETA, None])
@pytest.mark.parametrize("at_once", [2, 16])
def test_centres_are_those_of_the_other_images(beta, at_once, monkeypatch):
    monkeypatch.setattr(left_out, "_IMAGES_AT_ONCE", at_once)
    labels = np.array([0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1])
    cells, regions, each = made_map(0, labels, 3)
    parts = np.concatenate([u for u, _ in each])
    model, shift, scale = model_of([parts], beta)
    maps = [regions_of(cells)]
    naive = naive_descriptors(model, maps)
    before = naive.copy()
    found = left_out_descriptors(model, maps, labels, naive, CPU)
    np.testing.assert_array_equal(naive, before)
    maxima = expected_maxima(regions, labels, each, beta)
    for c in range(C):
        own = slice(3 * c, 3 * c + 3)
        images = labels == c
        expected = (maxima[images] - shift[own]) * scale[own]
        np.testing.assert_allclose(found[images, own], expected, atol=1e-4)
        np.testing.assert_array_equal(found[~images, own], naive[~images, own])
    # Without its own regions an image has smaller responses to most of its parts.
    own = np.repeat(np.eye(C, dtype=bool)[labels], 3, axis=1)
    assert (found < naive)[own].mean() > 0.75


def test_each_map_has_its_own_clusters():
    labels = np.arange(10) % C
    made = [made_map(1, labels, 2), made_map(2, labels, 3, dimensions=8)]
    parts = [np.concatenate([u for u, _ in each]) for _, _, each in made]
    model, shift, scale = model_of(parts)
    maps = [regions_of(cells) for cells, _, _ in made]
    naive = naive_descriptors(model, maps)
    found = left_out_descriptors(model, maps, labels, naive, CPU)
    first = 0
    expected = naive.copy()
    for (_, regions, each), n_parts in zip(made, (2, 3), strict=True):
        maxima = expected_maxima(regions, labels, each, BETA)
        for c in range(C):
            own = slice(first + c * n_parts, first + (c + 1) * n_parts)
            images = np.flatnonzero(labels == c)
            expected[images, own] = (maxima[images] - shift[own]) * scale[own]
        first += C * n_parts
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_cluster_of_a_single_image_responds_with_0_to_it():
    # Images with a direction of their own on all cells.
    cells = np.zeros((4, 9, K), np.float32)
    labels = np.array([0, 0, 1, 1])
    cells[np.arange(4), :, np.arange(4)] = 1
    parts = np.eye(K)[:4]
    model, shift, scale = model_of([parts])
    maps = [regions_of(cells)]
    naive = naive_descriptors(model, maps)
    found = left_out_descriptors(model, maps, labels, naive, CPU)
    own = np.arange(4)
    np.testing.assert_allclose(naive[own, own], (1 - shift) * scale, atol=1e-5)
    np.testing.assert_allclose(found[own, own], -shift * scale, atol=1e-5)
    # The part of the other image of the class stays what it was.
    partner = own ^ 1
    np.testing.assert_allclose(found[own, partner], naive[own, partner], atol=1e-5)


def test_a_part_without_regions_stays_as_it_is():
    labels = np.zeros(6, int)
    random = np.random.default_rng(3)
    cells = random.uniform(size=(6, 9, K)).astype(np.float32)
    (centre,), _ = clusters(region_vectors(cells.astype(np.float64)), 1, 0)
    # All cosines with the centre are positive. The last two parts are of a class
    # without images.
    parts = np.stack([centre, -centre, *np.eye(K)[:2]])
    model, _, _ = model_of([parts])
    maps = [regions_of(cells)]
    naive = naive_descriptors(model, maps)
    found = left_out_descriptors(model, maps, labels, naive, CPU)
    np.testing.assert_allclose(found[:, 1], naive[:, 1], atol=1e-5)
    np.testing.assert_array_equal(found[:, 2:], naive[:, 2:])
    assert np.isfinite(found).all()


def test_a_map_without_parts_of_its_own_is_passed_over():
    labels = np.arange(8) % C
    cells, _, each = made_map(4, labels, 2)
    parts = [np.zeros((0, K)), np.concatenate([u for u, _ in each])]
    model, _, _ = model_of(parts)
    alone, shift, scale = model_of(parts[1:])
    naive = naive_descriptors(alone, [regions_of(cells)])
    found = left_out_descriptors(model, [regions_of(cells)] * 2, labels, naive, CPU)
    expected = left_out_descriptors(alone, [regions_of(cells)], labels, naive, CPU)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_left_out_descriptors_are_like_those_of_new_images(seed):
    random = np.random.default_rng(seed)
    labels = np.arange(40) % C
    directions = unit(random.normal(size=(C, 30)))

    def draw():
        cells = random.normal(size=(40, 9, 30)) + directions[labels][:, None]
        return cells.astype(np.float32)

    cells, new_cells = draw(), draw()
    regions = region_vectors(cells.astype(np.float64))
    each = [clusters(regions[labels == c], 4, seed) for c in range(C)]
    model, _, _ = model_of([np.concatenate([u for u, _ in each])])
    naive = naive_descriptors(model, [regions_of(cells)])
    new = naive_descriptors(model, [regions_of(new_cells)])
    found = left_out_descriptors(model, [regions_of(cells)], labels, naive, CPU)
    own = np.repeat(np.eye(C, dtype=bool)[labels], 4, axis=1)
    # Means over the images of a class, of responses to the parts of the class.
    n_naive, n_new, n_found = (d[own].mean() for d in (naive, new, found))
    assert abs(n_found - n_new) < 0.3 * abs(n_naive - n_new)
