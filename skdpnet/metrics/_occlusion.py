"""Faithfulness: cover the region that a part was found in, and see it respond less."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skdpnet.backbones.loading import load_backbone
from skdpnet.explanations.contributions import best_regions
from skdpnet.explanations.readout import find_parts
from skdpnet.features.feature_maps import resolve_device
from skdpnet.images.collection import as_images
from skdpnet.metrics._chance import same_size
from skdpnet.utils.validation import part_numbers

__all__ = ["ResponseDrop", "response_drop"]

# Covered images go through the network in pieces of about this many bytes.
_BYTES = 1 << 27
# Standard deviation of the blur, as a share of the covered box's side.
_SIGMA = 0.25


@dataclass(frozen=True, eq=False)
class ResponseDrop:
    """What parts respond less by when a region is covered.

    Attributes
    ----------
    best : float64 ndarray of shape (n, k)
        Response before less response after, cosines, with the part's best region
        covered.
    random : float64 ndarray of shape (n, k)
        With another region covered, drawn by chance.
    before : float64 ndarray of shape (n, k)
        The responses in the images as they are.
    """

    best: np.ndarray
    random: np.ndarray
    before: np.ndarray

    @property
    def mean_best(self) -> float:
        """Mean of `best`."""
        return float(self.best.mean())

    @property
    def mean_random(self) -> float:
        """Mean of `random`: what chance gives."""
        return float(self.random.mean())


def response_drop(
    estimator,
    X,
    parts: ArrayLike,
    *,
    random_state: int | np.random.RandomState | None = None,
) -> ResponseDrop:
    """Cover the region a part was found in, and see how far its response falls.

    A box that shows what a part responds to is one without which the part responds
    less. In the square that the network sees, the pixels of the box give way to a blur
    of those around it, by normalised convolution [1]_, and the largest response in the
    whole image is taken again: it falls little where the part is elsewhere too.

    Parameters
    ----------
    estimator : fitted DPNetClassifier, DPNetTransformer or SoftAssignParts
        Or a Pipeline that starts with one, or a fitted search of these. Nothing is
        kept in its `memory` of the covered images.
    X : images
    parts : int array-like of shape (n, k)
        Numbers of k parts of each image, such as those of largest contribution.
    random_state : int, RandomState or None, default=None
        Draws the regions to compare with: of the same size on the same map, each
        place alike, the best region's own among them.

    Returns
    -------
    ResponseDrop

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If it has no parts or takes precomputed features, or `parts` has not the shape
        (n, k).
    IndexError
        If there is no such part.
    skdpnet.images.ImageError
        If an image cannot be read.

    Notes
    -----
    2·n·k images go through the network. That boxes need such a test is shown in
    [2]_.

    References
    ----------
    .. [1] H. Knutsson, C.-F. Westin, "Normalized and Differential Convolution", CVPR
       1993.
    .. [2] R. Xu-Darme et al., "Sanity Checks for Patch Visualisation in
       Prototype-Based Image Classification", CVPR Workshops 2023 (arXiv 2302.08508).
    """
    fitted, _ = find_parts(estimator)
    if fitted._takes_features():
        raise ValueError(
            "response_drop covers regions of images, but this estimator takes "
            "precomputed features: fit one on images."
        )
    images = as_images(X)
    asked = _checked(parts, len(images), len(fitted.part_maps_))
    found = best_regions(fitted, X)
    rows = np.arange(len(images))[:, None]
    before = found.responses[rows, asked].astype(np.float64)
    random = check_random_state(random_state)
    boxes = _boxes(fitted, asked, found.regions[rows, asked], random)
    # The covered images are seen once: the folder of maps is no place for them.
    forgetful = copy.copy(fitted)
    forgetful.memory = None
    n_covered = boxes.shape[1] * boxes.shape[2]
    size = _input_size(fitted)
    at_once = max(1, _BYTES // max(1, n_covered * 3 * size**2))
    after = np.empty(boxes.shape[:-1])
    for start in range(0, len(images), at_once):
        some = range(start, min(start + at_once, len(images)))
        covered = np.concatenate(
            [_covered(images.network_input(i, size)[0], boxes[i]) for i in some]
        )
        if len(covered):
            responses = best_regions(forgetful, covered).responses
            responses = responses.reshape(len(some), 2, -1, responses.shape[1])
            own = asked[some.start : some.stop, None, :, None]
            found_again = np.take_along_axis(responses, own, axis=3)
            after[some.start : some.stop] = found_again[..., 0]
    drops = before[:, None] - after
    return ResponseDrop(drops[:, 0], drops[:, 1], before)


def _checked(parts: ArrayLike, n: int, n_parts: int) -> np.ndarray:
    """Numbers of parts, (n, k)."""
    given = np.asarray(parts)
    if given.ndim != 2 or len(given) != n:
        raise ValueError(
            f"parts must have the shape ({n}, k), k parts of each image, got "
            f"{given.shape}."
        )
    if given.dtype.kind not in "iu":
        raise ValueError(f"parts must hold whole numbers, got dtype {given.dtype}.")
    return part_numbers(given, n_parts).reshape(given.shape)


def _boxes(
    fitted, asked: np.ndarray, regions: np.ndarray, random: np.random.RandomState
) -> np.ndarray:
    """Boxes (n, 2, k, 4), in shares of the square: the best, and some of their size."""
    boxes = np.empty((len(asked), 2, asked.shape[1], 4))
    maps = fitted.part_maps_[asked]
    for i, grid in enumerate(fitted.grids_):
        row, column = np.nonzero(maps == i)
        own = regions[row, column]
        boxes[row, 0, column] = grid.boxes()[own]
        boxes[row, 1, column] = grid.boxes()[same_size(grid, own, random)]
    return boxes


def _covered(square: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Copy a square image (m, s, s, 3), each time with one of the boxes covered."""
    edges = np.rint(boxes.reshape(-1, 4) * len(square)).astype(int)
    copies = np.repeat(square[None], len(edges), axis=0)
    for copied, (left, top, right, bottom) in zip(copies, edges, strict=True):
        copied[top:bottom, left:right] = _surroundings(
            square, slice(top, bottom), slice(left, right)
        )
    return copies


def _surroundings(square: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Blur what is around a box into it: nothing of its own pixels remains."""
    outside = np.ones(square.shape[:2])
    outside[rows, columns] = 0
    if not outside.any():
        return np.rint(square.mean(axis=(0, 1)))
    # A Gaussian whose centre may be anywhere in the box still reaches out of it.
    sigma = _SIGMA * min(rows.stop - rows.start, columns.stop - columns.start)
    place = np.arange(len(square))
    blur = np.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
    down, across = blur[rows], blur[columns].T
    weights = down @ outside @ across
    colours = down @ np.moveaxis(square * outside[..., None], 2, 0) @ across
    return np.rint(np.moveaxis(colours / weights, 0, 2))


def _input_size(fitted) -> int:
    """Side in pixels of the square that the estimator's network sees."""
    strides = None if fitted.strides is None else tuple(map(int, fitted.strides))
    device = resolve_device(fitted.device)
    backbone = load_backbone(fitted.backbone, fitted.image_size, device, strides)
    return backbone.image_size
