"""Frames and badges over an image."""

from __future__ import annotations

import numpy as np

from skdpnet.reporting.overlay import View, lay_out


def test_badges_do_not_cover_one_another():
    view = View.of((640, 480))
    assert (view.width, view.height) == (320, 240)
    boxes = [
        np.array(box) for box in [[0, 0, 640, 480]] * 3 + [[560, 400, 640, 480]] * 4
    ]
    frames = lay_out(view, boxes, list("1234567"))
    centres = np.array([(frame.badge_x, frame.badge_y) for frame in frames])
    distances = np.linalg.norm(centres[:, None] - centres, axis=-1)
    assert distances[~np.eye(7, dtype=bool)].min() >= 20
    assert (centres >= 10).all()
    assert (centres <= [310, 230]).all()
    assert len({(frame.x, frame.width) for frame in frames[3:]}) == 4
