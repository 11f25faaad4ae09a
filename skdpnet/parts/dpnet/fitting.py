"""Steps of a fit: maxima of the training set, and fits of the classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from skdpnet.parts.dpnet.model import PartModel
from skdpnet.parts.standardisation import standardisation
from skdpnet.training.dataset import MapDataset
from skdpnet.utils.batching import slices_of

__all__ = ["fit_classifier", "standardise", "training_maxima"]

_IMAGES_AT_ONCE = 64

ClassifierFit = Callable[
    [np.ndarray, np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]
]


def fit_classifier(
    model: PartModel, train: MapDataset, device: torch.device, fit: ClassifierFit
) -> None:
    """Standardise the descriptor for the current parts, and fit the classifier on it.

    Parameters
    ----------
    model : PartModel
        It is changed in place.
    train : MapDataset
        The training set.
    device : torch.device
        Device on which the maxima are computed.
    fit : callable
        Function of descriptors (n, P), labels (n,), weights (n,) and the number of
        classes, which returns coefficients (C, P) and intercepts (C,).
    """
    maxima = training_maxima(model.eval(), train.maps, device)
    descriptors = standardise(model, maxima)
    n_classes = len(model.classifier.bias)
    coef, intercept = fit(descriptors, train.labels, train.weights, n_classes)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(coef))
        model.classifier.bias.copy_(torch.from_numpy(intercept))


def standardise(model: PartModel, maxima: np.ndarray) -> np.ndarray:
    """Standardise the descriptor of a model on the maxima of its training set.

    Parameters
    ----------
    model : PartModel
        It is changed in place, such that it computes the same logits as before.
    maxima : float32 ndarray of shape (n, P)
        The maxima of the training set.

    Returns
    -------
    float32 ndarray of shape (n, P)
        The descriptors of the training set.
    """
    shift, scale = standardisation(maxima)
    tensors = (torch.from_numpy(array).to(model.shift) for array in (shift, scale))
    model.set_standardisation(*tensors)
    return (maxima - shift) * scale


def training_maxima(
    model: PartModel, maps: Sequence[Sequence], device: torch.device
) -> np.ndarray:
    """Compute the maxima b of all parts on a training set.

    Parameters
    ----------
    model : PartModel
    maps : sequence of sequences of arrays or tensors
        For each map the fields of a `WhitenedMaps` of n images.
    device : torch.device
        Device on which they are computed.

    Returns
    -------
    float32 ndarray of shape (n, P)
    """
    maxima = []
    for images in slices_of(len(maps[0][0]), _IMAGES_AT_ONCE):
        batch = [
            [torch.as_tensor(array[images]).to(device) for array in fields]
            for fields in maps
        ]
        with torch.inference_mode():
            maxima.append(model.maxima(batch).cpu().numpy())
    return np.concatenate(maxima)
