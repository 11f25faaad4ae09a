"""Which images a report shows, chosen while they go by."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import Any

__all__ = ["InTurn"]


class InTurn:
    """Keep some of many items: the first of each class, then the second, and so on.

    Of data that come class by class, the first so many would be of few classes. No
    more items than asked for are held at any time.

    Parameters
    ----------
    most : int
        How many items to keep at most.
    each : int, default=None
        How many of each class at most; None: as many as there are.
    """

    def __init__(self, most: int, each: int | None = None):
        self._most, self._each = most, each
        self._seen: Counter[int] = Counter()
        # The item to give up first, of the latest turn, lies on top.
        self._heap: list[tuple[int, int, Any]] = []

    def place(self, label: int, number: int) -> tuple[int, int] | None:
        """Give the next item of a class its place, if it is kept as things stand.

        Parameters
        ----------
        label : int
            Class.
        number : int
            The item's, larger than those before.

        Returns
        -------
        tuple of int, or None
            To be handed to `keep` with the item; None: it is not wanted.
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
        """Keep an item, giving up another one where there are too many."""
        entry = (*place, item)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)

    @property
    def n_seen(self) -> int:
        """How many items went by."""
        return self._seen.total()

    def kept(self) -> list[Any]:
        """Return the items kept, in order of their numbers."""
        return [item for *_, item in sorted(self._heap, key=lambda entry: -entry[1])]
