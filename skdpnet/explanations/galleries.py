"""What parts mean over many images: for a class, and where they respond most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from skdpnet.explanations.contributions import in_pixels
from skdpnet.explanations.readout import find_parts, linear_readout
from skdpnet.utils.validation import class_number, part_numbers

__all__ = [
    "ClassExplanation",
    "PartGallery",
    "explain_class",
    "part_galleries",
    "part_gallery",
]


@dataclass(frozen=True, eq=False)
class ClassExplanation:
    """How much each part takes part in a class.

    Made by `explain_class`.

    Attributes
    ----------
    explained : label
    n_images : int
        How many the means are over.
    score : float
        Mean logit of the class, ``contributions.sum() + bias``.
    bias : float
    contributions : float64 ndarray of shape (P,)
        Mean of each part's contribution ``V_cp · b_p`` to the class's logit.
    weights : float64 ndarray of shape (P,)
        V_cp, on the descriptor that the parts' `transform` gives; any
        standardisation between that and the classifier is folded in.
    order : int ndarray of shape (P,)
        Numbers of the parts, largest mean contribution first.
    part_names : object ndarray of shape (P,)
    part_classes, part_maps : int ndarrays of shape (P,)
        Class, as an index into the classes that the parts were learned with, and map
        that each part belongs to.
    """

    explained: Any
    n_images: int
    score: float
    bias: float
    contributions: np.ndarray = field(repr=False)
    weights: np.ndarray = field(repr=False)
    order: np.ndarray = field(repr=False)
    part_names: np.ndarray = field(repr=False)
    part_classes: np.ndarray = field(repr=False)
    part_maps: np.ndarray = field(repr=False)


def explain_class(estimator, class_, X) -> ClassExplanation:
    """Tell which parts speak for a class, on average over images.

    Parameters
    ----------
    estimator : fitted classifier
        As in `explain`.
    class_ : label
    X : images, or array for ``backbone="precomputed"``
        The images to average over, for instance those of the class.

    Returns
    -------
    ClassExplanation

    Raises
    ------
    NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If `class_` is no class, or if the model has no parts or its classifier is not
        linear.
    """
    readout = linear_readout(estimator)
    parts = readout.parts
    c = class_number(readout.classes, class_)
    total, n = np.zeros(readout.coef.shape[1]), 0
    for responses in parts._responses(X):
        piece = parts._descriptors(responses)
        total += piece.sum(axis=0, dtype=np.float64)
        n += len(piece)
    contributions = readout.coef[c] * total / n
    bias = float(readout.intercept[c])
    return ClassExplanation(
        explained=readout.classes.tolist()[c],
        n_images=n,
        score=float(contributions.sum()) + bias,
        bias=bias,
        contributions=contributions,
        weights=readout.coef[c],
        order=np.argsort(-contributions, kind="stable"),
        part_names=parts.get_feature_names_out(),
        part_classes=parts.part_classes_,
        part_maps=parts.part_maps_,
    )


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
        Cosine of part and region.
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
        How many; fewer where X has fewer. Of equal responses, the first images'.
    apply_exif : bool, default=False
        True: boxes in pixels of the image as a viewer shows it, with its EXIF
        orientation applied; False: as it is stored.

    Returns
    -------
    PartGallery

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If it has no parts, n is no number above 0, or `part` is several.
    IndexError
        If there is no such part.

    See Also
    --------
    part_galleries : Of several parts, seeing the images once.
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
        As in `part_gallery`, which also tells the errors.

    Returns
    -------
    list of PartGallery
        In the order of `parts`.
    """
    fitted, _ = find_parts(estimator)
    numbers = part_numbers(parts, len(fitted.part_maps_))
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise ValueError(f"n must be a whole number above 0, got {n!r}.")
    best = _Strongest(n, len(numbers))
    for responses in fitted._responses(X):
        best.add(*_of_parts(fitted.part_maps_, responses, numbers))
    names = fitted.get_feature_names_out()
    galleries = []
    for k, p in enumerate(numbers):
        images, regions = best.images[:, k], best.regions[:, k]
        boxes = fitted.grids_[fitted.part_maps_[p]].boxes()[regions]
        galleries.append(
            PartGallery(
                part=int(p),
                name=str(names[p]),
                images=images,
                responses=best.responses[:, k],
                regions=regions,
                boxes=in_pixels(fitted, X, boxes, images, apply_exif),
            )
        )
    return galleries


class _Strongest:
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


def _of_parts(
    part_maps: np.ndarray, responses: Sequence[torch.Tensor], numbers: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Maxima over the regions and where they are, (n', k), of some parts alone."""
    shape = len(responses[0]), len(numbers)
    maxima, regions = np.empty(shape, np.float32), np.empty(shape, np.intp)
    for i, own in enumerate(responses):
        here = part_maps[numbers] == i
        columns = numbers[here] - np.searchsorted(part_maps, i)
        found = own[:, :, torch.from_numpy(columns).to(own.device)].max(dim=1)
        maxima[:, here] = found.values.cpu().numpy()
        regions[:, here] = found.indices.cpu().numpy()
    return maxima, regions
