"""Where elements start: regions of a class's images that hardly overlap."""

from __future__ import annotations

import numpy as np

__all__ = ["draw_seeds", "overlaps"]

# Published: regions of an image may overlap by this much.
_MOST_OVERLAP = 0.6


def overlaps(boxes: np.ndarray) -> np.ndarray:
    """Compute how much each two boxes overlap: intersection over union.

    Parameters
    ----------
    boxes : ndarray of shape (R, 4)
        Top, left, bottom and right, as in `RegionGrid.cells`.

    Returns
    -------
    float ndarray of shape (R, R)

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.parts.mode_seeking.seeds import overlaps
    >>> overlaps(np.array([[0, 0, 2, 2], [0, 1, 2, 3]])).round(2)
    array([[1.  , 0.33],
           [0.33, 1.  ]])
    """
    top, left = (np.maximum.outer(boxes[:, i], boxes[:, i]) for i in (0, 1))
    bottom, right = (np.minimum.outer(boxes[:, i], boxes[:, i]) for i in (2, 3))
    shared = np.clip(bottom - top, 0, None) * np.clip(right - left, 0, None)
    areas = np.diagonal(shared)
    return shared / (areas[:, None] + areas - shared)


def draw_seeds(
    images: np.ndarray,
    shares_of_boxes: np.ndarray,
    n_seeds: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Draw regions at random, as many of each image, that hardly overlap.

    Parameters
    ----------
    images : int ndarray of shape (n,)
        Numbers of the images of a class.
    shares_of_boxes : float ndarray of shape (R, R)
        As from `overlaps`.
    n_seeds : int
    random_state : RandomState

    Returns
    -------
    int ndarray of shape (n_seeds, 2)
        Image and region of each seed. If the images have too few regions that hardly
        overlap, seeds are repeated.
    """
    order = random_state.permutation(images)
    drawn: list[list[int]] = [[] for _ in order]
    left = [list(random_state.permutation(len(shares_of_boxes))) for _ in order]
    seeds: list[tuple[int, int]] = []
    while len(seeds) < n_seeds and any(left):
        for image, own, regions in zip(order, drawn, left, strict=True):
            while regions:
                region = regions.pop()
                if (shares_of_boxes[region, own] < _MOST_OVERLAP).all():
                    own.append(region)
                    seeds.append((image, region))
                    break
    return np.resize(np.array(seeds, dtype=np.int64), (n_seeds, 2))
