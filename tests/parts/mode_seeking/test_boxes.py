"""Overlaps of boxes against counts of cells."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from skdpnet.parts.mode_seeking.boxes import overlaps
from skdpnet.regions.grid import RegionGrid


def test_overlaps_are_shares_of_the_cells():
    boxes = RegionGrid(4, 5, ((1, 1), (2, 3), (4, 2))).cells
    covered = np.zeros((len(boxes), 4, 5), bool)
    for mask, (top, left, bottom, right) in zip(covered, boxes, strict=True):
        mask[top:bottom, left:right] = True
    both = (covered[:, None] & covered).sum(axis=(2, 3))
    either = (covered[:, None] | covered).sum(axis=(2, 3))
    assert_allclose(overlaps(boxes[:, None], boxes), both / either)
