"""The images and regions that a part responds to most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike

from skdpnet.explanations.localisation import boxes_in_pixels, images_of
from skdpnet.explanations.readout import find_parts
from skdpnet.utils.validation import check_whole, part_numbers

__all__ = [
    "PartGallery",
    "part_galleries",
    "part_gallery",
]


@dataclass(frozen=True, eq=False)
class PartGallery:
    """The regions of a set of images that a part responds to most.

    Made by `part_gallery`; at most one region an image, strongest first.

    Attributes
    ----------
    part : int
    name : str
    images : int ndarray of shape (n,)
        Numbers of the images in X.
    responses : float32 ndarray of shape (n,)
        Response of the part to the region.
    regions : int ndarray of shape (n,)
        Numbers of the regions in the grid of the part's map.
    boxes : float64 ndarray of shape (n, 4)
        (left, top, right, bottom) in pixels of the image; for precomputed features
        in shares of the map's sides.
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
    """Find the images, and the places in them, that a part responds to most.

    Parameters
    ----------
    estimator : fitted DPNetClassifier, DPNetTransformer or SoftAssignParts
        Or a Pipeline that starts with one, or a fitted search of these.
    part : int
    X : images, or array for ``backbone="precomputed"``
    n : int, default=8
        Number of images; fewer where X has fewer. Among equal responses, earlier images
        come first.
    apply_exif : bool, default=False
        True: boxes in pixels of the image as a viewer shows it, with its EXIF
        orientation applied; False: as it is stored.

    Returns
    -------
    PartGallery

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    ValueError
        If it has no parts, if `n` is not a whole number above 0, or if `part` is more
        than one number.
    IndexError
        If there is no such part.
    skdpnet.images.ImageError
        Names the first item of X that is no readable image.

    See Also
    --------
    part_galleries : The galleries of several parts, in one pass over the images.
    best_regions : The region of every image that each part responds to most.

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
    """Find what each of several parts responds to most, seeing the images once.

    Parameters
    ----------
    parts : int, array-like of int, bool array-like of shape (P,), or None
        None: all.
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

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetTransformer, part_galleries
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> parts = DPNetTransformer(
    ...     "precomputed", n_parts_per_class=1, max_epochs=0, random_state=0
    ... ).fit(X, y)
    >>> [gallery.name for gallery in part_galleries(parts, None, X, n=3)]
    ['0_part0', '1_part0', '2_part0']
    """
    fitted, _ = find_parts(estimator)
    images = images_of(fitted, X)
    numbers = part_numbers(parts, len(fitted.part_maps_))
    best = _StrongestImages(check_whole("n", n, 1), len(numbers))
    for responses in fitted.iter_responses(X if images is None else images):
        best.add(*_strongest_of_parts(fitted.part_maps_, responses, numbers))
    names = fitted.get_feature_names_out()
    galleries = []
    for k, p in enumerate(numbers):
        image_numbers, regions = best.images[:, k], best.regions[:, k]
        boxes = fitted.grids_[fitted.part_maps_[p]].boxes()[regions]
        galleries.append(
            PartGallery(
                part=int(p),
                name=str(names[p]),
                images=image_numbers,
                responses=best.responses[:, k],
                regions=regions,
                boxes=boxes_in_pixels(images, boxes, image_numbers, apply_exif),
            )
        )
    return galleries


class _StrongestImages:
    """The n largest responses of each of k parts so far, and where they are."""

    def __init__(self, n: int, k: int):
        self._n, self._seen = n, 0
        self.responses = np.empty((0, k), np.float32)
        self.images = np.empty((0, k), np.intp)
        self.regions = np.empty((0, k), np.intp)

    def add(self, responses: np.ndarray, regions: np.ndarray) -> None:
        """Take in the next images, one region (n', k) each."""
        numbers = np.arange(self._seen, self._seen + len(responses))
        self._seen += len(responses)
        images = np.broadcast_to(numbers[:, None], responses.shape)
        responses = np.concatenate([self.responses, responses])
        # Stable, so that of equals those that came first stay.
        order = np.argsort(-responses, axis=0, kind="stable")[: self._n]

        def keep(all_of_them):
            return np.take_along_axis(all_of_them, order, axis=0)

        self.responses = keep(responses)
        self.images = keep(np.concatenate([self.images, images]))
        self.regions = keep(np.concatenate([self.regions, regions]))


def _strongest_of_parts(
    part_maps: np.ndarray, responses: Sequence[torch.Tensor], numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Maxima over the regions and where they are, (n', k), of some parts alone."""
    shape = len(responses[0]), len(numbers)
    maxima, regions = np.empty(shape, np.float32), np.empty(shape, np.intp)
    for i, of_map in enumerate(responses):
        on_map = part_maps[numbers] == i
        columns = numbers[on_map] - np.searchsorted(part_maps, i)
        best = of_map[:, :, torch.from_numpy(columns).to(of_map.device)].max(dim=1)
        maxima[:, on_map] = best.values.cpu().numpy()
        regions[:, on_map] = best.indices.cpu().numpy()
    return maxima, regions
