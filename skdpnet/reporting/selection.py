"""The choice of the images that a report shows, while all images pass."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any

__all__ = ["InTurn"]


class InTurn:
    """Keep some of many items: the first of each class, then the second, and so on.

    If data come class by class, the first items would be of few classes. No more items
    than are kept in the end are held at any time.

    Parameters
    ----------
    most : int
        Largest number of items to keep.
    each : int, default=None
        Largest number of items to keep of a class; None: there is no such limit.
    """

    def __init__(self, most: int, each: int | None = None):
        self._most, self._each = most, each
        self._seen: Counter[int] = Counter()
        # The item to drop first, the latest of the latest turn, is on top.
        self._heap: list[tuple[int, int, Any]] = []

    def place(self, label: int, number: int) -> tuple[int, int] | None:
        """Return the place of the next item of a class, if it is to be kept for now.

        Parameters
        ----------
        label : int
            Class.
        number : int
            Number of the item, larger than those of the items before.

        Returns
        -------
        tuple of int, or None
            To be passed to `keep` with the item; None: the item is not to be kept.
        """
        turn = self._seen[label]
        self._seen[label] += 1
        if self._most == 0 or (self._each is not None and turn >= self._each):
            return None
        key = (-turn, -number)
        if len(self._heap) == self._most and key <= self._heap[0][:2]:
            return None
        return key

    def keep(self, place: tuple[int, int], item: Any) -> None:
        """Keep an item, and drop another if there are too many."""
        entry = (*place, item)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    @property
    def n_seen(self) -> int:
        """Number of items that `place` was called for."""
        return self._seen.total()

    def kept(self) -> list[Any]:
        """Return the items that are kept, in the order of their numbers."""
        return [item for *_, item in sorted(self._heap, key=lambda entry: -entry[1])]
