"""Where elements start: regions of a class's images that hardly overlap."""

from __future__ import annotations

import numpy as np

from skdpnet.parts.mode_seeking.boxes import overlaps

__all__ = ["draw_seeds"]

# Published: regions of an image may overlap by this much.
_MOST_OVERLAP = 0.6


def draw_seeds(
    regions: np.ndarray,
    images: np.ndarray,
    cells: np.ndarray,
    n_seeds: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Draw regions of some images that hardly overlap, about as many of each image.

    Parameters
    ----------
    regions : ndarray of shape (n, R, K)
        Region descriptors. Those that are zero, beyond an image's edge, are not drawn.
    images : int ndarray of shape (m,)
        Numbers of the images.
    cells : int ndarray of shape (R, 4)
        The regions' boxes, as in `RegionGrid.cells`.
    n_seeds : int
    random_state : RandomState

    Returns
    -------
    int ndarray of shape (n_seeds, 2)
        Image and region of each seed. If there are too few regions that hardly overlap,
        seeds are repeated.
    """
    order = random_state.permutation(images)
    left = [random_state.permutation(_described(regions[i])).tolist() for i in order]
    drawn: list[list[int]] = [[] for _ in order]
    seeds: list[tuple[int, int]] = []
    while len(seeds) < n_seeds and any(left):
        for image, others, candidates in zip(order, drawn, left, strict=True):
            region = _next_apart(candidates, others, cells)
            if region is not None:
                others.append(region)
                seeds.append((int(image), region))
    return np.resize(np.array(seeds or [(order[0], 0)], np.int64), (n_seeds, 2))


def _described(regions: np.ndarray) -> np.ndarray:
    """Return the numbers of the regions (R, K) that are not zero."""
    return np.flatnonzero(regions.any(axis=1))


def _next_apart(
    candidates: list[int], others: list[int], cells: np.ndarray
) -> int | None:
    """Take candidates from the list until one hardly overlaps the others."""
    while candidates:
        region = candidates.pop()
        if (overlaps(cells[others], cells[region]) < _MOST_OVERLAP).all():
            return region
    return None
