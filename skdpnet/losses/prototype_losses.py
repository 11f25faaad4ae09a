"""Terms of the losses of prototype networks, as functions of tensors."""

from __future__ import annotations

import torch

__all__ = ["cluster_cost", "off_class_weights", "separation_cost"]


def cluster_cost(
    distances: torch.Tensor,
    labels: torch.Tensor,
    own: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cluster cost of ProtoPNet: each image is near a prototype of its class.

    ``mean_i min_{p of class y_i} d_ip``.

    Parameters
    ----------
    distances : tensor of shape (N, P)
        Squared distance of each prototype to the nearest region of each image.
    labels : int tensor of shape (N,)
        The classes of the images.
    own : bool tensor of shape (C, P)
        Which prototypes are a class's own. A class without any adds nothing.
    weights : tensor of shape (N,), default=None
        Weights of the images. None: 1.

    Returns
    -------
    scalar tensor

    See Also
    --------
    separation_cost : Images are far from the prototypes of other classes.

    References
    ----------
    C. Chen, O. Li, D. Tao, A. Barnett, C. Rudin, J. Su, "This Looks Like That: Deep
    Learning for Interpretable Image Recognition", NeurIPS 2019, equation 2.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.losses import cluster_cost, separation_cost
    >>> distances = torch.tensor([[0.5, 1.0, 3.0], [2.0, 1.5, 0.25]])
    >>> own = torch.tensor([[True, True, False], [False, False, True]])
    >>> float(cluster_cost(distances, torch.tensor([0, 1]), own))
    0.375
    >>> float(separation_cost(distances, torch.tensor([0, 1]), own))
    2.25
    """
    return _mean_of_nearest(distances, own[labels], weights)


def separation_cost(
    distances: torch.Tensor,
    labels: torch.Tensor,
    own: torch.Tensor,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean distance of images to the nearest prototype of other classes.

    ``mean_i min_{p not of class y_i} d_ip``. It is subtracted from a loss, so that
    images are far from the prototypes of other classes; the separation cost of the
    paper is its negative.

    Parameters
    ----------
    distances, labels, own, weights
        As in `cluster_cost`.

    Returns
    -------
    scalar tensor

    See Also
    --------
    cluster_cost : Images are near a prototype of their class.

    References
    ----------
    As of `cluster_cost`.
    """
    return _mean_of_nearest(distances, ~own[labels], weights)


def off_class_weights(V: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Sum of the absolute weights of classes on prototypes of other classes.

    Parameters
    ----------
    V : tensor of shape (C, P)
        Weights of the classifier.
    own : bool tensor of shape (C, P)
        Which prototypes are a class's own.

    Returns
    -------
    scalar tensor
        ``Σ |V_cp|`` over classes c and prototypes p that are not theirs.

    References
    ----------
    Chen et al., NeurIPS 2019, equation 4.
    """
    return torch.where(own, 0.0, V.abs()).sum()


def _mean_of_nearest(
    distances: torch.Tensor, chosen: torch.Tensor, weights: torch.Tensor | None
) -> torch.Tensor:
    """Return the weighted mean of the smallest chosen distance of each image."""
    # Infinity in place of others, rather than a number that is taken to be the largest,
    # is right whatever the distances are.
    nearest = torch.where(chosen, distances, torch.inf).amin(dim=1)
    nearest = torch.where(chosen.any(dim=1), nearest, 0.0)
    return nearest.mean() if weights is None else (weights * nearest).mean()
