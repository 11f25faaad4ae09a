"""Whose parts a class decides by: its own, those of others, those of the background."""

from __future__ import annotations

import numpy as np
import torch

from skdpnet.parts.map_parts import PIECE_BYTES, MapParts
from skdpnet.storage.large_arrays import MapRows
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor

__all__ = ["background_shares", "class_shares", "foreground_of_parts"]

_LEAST_FOREGROUND = 0.5


def foreground_of_parts(
    regions: np.ndarray, parts: MapParts, labels: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Average the weights of the regions that parts respond to best.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        The whitened regions of a map.
    parts : MapParts
        Each of a class.
    labels : int ndarray of shape (n,)
        The class of each image.
    weights : float ndarray of shape (n, R)
        The weights of the regions, as from `foreground_weights`.

    Returns
    -------
    float32 ndarray of shape (P',)
        Of each part the mean, over the images of its class, of the weight of the region
        with its largest response.
    """
    cpu, out = torch.device("cpu"), np.zeros(len(parts.classes), np.float32)
    for c in np.unique(parts.classes):
        of_class, images = parts.classes == c, np.flatnonzero(labels == c)
        detectors = as_tensor(parts.detectors[of_class], cpu)
        rows, total = MapRows(regions, images), np.zeros(len(detectors))
        bytes_per_image = 4 * regions.shape[1] * (regions.shape[2] + len(detectors))
        for piece in slices_within(len(images), bytes_per_image, PIECE_BYTES):
            responses = as_tensor(rows[piece], cpu) @ detectors.T
            best = responses.argmax(dim=1).numpy()
            total += np.take_along_axis(weights[images[piece]], best, axis=1).sum(0)
        out[of_class] = total / len(images)
    return out


def class_shares(importances: np.ndarray, part_classes: np.ndarray) -> np.ndarray:
    """Add up the importances of the parts that were found in each class.

    Parameters
    ----------
    importances : float64 ndarray of shape (C, P)
    part_classes : int ndarray of shape (P,)

    Returns
    -------
    float64 ndarray of shape (C, C)
    """
    n_classes = len(importances)
    return importances @ (part_classes[:, None] == np.arange(n_classes))


def background_shares(importances: np.ndarray, foreground: np.ndarray) -> np.ndarray:
    """Add up the importances of the parts that are found beside objects.

    Parameters
    ----------
    importances : float64 ndarray of shape (C, P)
    foreground : float ndarray of shape (P,)
        As from `foreground_of_parts`; background is below 0.5.

    Returns
    -------
    float64 ndarray of shape (C,)
    """
    return importances @ (foreground < _LEAST_FOREGROUND)
