"""Seeds of parts, and their expansion to the regions of a class that are like them."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.preprocessing import normalize

from skdpnet.regions.energies import region_energies
from skdpnet.regions.grid import RegionGrid
from skdpnet.utils.batching import slices_of, slices_within

__all__ = ["all_energies", "draw_seeds", "expand_seeds", "halves"]

# A region counts as used if it shares more than this with one that is.
_MOST_OVERLAP = 0.5
# Responses of some parts to all regions of a class take at most this many bytes.
_PIECE_BYTES = 128 * 2**20
_IMAGES_AT_ONCE = 64


def halves(
    labels: np.ndarray, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Cut the images of each class in two at random.

    Parameters
    ----------
    labels : int ndarray of shape (n,)
    random : RandomState

    Returns
    -------
    first, second : bool ndarrays of shape (n,)
        The first has one more image of a class of an odd number. The only image of a
        class is in both.
    """
    first = np.zeros(len(labels), bool)
    second = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = random.permutation(np.flatnonzero(labels == label))
        middle = (len(of_class) + 1) // 2
        first[of_class[:middle]] = True
        second[of_class[min(middle, len(of_class) - 1) :]] = True
    return first, second


def all_energies(feature_map: np.ndarray, grid: RegionGrid) -> np.ndarray:
    """Compute the energies of the regions of all images, some images at a time.

    Networks that were trained to classify objects respond more on objects than beside
    them.

    Parameters
    ----------
    feature_map : ndarray of shape (n, H, W, D)
    grid : RegionGrid

    Returns
    -------
    float32 ndarray of shape (n, R)
        As from `region_energies`.
    """
    energies = np.empty((len(feature_map), grid.n_regions), np.float32)
    for images in slices_of(len(feature_map), _IMAGES_AT_ONCE):
        maps = torch.from_numpy(np.asarray(feature_map[images], np.float32))
        energies[images] = region_energies(maps, grid).numpy()
    return energies


def draw_seeds(
    energies: np.ndarray,
    n_seeds: int,
    n_per_image: int,
    random: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw regions of a class from the upper half of each image by energy.

    Parameters
    ----------
    energies : ndarray of shape (n, R)
        Energies of the regions of the class's images; regions of energy 0 are empty.
    n_seeds : int
        Number of seeds; fewer if there are not as many regions to draw from.
    n_per_image : int
        At most so many of an image.
    random : RandomState

    Returns
    -------
    images, regions : int ndarrays of shape (S,)
        The numbers of their images, and those of the regions in the grid.
    """
    drawn: list[tuple[int, int]] = []
    for i, of_image in enumerate(energies):
        covered = np.flatnonzero(of_image > 0)
        if len(covered):
            median = np.median(of_image[covered])
            upper = covered[of_image[covered] >= median]
            drawn += [(i, int(r)) for r in random.permutation(upper)[:n_per_image]]
    chosen = random.permutation(len(drawn))[:n_seeds]
    pairs = np.array(drawn, np.intp).reshape(-1, 2)[chosen]
    return pairs[:, 0], pairs[:, 1]


def expand_seeds(
    regions: np.ndarray,
    seeds: tuple[np.ndarray, np.ndarray],
    cells: np.ndarray,
    n_rounds: int,
    n_added: int,
) -> np.ndarray:
    """Learn a detector from each seed and the regions that are most like it.

    In each round, the regions of a class join a part that it responds to most, one of
    an image, and the detector becomes the direction of the mean of all its regions.
    After whitening that is the linear discriminant of these regions and all others.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        Whitened regions of the images of a class.
    seeds : (int ndarray of shape (S,), int ndarray of shape (S,))
        Images and regions, as from `draw_seeds`.
    cells : int ndarray of shape (R, 4)
        Top, left, bottom and right of the regions.
    n_rounds : int
    n_added : int
        Number of regions that join a part in a round. A region that overlaps one of the
        part by more than half, as intersection over union, does not join it.

    Returns
    -------
    float32 ndarray of shape (S, K)
        Unit rows; zero where the regions of a part cancel.
    """
    n_images, n_regions, depth = regions.shape
    flat = regions.reshape(-1, depth)
    detectors = np.empty((len(seeds[0]), depth), np.float32)
    bytes_per_part = 5 * n_images * n_regions
    for parts in slices_within(len(detectors), bytes_per_part, _PIECE_BYTES):
        images, numbers = (each[parts, None] for each in seeds)
        used = np.zeros((len(images), n_images, n_regions), bool)
        _use(used, images, numbers, cells)
        sums = regions[images[:, 0], numbers[:, 0]].astype(np.float64)
        for _ in range(n_rounds):
            units = normalize(sums).astype(np.float32)
            responses = (units @ flat.T).reshape(used.shape)
            np.copyto(responses, -np.inf, where=used)
            best = responses.argmax(axis=2)
            largest = np.take_along_axis(responses, best[..., None], axis=2)[..., 0]
            images = np.argsort(-largest, axis=1, kind="stable")[:, :n_added]
            numbers = np.take_along_axis(best, images, axis=1)
            is_new = np.take_along_axis(largest, images, axis=1) > -np.inf
            if not is_new.any():
                break
            sums += (regions[images, numbers] * is_new[..., None]).sum(axis=1)
            _use(used, images, numbers, cells)
        detectors[parts] = normalize(sums)
    return detectors


def _use(
    used: np.ndarray, images: np.ndarray, numbers: np.ndarray, cells: np.ndarray
) -> None:
    """Mark regions (S, m) of images (S, m), and those that overlap them, as used."""
    parts = np.arange(len(used))
    for of_image, number in zip(images.T, numbers.T, strict=True):
        used[parts, of_image] |= _overlap(cells[number], cells) > _MOST_OVERLAP


def _overlap(some: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the intersection over union (m, R) of windows (m, 4) and (R, 4)."""
    start = np.maximum(some[:, None, :2], cells[:, :2])
    end = np.minimum(some[:, None, 2:], cells[:, 2:])
    shared = (end - start).clip(0).prod(axis=2)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1) for each in (some, cells)]
    return shared / (areas[0][:, None] + areas[1] - shared)
