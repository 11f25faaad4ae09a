"""The contribution of each part to the score of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.explanations.explanation import Explanation
from skdpnet.explanations.localisation import (
    boxes_in_pixels,
    images_of,
    region_boxes,
    strongest_regions,
)
from skdpnet.explanations.model_steps import find_parts
from skdpnet.explanations.readout import Readout, read_model
from skdpnet.images.collection import Images
from skdpnet.images.containers import is_batch
from skdpnet.images.framing import Framing

__all__ = ["batch_of_one", "explain", "explain_each"]


def explain(estimator, image, class_=None, *, apply_exif: bool = False) -> Explanation:
    """Explain the score that a model computes for a class in an image.

    The score is the sum of the contributions of the parts, plus a bias.

    Parameters
    ----------
    estimator : fitted classifier, or `DPNetRegressor`
        A `DPNetClassifier`; or a Pipeline of parts (`DPNetTransformer`,
        `SoftAssignParts`, `DPNetClassifier` or another `PartEstimator`), StandardScaler
        if wanted, and a linear classifier of scikit-learn or a classifier that computes
        contributions itself (`skdpnet.explanations.readout.EstimatorReadout`). Of a
        fitted search (`GridSearchCV`), the best estimator is explained.
    image : image, or array for ``backbone="precomputed"``
        A path, PIL image, array or tensor; precomputed: the map (or maps) of an image.
        A list or batch of one image is accepted too.
    class_ : label, default=None
        The class whose score is explained. None: the class of the largest score, which
        is the predicted one; of a model of several labels an image, the class that it
        is surest of, whether it predicts it or not. Of a regressor, the number of a
        target whose prediction is explained; None: the first.
    apply_exif : bool, default=False
        Whether boxes are in pixels of the image with its EXIF orientation applied, as
        viewers show it, or of the image as it is stored. Heat maps always have the
        orientation of the former.

    Returns
    -------
    Explanation

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If `class_` is not a class of the model, if there is more than one image, or if
        the model cannot be explained: it has no parts, or its classifier is neither
        linear nor computes contributions itself.
    skdpnet.images.ImageError
        If the image cannot be read.

    See Also
    --------
    explain_each : Explain many images, which pass through the network in batches.
    explain_class : Mean contributions to the score of a class.

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
    (0, (9,))
    >>> bool(abs(why.contributions.sum() + why.bias - why.score) < 1e-6)
    True
    """
    batch = batch_of_one(find_parts(estimator)[0], image)
    (explanation,) = explain_each(estimator, batch, class_, apply_exif=apply_exif)
    return explanation


def explain_each(
    estimator, X, class_=None, *, apply_exif: bool = False
) -> Iterator[Explanation]:
    """Explain the scores of many images.

    Parameters
    ----------
    estimator, class_, apply_exif
        As in `explain`.
    X : images, or array for ``backbone="precomputed"``
        As for the `transform` of the parts.

    Yields
    ------
    Explanation
        The explanation of the next image. Only the maps and responses of some images
        are in memory at a time.

    Raises
    ------
    sklearn.exceptions.NotFittedError, ValueError, skdpnet.images.ImageError
        As `explain`.

    See Also
    --------
    explain : Explain one image.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skdpnet import DPNetClassifier, explain_each
    >>> X, y = load_iris(return_X_y=True, as_frame=False)
    >>> model = DPNetClassifier("precomputed", random_state=0).fit(X, y)
    >>> [why.predicted for why in explain_each(model, X[::50])]
    [0, 1, 2]
    """
    parts, readout = read_model(estimator)
    explained = None if class_ is None else readout.number_of(class_)
    images = images_of(parts, X)
    framing = None if images is None else parts.input_framing()
    first = 0
    described = parts.iter_described(X if images is None else images)
    for responses, descriptors in described:
        numbers = range(first, first + len(descriptors))
        places = _Places(parts, images, numbers, framing, apply_exif)
        yield from _explain_some(
            parts, readout, places, responses, descriptors, explained
        )
        first += len(numbers)


class _Places:
    """Where the regions of some images lie in the images.

    Parameters
    ----------
    parts : PartEstimator
    images : Images or None
        None: X holds precomputed features.
    numbers : range
        The images' positions in X.
    framing : Framing or None
        What the network sees of an image; None for precomputed features.
    apply_exif : bool
        As in `explain`.
    """

    def __init__(
        self,
        parts: PartEstimator,
        images: Images | None,
        numbers: range,
        framing: Framing | None,
        apply_exif: bool,
    ):
        self._parts, self._framing, self._apply_exif = parts, framing, apply_exif
        self._geometries = (
            [] if images is None else [images.geometry(i) for i in numbers]
        )

    def boxes(self, regions: np.ndarray) -> np.ndarray:
        """Return the boxes (n, P, 4) of a region of each part, by its number."""
        boxes = region_boxes(self._parts, regions)
        if self._framing is None:
            return boxes
        return boxes_in_pixels(self._geometries, boxes, self._framing, self._apply_exif)

    def of_heat_map(self, i: int) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
        """Return the box that an image's heat map covers, and its extent on each map.

        It is the network's input, which need not cover the canvas of the maps.
        """
        box, share = np.array([0.0, 0.0, 1.0, 1.0]), (1.0, 1.0)
        if self._framing is not None:
            geometry = self._geometries[i]
            share = self._framing.view(*geometry.upright_size).input_share
            upright = geometry.to_upright([0, 0, *share], self._framing)
            box = upright if self._apply_exif else geometry.to_stored(upright)
        across, down = share
        return box, tuple(
            (round(down * grid.height), round(across * grid.width))
            for grid in self._parts.grids_
        )


def _explain_some(
    parts: PartEstimator,
    readout: Readout,
    places: _Places,
    responses: Sequence[torch.Tensor],
    descriptors: np.ndarray,
    explained: int | None,
) -> Iterator[Explanation]:
    """Explain some images."""
    labels = readout.classes.tolist()
    scores = readout.scores(descriptors)
    is_target = readout.outcome == "target"
    largest = scores.argmax(axis=1).tolist()
    maxima, regions = strongest_regions(parts, responses)
    boxes = places.boxes(regions)
    cosines = [tensor.cpu().numpy() for tensor in responses]
    names = parts.get_part_names()
    for i, descriptor in enumerate(descriptors):
        by_default = 0 if is_target else largest[i]
        c = by_default if explained is None else explained
        heat_map_box, extents = places.of_heat_map(i)
        yield Explanation(
            predicted=float(scores[i, c]) if is_target else labels[largest[i]],
            explained=labels[c],
            against=None,
            score=float(scores[i, c]),
            contributions=readout.contributions(descriptor[None], c)[0],
            bias=float(readout.biases(descriptor[None], c)[0]),
            classes=readout.classes,
            scores=scores[i],
            weights=readout.weights(c),
            responses=maxima[i],
            boxes=boxes[i],
            part_names=names,
            part_classes=parts.part_classes_,
            part_maps=parts.part_maps_,
            heat_map_box=heat_map_box,
            readout=readout,
            descriptor=descriptor,
            grids=tuple(parts.grids_),
            extents=extents,
            # Copies, so that an explanation that is kept does not keep the responses
            # of all images that were computed together with it.
            cosines=tuple(array[i].copy() for array in cosines),
            beta=parts.beta_,
        )


def batch_of_one(parts: PartEstimator, image):
    """Return a batch of one image, whether it is passed alone or as a batch.

    Parameters
    ----------
    parts : fitted PartEstimator
    image : image, array of features, or list or batch of one
        As in `explain`.

    Returns
    -------
    X
        Images, or an array of features, of length 1.

    Raises
    ------
    ValueError
        If there is more than one image.
    """
    if parts.is_precomputed:
        batch = image if hasattr(image, "ndim") else np.asarray(image)
        has_fields = getattr(getattr(batch, "dtype", None), "names", None) is not None
        if batch.ndim == (0 if has_fields else len(parts.map_shapes_[0])):
            batch = np.asarray(batch)[None]
    elif isinstance(image, (list, tuple)) or is_batch(image):
        batch = image
    else:
        batch = [image]
    if len(batch) != 1:
        raise ValueError(
            f"explain takes one image, got {len(batch)}: see explain_each."
        )
    return batch
