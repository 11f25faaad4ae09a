"""Which map has the roots, and how roots and parts are numbered."""

from __future__ import annotations

import pytest

from skdpnet.parts.deformable.roles import Roles, part_layout, roles_of
from skdpnet.regions import RegionGrid


def grids(*shapes):
    return [RegionGrid(*shape, ((1, 1),)) for shape in shapes]


def test_roots_are_on_the_map_of_fewer_cells_and_of_equal_ones_on_the_last():
    assert roles_of(grids((8, 8), (4, 4))) == Roles(1, 0)
    assert roles_of(grids((4, 4), (8, 8))) == Roles(0, 1)
    assert roles_of(grids((4, 4), (4, 4))) == Roles(1, 0)
    assert roles_of(grids((4, 4))) == Roles(0, None)


def test_maps_that_do_not_fit_stars_are_refused():
    with pytest.raises(ValueError, match=r"two strides, such as strides=\(16, 32\)"):
        roles_of(grids((8, 8), (4, 4), (2, 2)))
    with pytest.raises(ValueError, match="9×1 and 2×3 cells"):
        roles_of(grids((9, 1), (2, 3)))


def test_parts_are_numbered_map_by_map():
    layout = part_layout(Roles(1, 0), 2, 1, 2)
    assert layout.stars.tolist() == [0, 0, 1, 1, 0, 1]
    assert layout.parts.tolist() == [0, 1, 0, 1, -1, -1]
    assert layout.maps.tolist() == [0, 0, 0, 0, 1, 1]
    layout = part_layout(Roles(0, 1), 2, 1, 2)
    assert layout.stars.tolist() == [0, 1, 0, 0, 1, 1]
    assert layout.parts.tolist() == [-1, -1, 0, 1, 0, 1]
    layout = part_layout(Roles(0, None), 1, 2, 0)
    assert layout.parts.tolist() == [-1, -1]
