"""How much regions overlap."""

from __future__ import annotations

import numpy as np

__all__ = ["overlaps"]


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute how much boxes overlap: their intersection over their union.

    Parameters
    ----------
    boxes, others : ndarrays of shape (..., 4)
        Top, left, bottom and right, as in `RegionGrid.cells`; they are broadcast.

    Returns
    -------
    float ndarray of shape (...)

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.parts.mode_seeking.boxes import overlaps
    >>> boxes = np.array([[0, 0, 2, 2], [0, 2, 2, 4]])
    >>> overlaps(boxes, np.array([0, 1, 2, 3])).round(2)
    array([0.33, 0.33])
    """
    shared = np.minimum(boxes, others)[..., 2:] - np.maximum(boxes, others)[..., :2]
    intersection = shared.clip(min=0).prod(axis=-1)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1)
    of_others = (others[..., 2:] - others[..., :2]).prod(axis=-1)
    return intersection / (areas + of_others - intersection)
