"""Galleries of parts: the images and regions to which a part responds most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.explanations.localisation import (
    boxes_in_pixels,
    images_of,
    inside_image,
)
from skdpnet.explanations.model_steps import find_parts
from skdpnet.utils.validation import check_whole, part_numbers

__all__ = [
    "PartGallery",
    "part_galleries",
    "part_gallery",
]


@dataclass(frozen=True, eq=False)
class PartGallery:
    """The regions in a set of images to which a part responds most.

    `part_gallery` returns it. It has at most one region of each image, strongest first.

    Attributes
    ----------
    part : int
        Number of the part.
    name : str
        Name of the part.
    images : int ndarray of shape (n,)
        Numbers of the images in X.
    responses : float32 ndarray of shape (n,)
        The response of the part to each region.
    regions : int ndarray of shape (n,)
        Numbers of the regions in the grid of the part's map.
    boxes : float64 ndarray of shape (n, 4)
        The regions: (left, top, right, bottom) in pixels of the image; for precomputed
        features, in shares of the map's sides.

    See Also
    --------
    skdpnet.display.PartGalleryDisplay : Draws galleries.
    """

    part: int
    name: str
    images: np.ndarray
    responses: np.ndarray
    regions: np.ndarray = field(repr=False)
    boxes: np.ndarray = field(repr=False)


def part_gallery(
    estimator, part: int, X, n: int = 8, *, apply_exif: bool = False
) -> PartGallery:
    """Find the images, and the regions in them, to which a part responds most.

    Parameters
    ----------
    estimator : fitted PartEstimator
        `DPNetClassifier`, `DPNetTransformer`, `SoftAssignParts` or another; or a
        Pipeline that starts with one, or a fitted search of these.
    part : int
        Number of the part.
    X : images, or array for ``backbone="precomputed"``
        As for the `transform` of the parts.
    n : int, default=8
        Maximal number of images. Among equal responses, earlier images come first.
    apply_exif : bool, default=False
        Whether boxes are in pixels of the image with its EXIF orientation applied, as
        viewers show it, or of the image as it is stored.

    Returns
    -------
    PartGallery

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If it has no parts, if `n` is not a whole number of at least 1, or if `part` is
        not a single number.
    IndexError
        If there is no part with this number.
    skdpnet.images.ImageError
        If images cannot be read; the message names all.

    See Also
    --------
    part_galleries : The galleries of several parts, in one pass over the images.
    best_regions : The region of each image to which each part responds most.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetTransformer, part_gallery
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> parts = DPNetTransformer(
    ...     "precomputed", n_parts_per_class=1, max_epochs=0, random_state=0
    ... ).fit(X, y)
    >>> gallery = part_gallery(parts, 2, X, n=5)
    >>> gallery.name, gallery.images.shape
    ('2_part0', (5,))
    """
    if np.ndim(part) != 0:
        raise ValueError(f"part must be one number, got {part!r}: see part_galleries.")
    (gallery,) = part_galleries(estimator, [part], X, n, apply_exif=apply_exif)
    return gallery


def part_galleries(
    estimator, parts: ArrayLike | None, X, n: int = 8, *, apply_exif: bool = False
) -> list[PartGallery]:
    """Find the galleries of several parts, in one pass over the images.

    Parameters
    ----------
    parts : int, array-like of int, bool array-like of shape (P,), or None
        Numbers of the parts, or a mask. None: all parts.
    estimator, X, n, apply_exif
        As in `part_gallery`.

    Returns
    -------
    list of PartGallery
        In the order of `parts`.

    Raises
    ------
    sklearn.exceptions.NotFittedError, ValueError, IndexError
        As `part_gallery`.
    TypeError
        If `parts` holds anything but whole numbers.

    See Also
    --------
    part_gallery : The gallery of one part.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetTransformer, part_galleries
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> parts = DPNetTransformer(
    ...     "precomputed", n_parts_per_class=1, max_epochs=0, random_state=0
    ... ).fit(X, y)
    >>> [gallery.name for gallery in part_galleries(parts, None, X, n=3)]
    ['0_part0', '1_part0', '2_part0', '0_context', '1_context', '2_context']
    """
    fitted, _ = find_parts(estimator)
    images = images_of(fitted, X)
    numbers = part_numbers(parts, len(fitted.part_maps_))
    strongest = _StrongestImages(check_whole("n", n, 1), len(numbers))
    for responses in fitted.iter_responses(X if images is None else images):
        strongest.add(*_maxima_of_parts(fitted, responses, numbers))
    names = fitted.get_part_names()
    framing = None if images is None else fitted.input_framing()
    galleries = []
    for k, p in enumerate(numbers):
        image_numbers, regions = strongest.images[:, k], strongest.regions[:, k]
        boxes = fitted.grids_[fitted.part_maps_[p]].boxes()[regions]
        if images is not None and framing is not None:
            geometries = [images.geometry(i) for i in image_numbers]
            boxes = boxes_in_pixels(geometries, boxes, framing, apply_exif)
        galleries.append(
            PartGallery(
                part=int(p),
                name=str(names[p]),
                images=image_numbers,
                responses=strongest.responses[:, k],
                regions=regions,
                boxes=boxes,
            )
        )
    return galleries


class _StrongestImages:
    """The n images with the largest responses of each part, of the images so far.

    Attributes
    ----------
    responses, images, regions : ndarrays of shape (n', n_parts)
        The largest responses of each part, and the numbers of their images and regions.
    """

    def __init__(self, n: int, n_parts: int):
        self._n, self._n_images = n, 0
        self.responses = np.empty((0, n_parts), np.float32)
        self.images = np.empty((0, n_parts), np.intp)
        self.regions = np.empty((0, n_parts), np.intp)

    def add(self, responses: np.ndarray, regions: np.ndarray) -> None:
        """Add the next images, by the maxima of the parts and their regions."""
        numbers = np.arange(self._n_images, self._n_images + len(responses))
        self._n_images += len(responses)
        images = np.broadcast_to(numbers[:, None], responses.shape)
        responses = np.concatenate([self.responses, responses])
        # The sort is stable, so that earlier images come first among equal responses.
        order = np.argsort(-responses, axis=0, kind="stable")[: self._n]

        def select(values):
            return np.take_along_axis(values, order, axis=0)

        self.responses = select(responses)
        self.images = select(np.concatenate([self.images, images]))
        self.regions = select(np.concatenate([self.regions, regions]))


def _maxima_of_parts(
    parts: PartEstimator, responses: Sequence[torch.Tensor], numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maxima over the regions, and the regions, of the chosen parts."""
    shape = len(responses[0]), len(numbers)
    maxima, regions = np.empty(shape, np.float32), np.empty(shape, np.intp)
    for i, tensor in enumerate(inside_image(parts, responses)):
        on_map = parts.part_maps_[numbers] == i
        columns = numbers[on_map] - np.searchsorted(parts.part_maps_, i)
        largest = tensor[:, :, torch.from_numpy(columns).to(tensor.device)].max(dim=1)
        maxima[:, on_map] = largest.values.cpu().numpy()
        regions[:, on_map] = largest.indices.cpu().numpy()
    return maxima, regions
