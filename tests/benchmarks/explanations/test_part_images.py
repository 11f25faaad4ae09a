"""The benchmark on images whose parts are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.explanations import part_images
from skdpnet.regions import RegionGrid


def test_pointing_takes_its_random_regions_from_all_maps():
    # One whole-image region on one map, four quarters on the other.
    grids = [RegionGrid(1, 1, ((1, 1),)), RegionGrid(2, 2, ((1, 1),))]
    n = 2000
    boxes = np.array([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    shown = SimpleNamespace(boxes=boxes, top_parts=lambda n: np.array([1, 0])[:n])
    nothing = SimpleNamespace(boxes=boxes, top_parts=lambda n: np.array([], int))
    # The telling part of each image is in the middle of its lower right quarter.
    test = SimpleNamespace(
        images=np.zeros((n, 8, 8, 3), np.uint8),
        discriminative_boxes=[[(5, 5, 7, 7)]] * n,
    )
    every_other = [shown, nothing] * (n // 2)
    share, chance = part_images.pointing(every_other, grids, test)
    assert share == 0.5
    assert chance == pytest.approx(1 / 5, abs=0.03)
