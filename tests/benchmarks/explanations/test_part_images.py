"""The benchmark on images whose parts are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.explanations import part_images
from skdpnet.regions import RegionGrid


def test_pointing_takes_its_random_regions_from_all_maps_with_places():
    # Four quarters on one map, two halves on another, and the whole image.
    sides = ((2, 2), (1, 2), (1, 1))
    grids = [RegionGrid(*side, ((1, 1),)) for side in sides]
    n = 2000
    boxes = np.array([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    parts = {"boxes": boxes, "part_maps": np.array([0, 0, 2])}
    shown = SimpleNamespace(**parts, top_parts=lambda: np.array([2, 1, 0]))
    nothing = SimpleNamespace(**parts, top_parts=lambda: np.array([2]))
    # The telling part of each image is in the middle of its lower right quarter.
    test = SimpleNamespace(
        images=np.zeros((n, 8, 8, 3), np.uint8),
        discriminative_boxes=[[(5, 5, 7, 7)]] * n,
    )
    every_other = [shown, nothing] * (n // 2)
    share, chance = part_images.pointing(every_other, grids, test)
    assert share == 0.5
    # Of the six regions one quarter is there; the right half has another middle.
    assert chance == pytest.approx(1 / 6, abs=0.02)
