"""Faithfulness: cover a part's region and measure how far its response falls."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skdpnet.explanations.localisation import best_regions
from skdpnet.explanations.model_steps import find_parts
from skdpnet.images.collection import as_images
from skdpnet.metrics._chance import draw_same_size
from skdpnet.utils.batching import slices_within
from skdpnet.utils.validation import part_numbers

__all__ = ["ResponseDrop", "response_drop"]

# Covered images go through the network in batches of at most this many bytes.
_BATCH_BYTES = 1 << 27
# Standard deviation of the blur, as a share of the covered box's side.
_SIGMA = 0.25


@dataclass(frozen=True, eq=False)
class ResponseDrop:
    """How far responses of parts fall when a region of the image is covered.

    Attributes
    ----------
    best : float64 ndarray of shape (n, k)
        Response (a cosine) in the original image minus response in the image in which
        the part's best region is covered.
    random : float64 ndarray of shape (n, k)
        The same with a random region of that size covered instead.
    before : float64 ndarray of shape (n, k)
        The responses in the original images.
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
        """Mean of `random`: the chance level."""
        return float(self.random.mean())


def response_drop(
    estimator,
    X,
    parts: ArrayLike,
    *,
    random_state: int | np.random.RandomState | None = None,
) -> ResponseDrop:
    """Cover each part's best region and measure how far the part's response falls.

    If a box shows what a part responds to, the part must respond less without it. In
    the image at the size that the network takes, the pixels of the box are replaced by
    a blur of those around it, by normalised convolution [1]_. Then the part's largest
    response in the whole image is computed again. It falls little if what the part
    responds to is elsewhere in the image as well.

    Parameters
    ----------
    estimator : fitted DPNetClassifier, DPNetTransformer or SoftAssignParts
        Or a Pipeline that starts with one, or a fitted search over these. Feature maps
        of covered images are not stored in its `memory`.
    X : images
        As the estimator's `transform` takes them.
    parts : int array-like of shape (n, k)
        Numbers of k parts for each image, such as those of largest contribution.
    random_state : int, RandomState or None, default=None
        Draws the regions to compare with: of the same size and on the same feature
        map, all positions in the image equally likely, that of the best region
        included.

    Returns
    -------
    ResponseDrop

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If the estimator has no parts or takes precomputed features, or `parts` does
        not hold whole numbers in the shape (n, k).
    IndexError
        If there is no such part.
    skdpnet.images.ImageError
        If an image cannot be read.

    See Also
    --------
    skdpnet.best_regions : The regions that are covered.
    deletion_curve : How the score falls as the pixels of a heat map are removed.

    Notes
    -----
    2·n·k images go through the network. [2]_ shows why boxes need such a test.

    References
    ----------
    .. [1] H. Knutsson, C.-F. Westin, "Normalized and Differential Convolution", CVPR
       1993.
    .. [2] R. Xu-Darme et al., "Sanity Checks for Patch Visualisation in
       Prototype-Based Image Classification", CVPR Workshops 2023 (arXiv 2302.08508).

    Examples
    --------
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.datasets import make_part_images
    >>> from skdpnet.metrics import response_drop
    >>> birds = make_part_images(8, n_classes=2, image_size=64, random_state=0)
    >>> model = DPNetClassifier(
    ...     image_size=64, n_parts_per_class=2, max_epochs=0, random_state=0
    ... ).fit(birds.images, birds.target)
    >>> drop = response_drop(model, birds.images[:2], [[0, 1], [0, 1]], random_state=0)
    >>> drop.best.shape, drop.random.shape
    ((2, 2), (2, 2))
    """
    fitted, _ = find_parts(estimator)
    if fitted.is_precomputed:
        raise ValueError(
            "response_drop covers regions of images, but this estimator takes "
            "precomputed features: fit one on images."
        )
    images = as_images(X)
    numbers = _check_parts(parts, len(images), len(fitted.part_maps_))
    original = best_regions(fitted, X)
    rows = np.arange(len(images))[:, None]
    before = original.responses[rows, numbers].astype(np.float64)
    random = check_random_state(random_state)
    framing = fitted.input_framing()
    sizes = [images.geometry(i).upright_size for i in range(len(images))]
    views = [framing.view(*size) for size in sizes]
    shares = np.array([view.input_share for view in views])
    boxes = _boxes(fitted, numbers, original.regions[rows, numbers], shares, random)
    # Each covered image is used once, so its feature maps are not worth storing.
    without_memory = copy.copy(fitted)
    without_memory.memory = None
    n_copies = boxes.shape[1] * boxes.shape[2]
    n_bytes = n_copies * 3 * framing.image_size * framing.canvas_side
    after = np.empty(boxes.shape[:-1])
    if n_copies:
        for batch in slices_within(len(images), n_bytes, _BATCH_BYTES):
            covered = [
                copied
                for i in range(batch.start, batch.stop)
                for copied in _covered(
                    images.network_input(i, framing)[0], boxes[i], framing.canvas_side
                )
            ]
            responses = best_regions(without_memory, covered).responses
            responses = responses.reshape(*after[batch].shape, -1)
            columns = numbers[batch, None, :, None]
            after[batch] = np.take_along_axis(responses, columns, axis=3)[..., 0]
    drops = before[:, None] - after
    return ResponseDrop(drops[:, 0], drops[:, 1], before)


def _check_parts(parts: ArrayLike, n: int, n_parts: int) -> np.ndarray:
    """Return the numbers of the parts, (n, k)."""
    numbers = np.asarray(parts)
    if numbers.ndim != 2 or len(numbers) != n:
        raise ValueError(
            f"parts must have the shape ({n}, k), k parts of each image, got "
            f"{numbers.shape}."
        )
    if numbers.dtype.kind not in "iu":
        raise ValueError(f"parts must hold whole numbers, got dtype {numbers.dtype}.")
    return part_numbers(numbers, n_parts).reshape(numbers.shape)


def _boxes(
    fitted,
    numbers: np.ndarray,
    regions: np.ndarray,
    shares: np.ndarray,
    random: np.random.RandomState,
) -> np.ndarray:
    """Return the boxes to cover, (n, 2, k, 4), as shares of the canvas' sides.

    The second axis has the best region and a random region of its size. The images
    cover the `shares` (n, 2) of the canvas' width and height.
    """
    boxes = np.empty((len(numbers), 2, numbers.shape[1], 4))
    maps = fitted.part_maps_[numbers]
    for i, grid in enumerate(fitted.grids_):
        row, column = np.nonzero(maps == i)
        best = regions[row, column]
        drawn = draw_same_size(grid, best, random, shares[row])
        boxes[row, 0, column] = grid.boxes()[best]
        boxes[row, 1, column] = grid.boxes()[drawn]
    return boxes


def _covered(image: np.ndarray, boxes: np.ndarray, canvas_side: int) -> np.ndarray:
    """Return copies (m, h, w, 3) of the network's input, each with one box covered."""
    edges = np.rint(boxes.reshape(-1, 4) * canvas_side).astype(int)
    copies = np.repeat(image[None], len(edges), axis=0)
    for copied, (left, top, right, bottom) in zip(copies, edges, strict=True):
        rows = slice(top, min(bottom, len(image)))
        columns = slice(left, min(right, image.shape[1]))
        if rows.start < rows.stop and columns.start < columns.stop:
            copied[rows, columns] = _blurred_surroundings(image, rows, columns)
    return copies


def _blurred_surroundings(image: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """Return a box filled with the blur of the pixels outside it only."""
    outside = np.ones(image.shape[:2])
    outside[rows, columns] = 0
    if not outside.any():
        return np.rint(image.mean(axis=(0, 1)))
    # Wide enough that a Gaussian centred anywhere in the box extends beyond it.
    sigma = _SIGMA * min(rows.stop - rows.start, columns.stop - columns.start)
    down, across = (
        _blur(length, sigma)[box]
        for length, box in zip(image.shape, (rows, columns), strict=False)
    )
    weights = down @ outside @ across.T
    colours = down @ np.moveaxis(image * outside[..., None], 2, 0) @ across.T
    return np.rint(np.moveaxis(colours / weights, 0, 2))


def _blur(length: int, sigma: float) -> np.ndarray:
    """Return the weights of each pixel along an axis in the blur of each other."""
    position = np.arange(length)
    return np.exp(-0.5 * ((position[:, None] - position) / sigma) ** 2)
