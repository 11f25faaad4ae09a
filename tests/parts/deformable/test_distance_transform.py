"""Distance transforms, against scipy's and against loops over all displacements."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.testing import assert_allclose
from scipy.ndimage import distance_transform_edt

from skdpnet.parts.deformable.distance_transform import distance_transform


def test_a_map_of_marks_gives_the_squared_euclidean_distance_to_the_nearest():
    random = np.random.default_rng(0)
    marks = random.random((3, 2, 13, 17)) < 0.05
    assert marks.any(axis=(2, 3)).all()
    responses = torch.where(torch.from_numpy(marks), 0.0, -torch.inf).double()
    unit = torch.tensor([[0.0, 1.0, 0.0, 1.0]] * 2, dtype=torch.float64)
    found = distance_transform(responses, unit).numpy()
    for of_map, transformed in zip(
        marks.reshape(-1, 13, 17), found.reshape(-1, 13, 17), strict=True
    ):
        assert_allclose(
            transformed, -(distance_transform_edt(~of_map) ** 2), atol=1e-12
        )


def test_the_best_displacement_is_found_for_any_targets():
    random = np.random.default_rng(1)
    responses = random.normal(size=(2, 3, 5, 4))
    deformations = np.abs(random.normal(size=(3, 4)))
    deformations[:, ::2] = random.normal(size=(3, 2))
    rows = np.array([[-1, 3], [0, 7], [2, 2]])
    columns = np.array([[0, 1, 5], [-2, 3, 3], [1, 0, 2]])
    found = distance_transform(
        *map(torch.from_numpy, (responses, deformations, rows, columns))
    )
    expected = np.empty((2, 3, 2, 3))
    for i, p, t, u in itertools.product(*map(range, expected.shape)):
        dy, dx = (
            np.arange(5)[:, None] - rows[p, t],
            np.arange(4)[None] - columns[p, u],
        )
        a, b, c, d = deformations[p]
        costs = a * dy + b * dy**2 + c * dx + d * dx**2
        expected[i, p, t, u] = (responses[i, p] - costs).max()
    assert_allclose(found.numpy(), expected, atol=1e-12)


def test_free_displacements_give_the_maximum_and_forbidden_ones_the_map_itself():
    responses = torch.from_numpy(np.random.default_rng(2).normal(size=(2, 1, 6, 7)))
    free = distance_transform(responses, torch.zeros(1, 4, dtype=torch.float64))
    assert (free == responses.amax(dim=(2, 3), keepdim=True)).all()
    rigid = torch.tensor([[0, 1e9, 0, 1e9]], dtype=torch.float64)
    assert (distance_transform(responses, rigid) == responses).all()
