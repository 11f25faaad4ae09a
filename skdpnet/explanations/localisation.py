"""Where in an image the parts respond most, as boxes in the image's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.explanations.readout import find_parts
from skdpnet.images.collection import Images, as_images

__all__ = [
    "BestRegions",
    "best_regions",
    "boxes_in_pixels",
    "images_of",
    "region_boxes",
    "strongest_regions",
]


class BestRegions(NamedTuple):
    """The region of each image to which each part responds most.

    Attributes
    ----------
    boxes : float64 ndarray of shape (n, P, 4)
        (left, top, right, bottom) in pixels of the original image: resizing, crop
        and EXIF orientation are undone. For precomputed features: in shares of the
        map's sides.
    responses : float32 ndarray of shape (n, P)
        The response there, ``max_r S_pr``.
    regions : int64 ndarray of shape (n, P)
        Number of the region, ``argmax_r S_pr``, in the grid of the part's map: the
        estimator's ``grids_[part_maps_[p]]``.
    """

    boxes: np.ndarray
    responses: np.ndarray
    regions: np.ndarray


def best_regions(estimator, X, *, apply_exif: bool = False) -> BestRegions:
    """Find the region that each part responds to most.

    Parameters
    ----------
    estimator : fitted DPNetClassifier, DPNetTransformer or SoftAssignParts
        Or any other `PartEstimator`, a Pipeline that starts with one, or a fitted
        search of these.
    X : images, or array for ``backbone="precomputed"``
        As the estimator's `transform` takes them.
    apply_exif : bool, default=False
        True: boxes are in pixels of the image as a viewer shows it, with its EXIF
        orientation applied; False: as it is stored.

    Returns
    -------
    BestRegions

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If it has no parts, or if the maps of X have other shapes than in `fit`.
    skdpnet.images.ImageError
        Names the first item of X that is no readable image.

    See Also
    --------
    part_gallery : The images that a part responds to most.
    explain : Which parts decided about an image.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdpnet import DPNetTransformer, best_regions
    >>> X, y = load_digits(return_X_y=True)
    >>> maps = X.reshape(-1, 8, 8, 1)  # one number a cell
    >>> parts = DPNetTransformer(
    ...     "precomputed", n_parts_per_class=1, max_epochs=0, random_state=0
    ... ).fit(maps, y)
    >>> best_regions(parts, maps[:3]).boxes.shape
    (3, 10, 4)
    """
    parts, _ = find_parts(estimator)
    images = images_of(parts, X)
    batches = [
        strongest_regions(responses)
        for responses in parts.iter_responses(X if images is None else images)
    ]
    responses, regions = (
        np.concatenate(arrays) for arrays in zip(*batches, strict=True)
    )
    boxes = region_boxes(parts, regions)
    numbers = np.arange(len(boxes))
    return BestRegions(
        boxes_in_pixels(images, boxes, numbers, apply_exif), responses, regions
    )


def strongest_regions(
    responses: Sequence[torch.Tensor],
) -> tuple[np.ndarray, np.ndarray]:
    """Find the largest response of each part, and its region.

    Parameters
    ----------
    responses : sequence of tensor of shape (n, R, P')
        Of the parts of each map.

    Returns
    -------
    maxima : float32 ndarray of shape (n, P)
    regions : int64 ndarray of shape (n, P)
    """
    found = [responses_on_map.max(dim=1) for responses_on_map in responses]
    return (
        np.hstack([best.values.cpu().numpy() for best in found]),
        np.hstack([best.indices.cpu().numpy() for best in found]),
    )


def region_boxes(parts: PartEstimator, regions: np.ndarray) -> np.ndarray:
    """Return where each part's region lies.

    Parameters
    ----------
    parts : fitted PartEstimator
    regions : int ndarray of shape (n, P)
        As `BestRegions.regions`.

    Returns
    -------
    float64 ndarray of shape (n, P, 4)
        (left, top, right, bottom) in shares of the maps' sides.
    """
    boxes = np.empty((*regions.shape, 4))
    for i, grid in enumerate(parts.grids_):
        on_map = parts.part_maps_ == i
        boxes[:, on_map] = grid.boxes()[regions[:, on_map]]
    return boxes


def images_of(parts: PartEstimator, X) -> Images | None:
    """Return X as images, once for all that is done with them.

    Parameters
    ----------
    parts : fitted PartEstimator
    X : images, or array for ``backbone="precomputed"``

    Returns
    -------
    Images or None
        None where X holds precomputed features, which have no pixels.
    """
    return None if parts.is_precomputed else as_images(X)


def boxes_in_pixels(
    images: Images | None,
    boxes: np.ndarray,
    numbers: Sequence | np.ndarray,
    apply_exif: bool,
) -> np.ndarray:
    """Bring boxes from shares of the maps' sides to pixels of the images.

    Parameters
    ----------
    images : Images or None
        None, for precomputed features: the boxes are returned as they are.
    boxes : float ndarray of shape (n, ..., 4)
        (left, top, right, bottom).
    numbers : sequence of n ints
        Number of the image that each row of boxes lies in.
    apply_exif : bool
        As in `best_regions`.

    Returns
    -------
    float64 ndarray of shape (n, ..., 4)
    """
    if images is None:
        return boxes
    out = np.empty(boxes.shape)
    for row, i in enumerate(numbers):
        geometry = images.geometry(i)
        to_pixels = geometry.to_upright if apply_exif else geometry.to_original
        out[row] = to_pixels(boxes[row])
    return out
