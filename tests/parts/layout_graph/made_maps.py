"""Feature maps that show the parts of arrangement images at their true places."""

from __future__ import annotations

import numpy as np

from skdpnet.datasets import make_arrangement_images

SIDE, N_CHANNELS = 9, 12


def arrangement_maps(n, *, n_classes=4, seed=0):
    """Maps (n, 9, 9, 12) and classes: a channel for each part, and noise in all."""
    data = make_arrangement_images(n, n_classes, 32, random_state=seed)
    maps = np.abs(np.random.RandomState(seed).randn(n, SIDE, SIDE, N_CHANNELS)) * 0.3
    for image, boxes in zip(maps, data.boxes, strict=True):
        for channel, part in enumerate(sorted(boxes)):
            left, top, right, bottom = np.array(boxes[part]) * SIDE / 32
            row, column = int((top + bottom) / 2), int((left + right) / 2)
            image[row - 1 : row + 2, column - 1 : column + 2, channel] += 2
    return maps.astype(np.float32), data.target
