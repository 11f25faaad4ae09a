"""The feature maps that the benchmarks measure with, computed by `FeatureMaps`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from skdpnet import DPNetTransformer, FeatureMaps

__all__ = [
    "FRAMING", "IMAGE_SIZE", "LAST", "PARTS", "extract", "extractors", "map_shapes",
]  # fmt: skip

# What the estimators do by default with the embedded network.
IMAGE_SIZE, FRAMING = 288, "aspect"

# The kinds of maps: the network's last map, and the maps that parts live on.
LAST, PARTS = "last", "parts"


def extractors(
    backbone: str = "efficientnet_lite0",
    *,
    image_size: int,
    framing: str = FRAMING,
    memory: str | os.PathLike | None = None,
    strides: Sequence[int | str] | None = DPNetTransformer().strides,
) -> dict[str, FeatureMaps]:
    """Return the extractors of both kinds of maps.

    Parameters
    ----------
    backbone, image_size, framing, memory, strides
        Parameters of `FeatureMaps`. `strides` are those of the maps that parts live
        on, by default the default of DP-Net.

    Returns
    -------
    dict of str to FeatureMaps
        `LAST`: the extractor of the network's last map; `PARTS`: the extractor of the
        maps of `strides`.
    """
    shared: dict[str, Any] = {
        "image_size": image_size,
        "framing": framing,
        "memory": memory,
        "verbose": 1,
    }
    return {
        LAST: FeatureMaps(backbone, **shared),
        PARTS: FeatureMaps(backbone, strides=strides, **shared),
    }


def extract(extractor: FeatureMaps, images: Sequence) -> np.ndarray:
    """Compute the feature maps of images.

    Parameters
    ----------
    extractor : FeatureMaps
    images : list of n str, or ndarray of n images

    Returns
    -------
    ndarray of shape (n, H, W, D), or structured ndarray of shape (n,)
        Structured where the extractor has several maps.

    Raises
    ------
    SystemExit
        If the backbone is unknown or unavailable or has no map of a stride, or if an
        image cannot be read.
    """
    try:
        return extractor.fit(images).transform(images)
    except (ValueError, RuntimeError) as error:
        # The message suffices; a traceback would hide it.
        raise SystemExit(f"error: {error}") from error


def map_shapes(maps: np.ndarray) -> list[list[int]]:
    """Return the shapes of the maps of one image.

    Parameters
    ----------
    maps : ndarray
        As `extract` returns it.

    Returns
    -------
    list of [H, W, D]
        The shape of each map.
    """
    if maps.dtype.names is None:
        return [list(maps.shape[1:])]
    return [list(maps.dtype[name].shape) for name in maps.dtype.names]
