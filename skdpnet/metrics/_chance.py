"""Regions drawn at random, from which localisation measures get their chance level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skdpnet.regions import RegionGrid
from skdpnet.utils.validation import check_whole

__all__ = ["draw_same_size", "random_regions"]


def random_regions(
    grids: Sequence[RegionGrid],
    n_images: int,
    n_parts: int,
    random_state: int | np.random.RandomState | None = None,
    *,
    part_maps: ArrayLike | None = None,
    like: ArrayLike | None = None,
    shares: ArrayLike | None = None,
) -> np.ndarray:
    """Draw regions at random, to find what a localisation measure gives by chance.

    Parameters
    ----------
    grids : sequence of RegionGrid
        The regions of each feature map: an estimator's ``grids_``.
    n_images, n_parts : int
        n and P.
    random_state : int, RandomState or None, default=None
    part_maps : int array-like of shape (P,), default=None
        The feature map of each part, an estimator's ``part_maps_``: a part's regions
        are drawn from its own map. None: they are drawn from the regions of all maps,
        with equal probabilities.
    like : int array-like of shape (n, P), default=None
        Numbers of regions in the grids of the parts' own maps, such as
        `BestRegions.regions`: the regions drawn have the same sizes, so that only
        their positions are random. Needs `part_maps` if there are several maps.
    shares : array-like of shape (n, 2), default=None
        The shares of the maps' width and height that each image covers
        (`skdpnet.images.framing.View.input_share`), for ``framing="aspect"``: regions
        are drawn within them. None: regions are drawn on the whole maps.

    Returns
    -------
    float64 ndarray of shape (n, P, 4)
        (left, top, right, bottom) as shares of the map's sides;
        `skdpnet.images.geometry.Geometry` converts them to an image's pixels.

    Raises
    ------
    ValueError
        If the shapes do not fit, or there is no such map or region.

    See Also
    --------
    skdpnet.best_regions : The regions that the parts respond to most.
    pointing_game, part_hits : Localisation measures to compare with chance.

    Examples
    --------
    >>> from skdpnet.metrics import random_regions
    >>> from skdpnet.regions import RegionGrid
    >>> grid = RegionGrid.from_scales(7, 7, (0.15, 0.45))
    >>> random_regions([grid], n_images=10, n_parts=3, random_state=0).shape
    (10, 3, 4)
    """
    random = check_random_state(random_state)
    n = check_whole("n_images", n_images, 0)
    p = check_whole("n_parts", n_parts, 0)
    if like is not None and part_maps is None:
        if len(grids) != 1:
            raise ValueError(f"like needs part_maps: there are {len(grids)} maps.")
        part_maps = np.zeros(p, int)
    covered = None if shares is None else np.asarray(shares, np.float64)
    if covered is not None and covered.shape != (n, 2):
        raise ValueError(f"shares must have the shape ({n}, 2), got {covered.shape}.")
    if part_maps is None:
        boxes = np.concatenate([grid.boxes() for grid in grids])
        if covered is None:
            return boxes[random.randint(len(boxes), size=(n, p))]
        return np.stack([_draw_within(boxes, limit, p, random) for limit in covered])
    maps = np.asarray(part_maps)
    if maps.shape != (p,) or not np.isin(maps, np.arange(len(grids))).all():
        raise ValueError(
            f"part_maps must hold {p} numbers of maps, from 0 to {len(grids) - 1}."
        )
    examples = None if like is None else np.asarray(like)
    if examples is not None and examples.shape != (n, p):
        raise ValueError(f"like must have the shape ({n}, {p}), got {examples.shape}.")
    drawn_boxes = np.empty((n, p, 4))
    for i, grid in enumerate(grids):
        on_map = maps == i
        boxes, n_on_map = grid.boxes(), int(on_map.sum())
        if examples is not None:
            limits = None if covered is None else covered[:, None]
            regions = draw_same_size(grid, examples[:, on_map], random, limits)
            drawn_boxes[:, on_map] = boxes[regions]
        elif covered is None:
            regions = random.randint(grid.n_regions, size=(n, n_on_map))
            drawn_boxes[:, on_map] = boxes[regions]
        else:
            for image_boxes, limit in zip(drawn_boxes, covered, strict=True):
                image_boxes[on_map] = _draw_within(boxes, limit, n_on_map, random)
    return drawn_boxes


def _draw_within(
    boxes: np.ndarray, limit: np.ndarray, n: int, random: np.random.RandomState
) -> np.ndarray:
    """Draw n of the boxes that end within limits (2,) to the right and the bottom."""
    # The edges of cells are multiples of fractions, up to rounding.
    inside = boxes[(boxes[:, 2:] <= limit + 1e-9).all(axis=1)]
    candidates = inside if len(inside) else boxes
    return candidates[random.randint(len(candidates), size=n)]


def draw_same_size(
    grid: RegionGrid,
    regions: np.ndarray,
    random: np.random.RandomState,
    shares: np.ndarray | None = None,
) -> np.ndarray:
    """Draw for each region another of the same size, all positions equally likely.

    Parameters
    ----------
    grid : RegionGrid
    regions : int ndarray of any shape
    random : RandomState
    shares : ndarray of shape (..., 2), default=None
        The shares of the map's width and height that the image of each region covers,
        within which regions are drawn. The leading axes broadcast to those of
        `regions`. None: the whole map.

    Returns
    -------
    int ndarray of the same shape
        A region that is drawn may happen to be the original one.

    Raises
    ------
    ValueError
        If there is no such region.
    """
    if not np.isin(regions, np.arange(grid.n_regions)).all():
        raise ValueError(f"regions have numbers from 0 to {grid.n_regions - 1}.")
    sizes = np.array(grid.windows)
    steps = np.array([grid.height, grid.width]) - sizes + 1
    ends = np.cumsum(steps.prod(axis=1))
    scale = np.searchsorted(ends, regions, side="right")
    rows, columns = np.moveaxis(steps[scale], -1, 0)
    if shares is not None:
        across, down = np.moveaxis(np.asarray(shares, np.float64), -1, 0)
        heights, widths = np.moveaxis(sizes[scale], -1, 0)
        # At least one position, where a window is larger than the image.
        rows = np.maximum(1, np.rint(down * grid.height).astype(int) - heights + 1)
        columns = np.maximum(1, np.rint(across * grid.width).astype(int) - widths + 1)
    row, column = np.divmod(random.randint(rows * columns), columns)
    return (ends - steps.prod(axis=1))[scale] + row * steps[scale, 1] + column
