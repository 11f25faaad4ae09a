"""Shares of parts by their class, and of those beside objects."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from skdpnet.parts.boosted import shares
from skdpnet.parts.boosted.shares import (
    background_shares,
    class_shares,
    foreground_of_parts,
)
from skdpnet.parts.map_parts import MapParts


def test_shares_add_up_importances():
    importances = np.array([[0.5, 0.2, 0.3], [0, 0.9, 0.1]])
    classes = np.array([0, 1, 0])
    assert_allclose(class_shares(importances, classes), [[0.8, 0.2], [0.1, 0.9]])
    foreground = np.array([0.9, 0.5, 0.2])
    assert_allclose(background_shares(importances, foreground), [0.3, 0.1])


def test_the_foreground_of_a_part_is_that_of_its_best_regions(monkeypatch):
    monkeypatch.setattr(shares, "PIECE_BYTES", 200)  # several pieces
    random = np.random.default_rng(0)
    regions = random.normal(size=(9, 7, 3)).astype(np.float32)
    detectors = random.normal(size=(4, 3)).astype(np.float32)
    labels, classes = np.arange(9) % 2, np.array([0, 1, 1, 0])
    weights = random.random((9, 7))
    found = foreground_of_parts(regions, MapParts(detectors, classes), labels, weights)
    for p, (detector, c) in enumerate(zip(detectors, classes, strict=True)):
        best = [
            weights[i, (regions[i] @ detector).argmax()]
            for i in np.flatnonzero(labels == c)
        ]
        assert_allclose(found[p], np.mean(best), rtol=1e-6)
