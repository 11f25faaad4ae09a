"""Maxima in the cells of a pyramid, against loops over regions and cells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skdpnet.encodings.pyramid import pyramid_cells
from skdpnet.parts import pyramid_maxima as module
from skdpnet.parts.pyramid_maxima import (
    cell_boxes,
    cell_names,
    distinct_cells,
    image_groups,
    pyramid_maxima,
    pyramid_responses,
    region_members,
)
from skdpnet.regions import RegionGrid

LEVELS = ((1, 1), (2, 2), (3, 1))


def members_by_loops(grid, levels, rows, columns):
    """Whether the centre of each region lies in each cell, in whole numbers."""
    out = []
    for top, left, bottom, right in grid.cells.tolist():
        row = []
        for n_rows, n_columns in levels:
            y = min((top + bottom) * n_rows // (2 * rows), n_rows - 1)
            x = min((left + right) * n_columns // (2 * columns), n_columns - 1)
            cells = itertools.product(range(n_rows), range(n_columns))
            row += [cell == (y, x) for cell in cells]
        out.append(row)
    return np.array(out)


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (12, 9), (3, 2)])
def test_centres_are_found_in_their_cells(size):
    grid = RegionGrid.from_scales(*size, (0.2, 0.5, 0.9))
    found = region_members(grid, cell_boxes(LEVELS), *size)
    assert_array_equal(found, members_by_loops(grid, LEVELS, *size))
    for level, first in zip(LEVELS, (0, 1, 5), strict=True):
        assert (found[:, first : first + np.prod(level)].sum(axis=1) == 1).all()


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (9, 12)])
def test_single_cells_of_a_map_are_shared_out_as_by_the_encodings(size):
    grid = RegionGrid(*size, ((1, 1),))
    found = region_members(grid, cell_boxes(LEVELS), *size)
    for of_cell, (rows, columns) in zip(
        found.T, pyramid_cells(LEVELS, *size), strict=True
    ):
        expected = np.zeros(size, bool)
        expected[rows, columns] = True
        assert_array_equal(of_cell.reshape(size), expected)


def test_cells_divide_the_image_not_its_canvas():
    grid = RegionGrid(4, 4, ((1, 1), (2, 2)))
    maps = np.zeros((3, 4, 4, 2), np.float32)
    maps[0], maps[1, :3, :], maps[2, :, :2] = 1, 1, 1
    boxes = cell_boxes(LEVELS)
    for given in (maps, torch.from_numpy(maps)):
        groups = image_groups(given, grid, boxes, may_have_canvas=True)
        found = {int(i): members for numbers, members in groups for i in numbers}
        for i, size in enumerate([(4, 4), (3, 4), (4, 2)]):
            assert_array_equal(found[i], members_by_loops(grid, LEVELS, *size))
    ((numbers, members),) = image_groups(maps, grid, boxes, may_have_canvas=False)
    assert numbers.tolist() == [0, 1, 2]
    assert_array_equal(members, members_by_loops(grid, LEVELS, 4, 4))


@pytest.mark.parametrize("budget", [1, 2**20])
def test_maxima_are_those_of_loops(budget, monkeypatch):
    monkeypatch.setattr(module, "_PIECE_BYTES_CPU", budget)
    random = np.random.default_rng(0)
    grid = RegionGrid(4, 4, ((1, 1), (3, 3)))
    maps = np.ones((5, 4, 4, 1), np.float32)
    maps[3:, 2:] = 0
    regions = random.normal(size=(5, grid.n_regions, 6)).astype(np.float32)
    regions /= np.linalg.norm(regions, axis=2, keepdims=True)
    parts = 2 * random.normal(size=(3, 6)).astype(np.float32)
    levels = ((2, 2), (1, 1))
    expected = np.empty((5, 3, 5))
    for i in range(5):
        members = members_by_loops(grid, levels, 4 if i < 3 else 2, 4)
        for p, c in itertools.product(range(3), range(5)):
            expected[i, p, c] = (regions[i, members[:, c]] @ parts[p]).max()
    groups = image_groups(maps, grid, cell_boxes(levels), may_have_canvas=True)
    tensors = torch.from_numpy(regions), torch.from_numpy(parts)
    found = pyramid_maxima(*tensors, groups)
    assert_allclose(found.numpy(), expected.reshape(5, -1), rtol=1e-5)
    of_regions = pyramid_responses(*tensors, groups)
    assert of_regions.shape == (5, grid.n_regions, 15)
    assert_allclose(of_regions.amax(dim=1).numpy(), found.numpy(), rtol=1e-5)


def test_a_cell_without_regions_gives_the_lowest_response():
    grid = RegionGrid(4, 4, ((4, 4),))
    groups = [(np.arange(2), region_members(grid, cell_boxes([(2, 2)]), 4, 4))]
    regions = torch.tensor([[[0.6, 0.8]], [[1.0, 0.0]]])
    parts = torch.tensor([[3.0, 4.0]])
    expected = [[-5, -5, -5, 5], [-5, -5, -5, 3]]
    assert_allclose(pyramid_maxima(regions, parts, groups).numpy(), expected)
    responses = pyramid_responses(regions, parts, groups)
    assert_allclose(responses[:, 0].numpy(), expected)


def test_names_of_cells_are_distinct():
    levels = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 3), (4, 2)]
    boxes = cell_boxes(levels)
    names = cell_names(boxes)
    assert len(set(names)) == len(boxes) == sum(r * c for r, c in levels)
    assert names[1:9] == [
        *("left", "right", "upper", "lower"),
        *("upper left", "upper right", "lower left", "lower right"),
    ]
    assert names[-1] == "row 4 of 4 right"
    assert_array_equal(distinct_cells(np.tile(boxes, (3, 1))), boxes)
    assert_array_equal(distinct_cells(boxes), boxes)


def test_empty_regions_belong_to_all_cells_that_have_regions():
    # A region in the upper half, an empty one in the lower, and cells of rows 1 to 3.
    grid = RegionGrid(2, 1, ((1, 1),))
    members = region_members(grid, cell_boxes([(1, 1), (2, 1), (3, 1)]), 2, 1)
    assert members.T.tolist() == [
        *([True, True], [True, False], [False, True]),
        *([True, False], [False, False], [False, True]),
    ]
    regions, parts = torch.tensor([[[-0.5], [0.0]]]), torch.tensor([[1.0]])
    groups = [(np.arange(1), members)]
    expected = [0, 0, 0, 0, -1, 0]
    assert pyramid_maxima(regions, parts, groups)[0].tolist() == expected
    responses = pyramid_responses(regions, parts, groups)
    assert responses.amax(dim=1)[0].tolist() == expected
    assert responses[0, 1].tolist() == expected
