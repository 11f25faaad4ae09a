"""Sums over the windows of a map, and the way back, as sums of shifted slices.

A box filter is two one-dimensional ones, and a long run is the sum of two shorter ones:
a few additions a cell, whatever the window, none of them a product.
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
    """Sum over every window of some sizes, one cell apart.

    Parameters
    ----------
    maps : tensor of shape (N, H, W, K)
    windows : sequence of (int, int)
        Height and width in cells.

    Yields
    ------
    tensor of shape (N, H - height + 1, W - width + 1, K)
        For each size; `maps` itself for windows of one cell.
    """
    across = _runs(maps, _COLUMNS, {width for _, width in windows})
    for height, width in windows:
        yield _runs(across[width], _ROWS, {height})[height]


def spread(
    values: Sequence[torch.Tensor], windows: Sequence[tuple[int, int]]
) -> torch.Tensor:
    """Add each window's value to all of its cells: the transpose of `window_sums`.

    Parameters
    ----------
    values : sequence of tensors of shape (N, H - height + 1, W - width + 1, K)
        For each size of window. Left as they are.
    windows : sequence of (int, int)
        Height and width in cells.

    Returns
    -------
    tensor of shape (N, H, W, K)
    """
    across: dict[int, torch.Tensor] = {}
    for own, (height, width) in zip(values, windows, strict=True):
        column = _spread_runs({height: own}, _ROWS)
        across[width] = across[width] + column if width in across else column
    return _spread_runs(across, _COLUMNS)


@lru_cache
def _plan(lengths: frozenset[int]) -> tuple[tuple[int, int, int], ...]:
    """Tell how each run comes of two shorter ones: (length, first, second)."""
    made = {1}
    plan: list[tuple[int, int, int]] = []

    def make(length: int) -> None:
        if length in made:
            return
        pairs = [one for one in made if length - one in made]
        first = max(pairs, default=length // 2)
        make(first)
        make(length - first)
        plan.append((length, first, length - first))
        made.add(length)

    for length in sorted(lengths):
        make(length)
    return tuple(plan)


def _runs(x: torch.Tensor, axis: int, lengths: set[int]) -> dict[int, torch.Tensor]:
    """Sum over all runs of these lengths along an axis."""
    made = {1: x}
    for length, first, second in _plan(frozenset(lengths)):
        n = x.shape[axis] - length + 1
        made[length] = made[first].narrow(axis, 0, n) + made[second].narrow(
            axis, first, n
        )
    return made


def _spread_runs(values: Mapping[int, torch.Tensor], axis: int) -> torch.Tensor:
    """Add the value of each run to its cells, the steps of `_runs` backwards."""
    some_length, some = next(iter(values.items()))
    size = some.shape[axis] + some_length - 1
    waiting = dict(values)
    own = set(values)
    for length, first, second in reversed(_plan(frozenset(values))):
        value = waiting.pop(length)
        n = value.shape[axis]
        for part, start in ((first, 0), (second, first)):
            if part not in waiting:
                waiting[part] = _placed(value, axis, start, size - part + 1)
                continue
            if part in own:
                # The caller's values stay as they are.
                waiting[part] = waiting[part].clone()
                own.remove(part)
            waiting[part].narrow(axis, start, n).add_(value)
    return waiting[1]


def _placed(value: torch.Tensor, axis: int, start: int, size: int) -> torch.Tensor:
    """Put a value among zeros along an axis."""
    n = value.shape[axis]
    shape = list(value.shape)
    shape[axis] = size
    out = value.new_empty(shape)
    out.narrow(axis, 0, start).zero_()
    out.narrow(axis, start, n).copy_(value)
    out.narrow(axis, start + n, size - start - n).zero_()
    return out
