"""Slices against the items that they must cover."""

import pytest

from skdpnet.utils.batching import slices_of, slices_within


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("n_items", [0, 1, 6, 7])
def test_slices_of_cover_every_item_once_and_in_order(n_items, size):
    items = list(range(n_items))
    slices = list(slices_of(n_items, size))
    assert [item for piece in slices for item in items[piece]] == items
    assert all(piece.stop - piece.start == size for piece in slices[:-1])
    assert all(0 < piece.stop - piece.start <= size for piece in slices)


def test_the_last_slice_stops_at_the_last_item():
    assert list(slices_of(5, 3)) == [slice(0, 3), slice(3, 5)]
    assert list(slices_of(2, 100)) == [slice(0, 2)]


@pytest.mark.parametrize(
    "budget, size", [(0, 1), (9, 1), (10, 1), (19, 1), (20, 2), (10**9, 7)]
)
def test_slices_within_take_as_many_items_as_the_budget_allows(budget, size):
    assert list(slices_within(7, 10, budget)) == list(slices_of(7, size))
