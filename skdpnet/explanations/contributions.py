"""Which parts decided about an image, and where they were found: data, no drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from skdpnet.explanations.explanation import Explanation
from skdpnet.explanations.readout import LinearReadout, find_parts, linear_readout
from skdpnet.images.arrays import CHANNELS
from skdpnet.images.collection import as_images
from skdpnet.utils.validation import class_number

__all__ = [
    "BestRegions",
    "batch_of_one",
    "best_regions",
    "explain",
    "explain_each",
    "in_pixels",
    "region_boxes",
]


class BestRegions(NamedTuple):
    """The strongest region of every part in every image.

    Attributes
    ----------
    boxes : float64 ndarray of shape (n, P, 4)
        (left, top, right, bottom) in pixels of the original image: resizing, crop
        and EXIF orientation are undone. For precomputed features: in shares of the
        map's sides.
    responses : float32 ndarray of shape (n, P)
        The cosine of part and region, ``max_r S_pr``.
    regions : int64 ndarray of shape (n, P)
        Number of the region, ``argmax_r S_pr``, in the grid of the part's own map:
        the estimator's ``grids_[part_maps_[p]]``.
    """

    boxes: np.ndarray
    responses: np.ndarray
    regions: np.ndarray


def best_regions(estimator, X, *, apply_exif: bool = False) -> BestRegions:
    """Find the region that each part responds to most.

    Parameters
    ----------
    estimator : fitted DPNetClassifier, DPNetTransformer or SoftAssignParts
        Or a Pipeline that starts with one, or a fitted search of these.
    X : images, or array for ``backbone="precomputed"``
        As the estimator's own `transform` takes them.
    apply_exif : bool, default=False
        True: boxes in pixels of the image as a viewer shows it, with its EXIF
        orientation applied; False: as it is stored.

    Returns
    -------
    BestRegions
    """
    estimator, _ = find_parts(estimator)
    strongest = [_strongest(piece) for piece in estimator._responses(X)]
    responses, regions = (np.concatenate(own) for own in zip(*strongest, strict=True))
    boxes = region_boxes(estimator, regions)
    images = np.arange(len(boxes))
    return BestRegions(
        in_pixels(estimator, X, boxes, images, apply_exif), responses, regions
    )


def _strongest(responses: Sequence[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Maxima over the regions and where they are, both (n, P), of maps' responses."""
    found = [own.max(dim=1) for own in responses]
    return (
        np.hstack([own.values.cpu().numpy() for own in found]),
        np.hstack([own.indices.cpu().numpy() for own in found]),
    )


def region_boxes(estimator, regions: np.ndarray) -> np.ndarray:
    """Look up where each part's region lies.

    Parameters
    ----------
    estimator : fitted PartEstimator
    regions : int ndarray of shape (n, P)
        As `BestRegions.regions`.

    Returns
    -------
    float64 ndarray of shape (n, P, 4)
        (left, top, right, bottom) in shares of the maps' sides.
    """
    boxes = np.empty((*regions.shape, 4))
    for i, grid in enumerate(estimator.grids_):
        own = estimator.part_maps_ == i
        boxes[:, own] = grid.boxes()[regions[:, own]]
    return boxes


def in_pixels(
    estimator, X, boxes: np.ndarray, numbers: Sequence | np.ndarray, apply_exif: bool
) -> np.ndarray:
    """Bring boxes from shares of the maps' sides to pixels of the images.

    Parameters
    ----------
    estimator : fitted PartEstimator
        One of precomputed features knows no pixels: its boxes stay as they are.
    X : images
    boxes : float ndarray of shape (n, ..., 4)
        (left, top, right, bottom).
    numbers : sequence of n ints
        Which of the images in X each row of boxes lies in.
    apply_exif : bool
        As in `best_regions`.

    Returns
    -------
    float64 ndarray of shape (n, ..., 4)
    """
    if estimator._takes_features():
        return boxes
    images, out = as_images(X), np.empty(boxes.shape)
    for row, i in enumerate(numbers):
        geometry = images.geometry(i)
        place = geometry.to_upright if apply_exif else geometry.to_original
        out[row] = place(boxes[row])
    return out


def explain(estimator, image, class_=None, *, apply_exif: bool = False) -> Explanation:
    """Explain the score that a model gives an image for a class.

    The score is a sum over the parts, of what each contributes, plus a bias.

    Parameters
    ----------
    estimator : fitted classifier
        A `DPNetClassifier`; or a Pipeline of parts (`DPNetTransformer`,
        `SoftAssignParts`, `DPNetClassifier`), StandardScaler if wanted, and a linear
        classifier of scikit-learn. Either may stand in a fitted search
        (`GridSearchCV`), whose best estimator is then meant.
    image : image, or array for ``backbone="precomputed"``
        One path, PIL image, array or tensor; precomputed: the map (or maps) of one
        image. A list or batch of one will do.
    class_ : label, default=None
        Class whose score is explained; None: the predicted one.
    apply_exif : bool, default=False
        True: boxes in pixels of the image as a viewer shows it, with its EXIF
        orientation applied, which is also how a heat map lies; False: as it is stored.

    Returns
    -------
    Explanation

    Raises
    ------
    NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If `class_` is no class, if the model has no parts or its classifier is not
        linear, or if there is more than one image.
    skdpnet.images.ImageError
        If the image cannot be read.

    See Also
    --------
    explain_each : Of many images, which go through the network in batches.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetClassifier, explain
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> model = DPNetClassifier(
    ...     backbone="precomputed", n_parts_per_class=2, random_state=0
    ... ).fit(X, y)
    >>> why = explain(model, X[0])
    >>> why.predicted, why.contributions.shape
    (0, (6,))
    >>> bool(abs(why.contributions.sum() + why.bias - why.score) < 1e-6)
    True
    """
    batch = batch_of_one(find_parts(estimator)[0], image)
    (why,) = explain_each(estimator, batch, class_, apply_exif=apply_exif)
    return why


def explain_each(
    estimator, X, class_=None, *, apply_exif: bool = False
) -> Iterator[Explanation]:
    """Explain the scores of many images, one after the other.

    Parameters
    ----------
    estimator, class_, apply_exif
        As in `explain`, which also tells the errors.
    X : images, or array for ``backbone="precomputed"``
        As the parts' own `transform` takes them.

    Yields
    ------
    Explanation
        Of each image, in order. Only the feature maps, and the responses of some
        images at a time, are in memory.
    """
    readout = linear_readout(estimator)
    asked = None if class_ is None else class_number(readout.classes, class_)
    parts, first = readout.parts, 0
    for responses in parts._responses(X):
        yield from _explain_piece(readout, X, responses, first, asked, apply_exif)
        first += len(responses[0])


def _explain_piece(
    readout: LinearReadout,
    X,
    responses: Sequence[torch.Tensor],
    first: int,
    asked: int | None,
    apply_exif: bool,
) -> Iterator[Explanation]:
    """Explain some successive images, whose first has the number `first` in X."""
    parts, labels = readout.parts, readout.classes.tolist()
    descriptors = parts._descriptors(list(responses)).astype(np.float64)
    scores = descriptors @ readout.coef.T + readout.intercept
    maxima, regions = _strongest(responses)
    # The last box is the whole map.
    whole = np.broadcast_to([0.0, 0.0, 1.0, 1.0], (len(maxima), 1, 4))
    boxes = np.append(region_boxes(parts, regions), whole, axis=1)
    images = np.arange(first, first + len(boxes))
    boxes = in_pixels(parts, X, boxes, images, apply_exif)
    cosines = [own.cpu().numpy() for own in responses]
    names = parts.get_feature_names_out()
    for i, descriptor in enumerate(descriptors):
        c = int(scores[i].argmax()) if asked is None else asked
        yield Explanation(
            predicted=labels[int(scores[i].argmax())],
            explained=labels[c],
            against=None,
            score=float(scores[i, c]),
            contributions=readout.coef[c] * descriptor,
            bias=float(readout.intercept[c]),
            classes=readout.classes,
            scores=scores[i],
            weights=readout.coef[c],
            responses=maxima[i],
            boxes=boxes[i, :-1],
            part_names=names,
            part_classes=parts.part_classes_,
            part_maps=parts.part_maps_,
            heat_map_box=boxes[i, -1],
            coef=readout.coef,
            intercept=readout.intercept,
            descriptor=descriptor,
            grids=tuple(parts.grids_),
            # A copy, lest one explanation keep those of the whole piece.
            cosines=tuple(own[i].copy() for own in cosines),
            beta=parts._sharpness,
        )


def batch_of_one(parts, image):
    """Return X with one image, whether given alone or as a batch.

    Parameters
    ----------
    parts : fitted PartEstimator
    image : image, array of features, or list or batch of one
        As `explain` takes it.

    Returns
    -------
    X

    Raises
    ------
    ValueError
        If there is more than one image.
    """
    if parts._takes_features():
        batch = image if hasattr(image, "ndim") else np.asarray(image)
        several = getattr(getattr(batch, "dtype", None), "names", None) is not None
        if batch.ndim == (0 if several else len(parts.map_shapes_[0])):
            batch = np.asarray(batch)[None]
    elif isinstance(image, (list, tuple)) or _is_batch(image):
        batch = image
    else:
        batch = [image]
    if len(batch) != 1:
        raise ValueError(
            f"explain takes one image, got {len(batch)}: see explain_each."
        )
    return batch


def _is_batch(image) -> bool:
    """Whether an array is a batch of images; n×h×w are greyscale ones."""
    shape: tuple[int, ...] = getattr(image, "shape", ())
    grey = len(shape) == 3 and shape[0] == 1 and shape[2] not in CHANNELS
    return len(shape) in (1, 4) or grey
