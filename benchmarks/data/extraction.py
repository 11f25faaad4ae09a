"""Images -> the feature maps that are measured with, kept by `FeatureMaps`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from skdpnet import DPNetTransformer, FeatureMaps

__all__ = ["LAST", "PARTS", "extract", "extractors", "map_shapes"]

# Which maps: the network's last, and those that parts see by default.
LAST, PARTS = "last", "parts"


def extractors(
    backbone: str = "efficientnet_lite0",
    *,
    image_size: int,
    memory: str | os.PathLike | None = None,
    strides: Sequence[int] | None = DPNetTransformer().strides,
) -> dict[str, FeatureMaps]:
    """Make the extractors of both kinds of maps.

    Parameters
    ----------
    backbone, image_size, memory, strides
        As `FeatureMaps` takes them; the strides are those that parts live on, by
        default DP-Net's own.

    Returns
    -------
    dict of str to FeatureMaps
        Under `LAST`, of the network's last map; under `PARTS`, of those of `strides`.
    """
    given: dict[str, Any] = {"image_size": image_size, "memory": memory, "verbose": 1}
    return {
        LAST: FeatureMaps(backbone, **given),
        PARTS: FeatureMaps(backbone, strides=strides, **given),
    }


def extract(extractor: FeatureMaps, images: Sequence) -> np.ndarray:
    """Compute the maps of some images.

    Parameters
    ----------
    extractor : FeatureMaps
    images : list of str or array of images

    Returns
    -------
    ndarray of shape (n, H, W, D), or structured ndarray of shape (n,)

    Raises
    ------
    SystemExit
        Where the backbone is unknown or unavailable or has no map of a stride, or a
        image cannot be read.
    """
    try:
        return extractor.fit(images).transform(images)
    except (ValueError, RuntimeError) as error:
        # The message says all.
        raise SystemExit(f"error: {error}") from error


def map_shapes(maps: np.ndarray) -> list[list[int]]:
    """Tell the shapes of one image's maps.

    Parameters
    ----------
    maps : ndarray
        As `extract` gives it.

    Returns
    -------
    list of [H, W, D]
        One a map.
    """
    if maps.dtype.names is None:
        return [list(maps.shape[1:])]
    return [list(maps.dtype[name].shape) for name in maps.dtype.names]
