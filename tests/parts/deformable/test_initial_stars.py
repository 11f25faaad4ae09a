"""First roots and parts: clusters of images, and anchors where roots are strong."""

from __future__ import annotations

import numpy as np
import torch
from numpy.testing import assert_allclose

from skdpnet.parts.deformable.initial_stars import (
    first_roots,
    place_anchors,
    with_first_parts,
)
from skdpnet.parts.deformable.latent_svm import Placements
from skdpnet.parts.deformable.star import StarMaps
from skdpnet.parts.deformable.star_model import by_extent


def maps_of(coarse, fine=None):
    n, _, *sides = coarse.shape
    covered = torch.tensor([sides] * n)
    if fine is None:
        return StarMaps(torch.from_numpy(coarse), None, covered, None)
    fine_covered = torch.tensor([fine.shape[2:]] * n)
    return StarMaps(
        *(torch.from_numpy(coarse), torch.from_numpy(fine)),
        *(covered, fine_covered, (2.0, 2.0)),
    )


def test_anchors_cover_the_strongest_cells_and_not_twice_the_same():
    root = torch.zeros(2, 4, 4)
    root[:, 0, 3], root[:, 3, 1], root[:, 1, 0] = -5.0, 3.0, 1.0
    anchors = place_anchors(root, (2.0, 2.0), 3, 2)
    # A coarse cell (r, c) is the fine cells from (2r, 2c).
    assert anchors.tolist() == [[0, 6], [6, 2], [2, 0]]


def test_roots_are_the_means_of_clusters_in_the_middle_of_images():
    random = np.random.default_rng(0)
    coarse = random.normal(size=(40, 3, 6, 6)).astype(np.float32) / 10
    kind = np.arange(40) % 2
    coarse[kind == 0, 0, 2, 2] += 4
    coarse[kind == 1, 1, 3, 1] += 4
    of_class = np.arange(30)
    model, placements = first_roots(
        by_extent(maps_of(coarse), 4, 1),
        of_class,
        2,
        4,
        np.random.RandomState(0),
    )
    clusters = placements.components[of_class]
    first = clusters[0]
    assert (clusters == np.where(kind[:30] == 0, first, 1 - first)).all()
    for star in range(2):
        mean = coarse[of_class][clusters == star][:, :, 1:5, 1:5].mean(axis=0)
        expected = 0.1 * mean / np.linalg.norm(mean)
        assert_allclose(model.stars.roots[star], expected, atol=1e-5)


def test_a_class_of_equal_images_has_one_root_and_others_of_zeros():
    coarse = np.ones((5, 2, 3, 3), np.float32)
    model, placements = first_roots(
        by_extent(maps_of(coarse), 2, 1),
        np.arange(3),
        3,
        2,
        np.random.RandomState(0),
    )
    lengths = model.stars.roots.flatten(1).norm(dim=1)
    assert_allclose(lengths, [0.1, 0, 0], atol=1e-6)
    assert (placements.components == 0).all()


def test_first_parts_are_the_means_at_their_anchors():
    random = np.random.default_rng(1)
    coarse = random.normal(size=(10, 3, 5, 5)).astype(np.float32)
    fine = random.normal(size=(10, 4, 10, 10)).astype(np.float32)
    groups = by_extent(maps_of(coarse, fine), 3, 2)
    of_class = np.array([1, 4, 7])
    model, _ = first_roots(groups, of_class, 1, 3, np.random.RandomState(0))
    roots = random.integers(3, size=(10, 1, 2))
    placements = Placements(np.zeros(10, np.float32), np.zeros(10, np.int64), roots)
    found = with_first_parts(
        model.stars, groups, of_class, placements, 2, 2, 0.05
    ).stars
    for part, anchor in zip(found.parts[0], found.anchors[0].numpy(), strict=True):
        windows = []
        for image in of_class:
            row, column = 2 * roots[image, 0] + anchor
            windows.append(fine[image, :, row : row + 2, column : column + 2])
        mean = np.mean(windows, axis=0)
        assert_allclose(part, 0.1 * mean / np.linalg.norm(mean), atol=1e-6)
    assert_allclose(found.deformations[0], np.tile([0, 0.05, 0, 0.05], (2, 1)))
