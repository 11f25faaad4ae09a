"""The regions to which parts respond most, as boxes in the pixels of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.explanations.model_steps import find_parts
from skdpnet.images.collection import Images, as_images
from skdpnet.images.framing import Framing
from skdpnet.images.geometry import Geometry

__all__ = [
    "BestRegions",
    "best_regions",
    "boxes_in_pixels",
    "images_of",
    "inside_image",
    "region_boxes",
    "strongest_regions",
]


class BestRegions(NamedTuple):
    """The region of each image to which each part responds most.

    Attributes
    ----------
    boxes : float64 ndarray of shape (n, P, 4)
        (left, top, right, bottom) in pixels of the original image, clipped to it: the
        framing and, unless `apply_exif` was True, the EXIF orientation are undone. For
        precomputed features, in shares of the map's sides.
    responses : float32 ndarray of shape (n, P)
        The response to the region, ``max_r S_pr`` over the regions in the image.
    regions : int64 ndarray of shape (n, P)
        The number of the region, ``argmax_r S_pr``, in the grid of the part's map,
        which is the estimator's ``grids_[part_maps_[p]]``.
    """

    boxes: np.ndarray
    responses: np.ndarray
    regions: np.ndarray


def best_regions(estimator, X, *, apply_exif: bool = False) -> BestRegions:
    """Find the region of each image to which each part responds most.

    Parameters
    ----------
    estimator : fitted PartEstimator
        `DPNetClassifier`, `DPNetTransformer`, `SoftAssignParts` or another; or a
        Pipeline that starts with one, or a fitted search of these.
    X : images, or array for ``backbone="precomputed"``
        As for the `transform` of the parts.
    apply_exif : bool, default=False
        Whether boxes are in pixels of the image with its EXIF orientation applied, as
        viewers show it, or of the image as it is stored.

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
        If images cannot be read; the message names all.

    See Also
    --------
    part_gallery : The images to which a part responds most.
    explain : The contribution of each part to the score of an image.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdpnet import DPNetTransformer, best_regions
    >>> X, y = load_digits(return_X_y=True)
    >>> maps = X.reshape(-1, 8, 8, 1)  # a number for each cell
    >>> parts = DPNetTransformer(
    ...     "precomputed",
    ...     n_parts_per_class=1,
    ...     context=False,
    ...     max_epochs=0,
    ...     random_state=0,
    ... ).fit(maps, y)
    >>> best_regions(parts, maps[:3]).boxes.shape
    (3, 10, 4)
    """
    parts, _ = find_parts(estimator)
    images = images_of(parts, X)
    batches = [
        strongest_regions(parts, responses)
        for responses in parts.iter_responses(X if images is None else images)
    ]
    responses, regions = (
        np.concatenate(arrays) for arrays in zip(*batches, strict=True)
    )
    boxes = region_boxes(parts, regions)
    if images is not None:
        geometries = [images.geometry(i) for i in range(len(images))]
        boxes = boxes_in_pixels(geometries, boxes, parts.input_framing(), apply_exif)
    return BestRegions(boxes, responses, regions)


def strongest_regions(
    parts: PartEstimator, responses: Sequence[torch.Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """Find the largest response of each part, and its region.

    Parameters
    ----------
    parts : fitted PartEstimator
    responses : sequence of tensor of shape (n, R, P')
        The responses of the parts of each map, as from `PartEstimator.part_responses`.

    Returns
    -------
    maxima : float32 ndarray of shape (n, P)
    regions : int64 ndarray of shape (n, P)
        Numbers of the regions in the grid of the part's map.
    """
    largest = [tensor.max(dim=1) for tensor in inside_image(parts, responses)]
    return (
        np.hstack([maxima.values.cpu().numpy() for maxima in largest]),
        np.hstack([maxima.indices.cpu().numpy() for maxima in largest]),
    )


def inside_image(
    parts: PartEstimator, responses: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Exclude the regions beside an image from maxima.

    Where an image does not fill its map, a part whose responses are all lower than that
    to an empty region would be found beside the image.

    Parameters
    ----------
    parts : fitted PartEstimator
    responses : sequence of tensor of shape (n, R, P')
        The responses of the parts of each map.

    Returns
    -------
    list of tensor of shape (n, R, P')
        −∞ in regions to which all parts respond with their `empty_responses_`, unless
        all regions of the image are such.
    """
    out = []
    for i, of_map in enumerate(responses):
        to_empty = torch.from_numpy(parts.empty_responses_[parts.part_maps_ == i])
        is_empty = of_map == to_empty.to(of_map.device)
        empty = is_empty.all(dim=2, keepdim=True)
        excluded = empty & ~empty.all(dim=1, keepdim=True)
        out.append(torch.where(excluded, -torch.inf, of_map))
    return out


def region_boxes(parts: PartEstimator, regions: np.ndarray) -> np.ndarray:
    """Return the boxes of a region of each part.

    Parameters
    ----------
    parts : fitted PartEstimator
    regions : int ndarray of shape (n, P)
        Numbers of the regions, as in `BestRegions`.

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
    """Return X as images, so that it is examined only once.

    Parameters
    ----------
    parts : fitted PartEstimator
    X : images, or array for ``backbone="precomputed"``

    Returns
    -------
    Images or None
        None if X holds precomputed features, which have no pixels.
    """
    return None if parts.is_precomputed else as_images(X)


def boxes_in_pixels(
    geometries: Sequence[Geometry],
    boxes: np.ndarray,
    framing: Framing,
    apply_exif: bool,
) -> np.ndarray:
    """Convert boxes from shares of the maps' sides to pixels of the images.

    Parameters
    ----------
    geometries : sequence of n Geometry
        The image of each row of boxes.
    boxes : float ndarray of shape (n, ..., 4)
        (left, top, right, bottom).
    framing : Framing
        What the network saw of the images.
    apply_exif : bool
        As in `best_regions`.

    Returns
    -------
    float64 ndarray of shape (n, ..., 4)
        Clipped to the images.
    """
    out = np.empty(boxes.shape)
    for row, geometry in enumerate(geometries):
        width, height = geometry.upright_size
        upright = geometry.to_upright(boxes[row], framing)
        upright = np.clip(upright, 0, [width, height, width, height])
        out[row] = upright if apply_exif else geometry.to_stored(upright)
    return out
