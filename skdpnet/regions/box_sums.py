"""Box filters: sums over the windows of a map, and the transpose of these sums.

A sum over a window is a sum down the rows of sums along the columns, and the sum over a
run of cells is that of two shorter runs. So all windows of a size cost a few additions
of shifted slices for each cell, however large they are, and no products.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import torch

__all__ = ["spread", "window_sums"]

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


def spread(
    values: Sequence[torch.Tensor], windows: Sequence[tuple[int, int]]
) -> torch.Tensor:
    """Add each window's value to all of its cells: the transpose of `window_sums`.

    Parameters
    ----------
    values : sequence of tensors of shape (N, H - height + 1, W - width + 1, K)
        One tensor for each size of window. They are not changed.
    windows : sequence of (int, int)
        Height and width in cells.

    Returns
    -------
    tensor of shape (N, H, W, K)
        May share its memory with `values`, where all windows are of one cell.
    """
    row_values: dict[int, torch.Tensor] = {}
    for window_values, (height, width) in zip(values, windows, strict=True):
        column = _spread_runs({height: window_values}, _ROWS)
        if width in row_values:
            row_values[width] = row_values[width] + column
        else:
            row_values[width] = column
    return _spread_runs(row_values, _COLUMNS)


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


def _spread_runs(values: Mapping[int, torch.Tensor], axis: int) -> torch.Tensor:
    """Add the value of each run to its cells: the transpose of `_run_sums`.

    The steps of the plan are taken backwards: the value of a run is added to those of
    the two shorter runs it consists of, until only runs of one cell are left.
    """
    some_length, some_values = next(iter(values.items()))
    size = some_values.shape[axis] + some_length - 1
    remaining = dict(values)
    shared_with_caller = set(values)
    for length, first, second in reversed(_plan(frozenset(values))):
        value = remaining.pop(length)
        n = value.shape[axis]
        for shorter, start in ((first, 0), (second, first)):
            if shorter not in remaining:
                remaining[shorter] = _pad(value, axis, start, size - shorter + 1)
                continue
            if shorter in shared_with_caller:
                remaining[shorter] = remaining[shorter].clone()
                shared_with_caller.remove(shorter)
            remaining[shorter].narrow(axis, start, n).add_(value)
    return remaining[1]


def _pad(value: torch.Tensor, axis: int, start: int, size: int) -> torch.Tensor:
    """Pad with zeros along an axis to a size, with the value at `start`."""
    n = value.shape[axis]
    shape = list(value.shape)
    shape[axis] = size
    out = value.new_empty(shape)
    out.narrow(axis, 0, start).zero_()
    out.narrow(axis, start, n).copy_(value)
    out.narrow(axis, start + n, size - start - n).zero_()
    return out
