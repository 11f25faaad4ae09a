"""Slices that cut a long axis into short stretches, so that each fits in memory."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["slices_of", "slices_within"]


def slices_of(n_items: int, size: int) -> Iterator[slice]:
    """Cut items into slices of one size.

    Parameters
    ----------
    n_items : int
    size : int > 0
        Items of each slice but the last, which may be shorter.

    Yields
    ------
    slice
        From `start` to `stop`, both within the items. No slice for no items.

    Examples
    --------
    >>> from skdpnet.utils.batching import slices_of
    >>> list(slices_of(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, n_items, size):
        yield slice(start, min(n_items, start + size))


def slices_within(n_items: int, bytes_per_item: int, budget: int) -> Iterator[slice]:
    """Cut items into slices that take no more memory than a budget.

    Parameters
    ----------
    n_items : int
    bytes_per_item : int > 0
    budget : int
        Bytes that the items of a slice may take together. A single item may take
        more: no slice is empty.

    Yields
    ------
    slice
        As those of `slices_of`.

    Examples
    --------
    >>> from skdpnet.utils.batching import slices_within
    >>> list(slices_within(5, bytes_per_item=100, budget=350))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    return slices_of(n_items, max(1, budget // bytes_per_item))
