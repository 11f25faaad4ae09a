"""The focal similarity of ProtoPool: nearest against mean distance."""

from __future__ import annotations

import torch

from skdpnet.prototypes.similarity import distances_of_cosines, log_similarity
from skdpnet.utils.batching import slices_within

__all__ = [
    "distances_of_similarities",
    "focal_of_responses",
    "focal_similarity",
    "mean_distances",
]

_PIECE_BYTES = 16 * 2**20


def focal_similarity(
    nearest: torch.Tensor, mean: torch.Tensor | None, epsilon: float
) -> torch.Tensor:
    """Return how much more similar the nearest region is than regions on average.

    ``s(min_r d_r) - s(mean_r d_r)`` with the similarity s of `log_similarity`
    (Rymarczyk et al., 2022, equation 5). It is 0 where all regions are alike, and large
    for what is in one place only.

    Parameters
    ----------
    nearest, mean : tensors of the same shape
        The smallest and the mean distance over the regions of an image. Without a mean
        (None), it is the similarity of the nearest region.
    epsilon : float > 0

    Returns
    -------
    tensor of the same shape
        At least 0, but for rounding.
    """
    similarities = log_similarity(nearest, epsilon)
    return (
        similarities if mean is None else similarities - log_similarity(mean, epsilon)
    )


def distances_of_similarities(
    similarities: torch.Tensor, epsilon: float
) -> torch.Tensor:
    """Return the distances d whose similarities ``log((d + 1) / (d + ε))`` are given.

    Parameters
    ----------
    similarities : tensor of any shape
        Above 0.
    epsilon : float > 0

    Returns
    -------
    float64 tensor of the same shape
    """
    # In float64, because near d = 0 two numbers about 1 are subtracted.
    ratios = torch.exp(similarities.double())
    return (1 - epsilon * ratios) / (ratios - 1)


def focal_of_responses(responses: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Return the focal similarities of images, from the similarities of their regions.

    Parameters
    ----------
    responses : tensor of shape (n, R, P)
        Similarities; 0 for regions outside the image, which do not count.
    epsilon : float > 0

    Returns
    -------
    tensor of shape (n, P), of the dtype of `responses`
    """
    out = responses.new_empty(len(responses), responses.shape[2])
    size = 8 * max(1, responses[:1].numel())
    for images in slices_within(len(responses), size, _PIECE_BYTES):
        some = responses[images]
        inside = some > 0
        distances = distances_of_similarities(some, epsilon)
        sums = torch.where(inside, distances, 0.0).sum(dim=1)
        mean = sums / inside.sum(dim=1)
        nearest = some.amax(dim=1).double()
        out[images] = (nearest - log_similarity(mean, epsilon)).to(out.dtype)
    return out


def mean_distances(regions: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
    """Return the mean squared distances of prototypes to the regions of images.

    Of vectors of unit length, the mean distance follows from the mean vector.

    Parameters
    ----------
    regions : tensor of shape (n, R, K)
        Region descriptors of unit length, or zero for regions outside the image, which
        do not count.
    prototypes : tensor of shape (P, K)
        Of unit length.

    Returns
    -------
    tensor of shape (n, P)
    """
    counts = (regions != 0).any(dim=2).sum(dim=1, keepdim=True).clamp(min=1)
    return distances_of_cosines((regions.sum(dim=1) / counts) @ prototypes.T)
