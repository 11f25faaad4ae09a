"""The order of parts on several maps."""

import numpy as np
import pytest

from skdpnet.parts.layout import classes_and_maps, share_parts, stack_parts


@pytest.mark.parametrize(
    "n_parts, n_maps, shares",
    [(5, 1, [5]), (6, 2, [3, 3]), (5, 2, [2, 3]), (8, 3, [2, 2, 4]), (3, 3, [1] * 3)],
)
def test_maps_have_equal_shares_and_the_last_has_the_remainder(n_parts, n_maps, shares):
    assert share_parts(n_parts, n_maps) == shares


def test_fewer_parts_than_maps_are_refused():
    with pytest.raises(ValueError, match="n_parts_per_class=1 leaves some of the 2"):
        share_parts(1, 2)


def test_parts_are_sorted_by_map_and_then_by_class():
    part_classes, part_maps = classes_and_maps([1, 2], 3)
    assert part_classes.tolist() == [0, 1, 2, 0, 0, 1, 1, 2, 2]
    assert part_maps.tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]


def test_zeros_fill_the_rows_of_smaller_spaces():
    stacked = stack_parts([np.ones((2, 3), np.float32), np.ones((1, 4), np.float32)])
    assert stacked.dtype == np.float32
    assert stacked.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
