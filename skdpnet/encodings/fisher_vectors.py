"""What Fisher vectors are: gradients of a Gaussian mixture's log-likelihood."""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skdpnet.encodings.pyramid import WHOLE_IMAGE, Levels, pyramid_cells
from skdpnet.encodings.vocabulary import learn_words

__all__ = ["LEAST_VARIANCE", "fisher_gradients", "learn_mixture", "responsibilities"]

# Steps of expectation maximisation. A vocabulary need not be at the optimum, and
# accuracy stops to change long before.
_MAX_ITERATIONS = 50
# Least variance, as a share of the largest one of the descriptors, and in any case.
_VARIANCE_FLOOR = 1e-4
LEAST_VARIANCE = 1e-12
# Gaussians of less weight are left out: their gradients would be noise, blown up.
_LEAST_WEIGHT = 1e-6


def learn_mixture(
    sample: np.ndarray, n_words: int, random_state: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a mixture of Gaussians with diagonal covariances, from a start by k-means.

    Parameters
    ----------
    sample : float32 ndarray of shape (m, D)
    n_words : int
    random_state : RandomState

    Returns
    -------
    means, variances : float32 ndarrays of shape (K, D)
        K is `n_words`, or the number of distinct descriptors where that is smaller.
    weights : float32 ndarray of shape (K,)
        Of sum 1.
    """
    exact = sample.astype(np.float64)
    start = learn_words(sample, n_words, random_state).astype(np.float64)
    floor = max(_VARIANCE_FLOOR * float(exact.var(axis=0).max()), LEAST_VARIANCE)
    nearest = (exact @ start.T - np.square(start).sum(axis=1) / 2).argmax(axis=1)
    sizes = np.maximum(np.bincount(nearest, minlength=len(start)), 1)
    squares = np.zeros_like(start)
    np.add.at(squares, nearest, np.square(exact - start[nearest]))
    mixture = GaussianMixture(
        len(start),
        covariance_type="diag",
        reg_covar=floor,
        max_iter=_MAX_ITERATIONS,
        # Unused, as the start is given; but the default is refused where scikit-learn
        # dispatches on arrays.
        init_params="random",
        weights_init=sizes / sizes.sum(),
        means_init=start,
        precisions_init=1 / (squares / sizes[:, None] + floor),
        random_state=random_state.randint(np.iinfo(np.int32).max),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(exact)
    arrays = mixture.means_, mixture.covariances_, mixture.weights_
    means, variances, weights = (array.astype(np.float32) for array in arrays)
    return means, variances, weights


def responsibilities(
    descriptors: torch.Tensor,
    means: torch.Tensor,
    variances: torch.Tensor,
    weights: torch.Tensor,
) -> torch.Tensor:
    """Compute the probability of each Gaussian, given a descriptor.

    Parameters
    ----------
    descriptors : tensor of shape (…, D)
    means, variances : tensors of shape (K, D)
    weights : tensor of shape (K,)

    Returns
    -------
    tensor of shape (…, K)
        Rows sum to 1.
    """
    precisions = 1 / variances
    constant = weights.log() + precisions.log().sum(1) / 2
    distances = (
        descriptors.square() @ precisions.T
        - 2 * descriptors @ (means * precisions).T
        + (means.square() * precisions).sum(1)
    )
    return torch.softmax(constant - distances / 2, dim=-1)


def fisher_gradients(
    descriptors: torch.Tensor,
    means: torch.Tensor,
    variances: torch.Tensor,
    weights: torch.Tensor,
    valid: torch.Tensor | None = None,
    *,
    levels: Levels = WHOLE_IMAGE,
) -> torch.Tensor:
    """Compute the Fisher vectors of images, not normalised.

    With z = (x - μ_k) / σ_k and the probabilities q_k of the Gaussians given x, they
    are the means over the N descriptors x of a cell, times a factor,

    ``u_k = 1 / √π_k · mean q_k z`` and ``v_k = 1 / √(2 π_k) · mean q_k (z² - 1)``.

    Parameters
    ----------
    descriptors : tensor of shape (n, H, W, M, D)
        Of n images, M descriptors at each place of a grid.
    means, variances : tensors of shape (K, D)
        μ and σ².
    weights : tensor of shape (K,)
        π. Gaussians of a weight below 1e-6 have gradients of 0.
    valid : bool tensor of shape (n, H, W, M), default=None
        The descriptors that count; None: all.
    levels : sequence of (rows, columns), default=((1, 1),)
        Spatial pyramid.

    Returns
    -------
    tensor of shape (n, n_cells, 2 * K * D)
        For each cell all u_k, then all v_k; 0 for a cell without descriptors.
    """
    shares = responsibilities(descriptors, means, variances, weights)
    if valid is not None:
        shares = shares * valid[..., None]
    deviations = variances.sqrt()
    factors = weights.clamp(min=_LEAST_WEIGHT).rsqrt() * (weights >= _LEAST_WEIGHT)
    vectors = []
    for rows, columns in pyramid_cells(levels, *descriptors.shape[1:3]):
        x = descriptors[:, rows, columns].flatten(1, 3)
        q = shares[:, rows, columns].flatten(1, 3)
        # Shares sum to 1 for each descriptor that counts.
        n_counted = q.sum((1, 2)).round().clamp(min=1)[:, None, None]
        mass = q.sum(1)[..., None]
        first, second = q.mT @ x, q.mT @ x.square()
        u = (first - mass * means) / deviations
        v = (second - 2 * first * means + mass * (means.square() - variances)) / (
            variances * math.sqrt(2)
        )
        both = torch.stack([u, v], dim=1) * factors[:, None] / n_counted[:, None]
        vectors.append(both.flatten(1))
    return torch.stack(vectors, dim=1)
