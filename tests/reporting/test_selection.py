"""The choice of images: in turn from the classes."""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.reporting.selection import InTurn


@pytest.mark.parametrize("most", [0, 1, 5, 12, 100])
@pytest.mark.parametrize("each", [None, 1, 3])
def test_items_are_kept_in_turn_from_the_classes(most, each):
    labels = np.random.default_rng(most).integers(0, 4, 40).tolist()
    keeper = InTurn(most, each)
    for i, label in enumerate(labels):
        place = keeper.place(label, i)
        if place is not None:
            keeper.keep(place, f"item {i}")
    turns = [(labels[:i].count(label), i) for i, label in enumerate(labels)]
    expected = sorted(turn for turn in turns if each is None or turn[0] < each)[:most]
    assert keeper.kept() == [f"item {i}" for i in sorted(i for _, i in expected)]
    assert keeper.n_seen == 40
