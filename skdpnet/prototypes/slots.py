"""The slots of ProtoPool: which prototypes of a pool a class uses."""

from __future__ import annotations

import numpy as np
import torch

from skdpnet.prototypes.focal import focal_similarity

__all__ = [
    "gumbel_slots",
    "initial_logits",
    "owners_of_slots",
    "slot_similarities",
    "strongest_prototypes",
    "sum_slots",
]

# In standard deviations of the logits.
_HEAD_START = 3.0


def initial_logits(
    distances: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    n_slots: int,
    random: np.random.RandomState,
) -> np.ndarray:
    """Return the logits of the slots that training starts from.

    They are normal, with the variance ``2 / (N (P + C))`` that Glorot's rule gives for
    their shape, as in ProtoPool. In addition slot n of a class begins with the class's
    n-th most telling prototype, whose logit is larger by some deviations: prototypes
    are telling that are nearer to the images of a class than to others on average.

    Parameters
    ----------
    distances : float ndarray of shape (n, P)
        Distances of the prototypes to the nearest region of each image.
    labels : int ndarray of shape (n,)
    n_classes, n_slots : int
        C and N.
    random : RandomState

    Returns
    -------
    float32 ndarray of shape (C, P, N)
    """
    n_prototypes = distances.shape[1]
    deviation = np.sqrt(2 / (n_slots * (n_prototypes + n_classes)))
    shape = (n_classes, n_prototypes, n_slots)
    logits = deviation * random.standard_normal(shape)
    mean = distances.mean(axis=0)
    slots = np.arange(min(n_slots, n_prototypes))
    for label in np.unique(labels):
        nearer = distances[labels == label].mean(axis=0) - mean
        telling = np.argsort(nearer, kind="stable")[: len(slots)]
        logits[label, telling, slots] += _HEAD_START * deviation
    return logits.astype(np.float32)


def gumbel_slots(
    logits: torch.Tensor, noise: torch.Tensor, tau: float, gamma: float
) -> torch.Tensor:
    """Return the shares of the prototypes in each slot, by a softmax with noise.

    ``softmax_p((γ Q_cpn + noise_cpn) / τ)`` (Rymarczyk et al., 2022, equation 2). With
    noise of the standard Gumbel distribution, the largest share is that of a prototype
    drawn from ``softmax_p(γ Q_cpn)``.

    Parameters
    ----------
    logits, noise : tensors of shape (C, P, N)
        Q, and the noise.
    tau : float > 0
        τ: the smaller, the nearer are shares to 0 and 1.
    gamma : float >= 0
        γ: the larger, the less the noise matters.

    Returns
    -------
    tensor of shape (C, P, N)
        The shares of the prototypes in a slot sum to 1.
    """
    return torch.softmax((gamma * logits + noise) / tau, dim=1)


def slot_similarities(
    nearest: torch.Tensor,
    mean: torch.Tensor | None,
    slots: torch.Tensor,
    epsilon: float,
) -> torch.Tensor:
    """Return the focal similarity of each slot, whose distances are mixtures.

    Parameters
    ----------
    nearest, mean : tensors of shape (n, P)
        The smallest and the mean distances of the prototypes to the regions of each
        image; see `focal_similarity`.
    slots : tensor of shape (C, P, N)
        The shares of the prototypes in each slot.
    epsilon : float > 0

    Returns
    -------
    tensor of shape (n, C, N)
        The focal similarity of ``Σ_p q_cpn d_ip``.
    """
    n_classes, n_prototypes, n_slots = slots.shape
    shares = slots.transpose(0, 1).reshape(n_prototypes, -1)
    mixed = None if mean is None else mean @ shares
    similarities = focal_similarity(nearest @ shares, mixed, epsilon)
    return similarities.view(-1, n_classes, n_slots)


def strongest_prototypes(slots: torch.Tensor, n_strongest: int) -> torch.Tensor:
    """Find the prototypes that have the largest shares in the slots of each class.

    Parameters
    ----------
    slots : tensor of shape (C, P, N)
        The shares of the prototypes in each slot.
    n_strongest : int
        Number of prototypes of a class; all, if there are fewer.

    Returns
    -------
    bool tensor of shape (C, P)
    """
    mass = slots.detach().sum(dim=2)
    largest = mass.topk(min(n_strongest, mass.shape[1]), dim=1).indices
    return torch.zeros_like(mass, dtype=torch.bool).scatter_(1, largest, True)


def owners_of_slots(slots: np.ndarray, n_prototypes: int) -> np.ndarray:
    """Find the classes that have a prototype in one of their slots.

    Parameters
    ----------
    slots : int ndarray of shape (C, N)
        The number of the prototype in each slot.
    n_prototypes : int

    Returns
    -------
    bool ndarray of shape (C, P)
    """
    own = np.zeros((len(slots), n_prototypes), dtype=bool)
    np.put_along_axis(own, slots, True, axis=1)
    return own


def sum_slots(W: np.ndarray, slots: np.ndarray, n_prototypes: int) -> np.ndarray:
    """Return the weights of classes on prototypes, from those on slots.

    Parameters
    ----------
    W : float ndarray of shape (C, C * N)
        The weights on the slots, class by class.
    slots : int ndarray of shape (C, N)
        The number of the prototype in each slot.
    n_prototypes : int

    Returns
    -------
    ndarray of shape (C, P)
        The sum of the weights over the slots that hold a prototype.
    """
    summed = np.zeros((len(W), n_prototypes), W.dtype)
    np.add.at(summed.T, slots.ravel(), W.T)
    return summed
