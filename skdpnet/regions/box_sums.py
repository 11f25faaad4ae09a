"""Box filters: sums over the windows of a map.

A sum over a window is a sum down the rows of sums along the columns, and the sum over a
run of cells is that of two shorter runs. So all windows of a size cost a few additions
of shifted slices for each cell, however large they are, and no products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch

__all__ = ["window_sums"]

# The axes of a map N×H×W×K.
_ROWS, _COLUMNS = 1, 2


def window_sums(
    maps: torch.Tensor, windows: Sequence[tuple[int, int]]
) -> Iterator[torch.Tensor]:
    """Sum over the cells of every window of the given sizes, one cell apart.

    Parameters
    ----------
    maps : tensor of shape (N, H, W, K)
    windows : sequence of (int, int)
        Height and width in cells.

    Yields
    ------
    tensor of shape (N, H - height + 1, W - width + 1, K)
        The sums for each size; `maps` itself for windows of one cell.
    """
    row_sums = _run_sums(maps, _COLUMNS, {width for _, width in windows})
    for height, width in windows:
        yield _run_sums(row_sums[width], _ROWS, {height})[height]


@lru_cache
def _plan(lengths: frozenset[int]) -> tuple[tuple[int, int, int], ...]:
    """Plan the sums over runs of cells of several lengths.

    Returns
    -------
    tuple of (length, first, second)
        Runs of ``length = first + second`` cells are sums of two shorter runs, which
        are runs of one cell or come earlier in the plan.
    """
    planned = {1}
    plan: list[tuple[int, int, int]] = []

    def add(length: int) -> None:
        if length in planned:
            return
        pairs = [first for first in planned if length - first in planned]
        first = max(pairs, default=length // 2)
        add(first)
        add(length - first)
        plan.append((length, first, length - first))
        planned.add(length)

    for length in sorted(lengths):
        add(length)
    return tuple(plan)


def _run_sums(x: torch.Tensor, axis: int, lengths: set[int]) -> dict[int, torch.Tensor]:
    """Return the sums over all runs of the given lengths along an axis."""
    sums = {1: x}
    for length, first, second in _plan(frozenset(lengths)):
        n = x.shape[axis] - length + 1
        sums[length] = sums[first].narrow(axis, 0, n) + sums[second].narrow(
            axis, first, n
        )
    return sums
