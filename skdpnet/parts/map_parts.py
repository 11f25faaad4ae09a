"""The parts that a learner of linear parts learns on a feature map."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from skdpnet.parts.maxima import part_maxima
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor

__all__ = ["PIECE_BYTES", "MapParts", "region_maxima"]

# Region descriptors of some images take at most this many bytes.
PIECE_BYTES = 128 * 2**20


class MapParts(NamedTuple):
    """The parts that were learned on a feature map.

    Parameters
    ----------
    detectors : float32 ndarray of shape (P', K)
        The response of a part to a whitened region is their inner product.
    classes : int ndarray of shape (P',)
        The class of each part, as an index into `classes_`; −1 for a part that classes
        share.
    biases : float32 ndarray of shape (P',), or None
        What is subtracted from the responses. None: nothing.
    facts : mapping of str to ndarray of shape (P', ...)
        What else is known of each part, by the name of its fitted attribute.
    """

    detectors: np.ndarray
    classes: np.ndarray
    biases: np.ndarray | None = None
    facts: Mapping[str, np.ndarray] = MappingProxyType({})


def region_maxima(regions: np.ndarray, parts: MapParts) -> np.ndarray:
    """Compute the maximum of each part's responses over the regions of each image.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        Whitened regions of a map, which may be memory-mapped.
    parts : MapParts

    Returns
    -------
    float32 ndarray of shape (n, P')
    """
    cpu = torch.device("cpu")
    detectors = as_tensor(parts.detectors, cpu)
    maxima = np.empty((len(regions), len(detectors)), np.float32)
    for images in slices_within(len(regions), 4 * regions[0].size, PIECE_BYTES):
        some = as_tensor(regions[images], cpu)
        maxima[images] = part_maxima(some, detectors, beta=None)[0].numpy()
    return maxima if parts.biases is None else maxima - parts.biases
