"""Slices of a long axis, so that only some of its items are in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["slices_of", "slices_within"]


def slices_of(n_items: int, size: int) -> Iterator[slice]:
    """Cut a number of items into slices of the same size.

    Parameters
    ----------
    n_items : int
    size : int > 0
        Number of items in each slice; the last slice may have fewer.

    Yields
    ------
    slice
        Its `stop` is at most `n_items`. There are no slices of no items.

    Examples
    --------
    >>> from skdpnet.utils.batching import slices_of
    >>> list(slices_of(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, n_items, size):
        yield slice(start, min(n_items, start + size))


def slices_within(n_items: int, bytes_per_item: int, budget: int) -> Iterator[slice]:
    """Cut a number of items into slices that keep within a budget of memory.

    Parameters
    ----------
    n_items : int
    bytes_per_item : int > 0
    budget : int
        Bytes that the items of a slice may take together. Each slice has at least one
        item, even if that takes more.

    Yields
    ------
    slice
        As from `slices_of`.

    Examples
    --------
    >>> from skdpnet.utils.batching import slices_within
    >>> list(slices_within(5, bytes_per_item=100, budget=350))
    [slice(0, 3, None), slice(3, 5, None)]
    """
    return slices_of(n_items, max(1, budget // bytes_per_item))
