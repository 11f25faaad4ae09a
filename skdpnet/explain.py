"""Where in a picture parts were found: data, no drawing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skdpnet.images import as_images

__all__ = ["BestRegions", "best_regions"]


class BestRegions(NamedTuple):
    """The strongest region of every part in every picture.

    Attributes
    ----------
    boxes : float64 ndarray of shape (n, P, 4)
        (left, top, right, bottom) in pixels of the original picture: resizing, crop
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


def best_regions(estimator, X, *, upright: bool = False) -> BestRegions:
    """Find the region that each part responds to most.

    Parameters
    ----------
    estimator : fitted DPNetClassifier, DPNetTransformer or SoftAssignParts
    X : pictures, or array for ``backbone="precomputed"``
        As the estimator's own `transform` takes them.
    upright : bool, default=False
        True: boxes in pixels of the picture as a viewer shows it, with its EXIF
        orientation applied; False: as it is stored.

    Returns
    -------
    BestRegions
    """
    if not hasattr(estimator, "_responses"):
        raise ValueError(
            f"{type(estimator).__name__} has no parts; of a Pipeline, pass the fitted "
            "step that has them."
        )
    check_is_fitted(estimator)
    responses, regions = [], []
    for piece in estimator._responses(estimator._maps(X, reset=False)):
        strongest = [own.max(dim=1) for own in piece]
        responses.append(torch.cat([own.values for own in strongest], dim=1).cpu())
        regions.append(torch.cat([own.indices for own in strongest], dim=1).cpu())
    winners = torch.cat(regions).numpy()
    boxes = np.empty((*winners.shape, 4))
    for i, grid in enumerate(estimator.grids_):
        own = estimator.part_maps_ == i
        boxes[:, own] = grid.boxes()[winners[:, own]]
    if not estimator._takes_features():
        images = as_images(X)
        for i in range(len(images)):
            geometry = images.geometry(i)
            place = geometry.to_upright if upright else geometry.to_original
            boxes[i] = place(boxes[i])
    return BestRegions(boxes, torch.cat(responses).numpy(), winners)
