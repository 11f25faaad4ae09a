"""The regions of training images that prototypes are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from skdpnet.display._images import ShownImage
from skdpnet.explanations.crops import crop
from skdpnet.explanations.localisation import boxes_in_pixels
from skdpnet.images.collection import as_images
from skdpnet.prototypes.base import PrototypeClassifier

__all__ = ["Source", "prototype_sources"]


class Source(NamedTuple):
    """A prototype as a region of a training image.

    Attributes
    ----------
    image : ShownImage
        The training image.
    box : float ndarray of shape (4,)
        The region, in pixels of this image.
    crop : ShownImage
        The region, cut out.
    """

    image: ShownImage
    box: np.ndarray
    crop: ShownImage


def prototype_sources(
    model: PrototypeClassifier, X_train, prototypes: Iterable[int]
) -> list[Source]:
    """Cut the regions that prototypes are out of the training images.

    Parameters
    ----------
    model : fitted PrototypeClassifier
    X_train : images
        The images that the model was fitted on, in the same order.
    prototypes : iterable of int
        Numbers of prototypes, each of which has an image in `prototype_sources_`.

    Returns
    -------
    list of Source

    Raises
    ------
    ValueError
        If X_train has too few images to be those of the fit.
    skdpnet.images.ImageError
        If images cannot be read.
    """
    table, training = model.prototype_sources_, as_images(X_train)
    last = int(table["image"].max())
    if last >= len(training):
        raise ValueError(
            f"a prototype comes from image {last} of the fit, and X_train has only "
            f"{len(training)} images: pass the images that the estimator was fitted "
            "on, in the same order."
        )
    sources = []
    for p in prototypes:
        i = int(table["image"][p])
        box = model.grids_[model.part_maps_[p]].boxes()[table["region"][p]]
        (in_pixels,) = boxes_in_pixels(
            [training.geometry(i)], box[None], model.input_framing(), True
        )
        whole = training.load(i)
        region = ShownImage.of(crop(whole, in_pixels))
        sources.append(Source(ShownImage.of(whole), in_pixels, region))
    return sources
