"""The self-supervised terms of PIP-Net's loss, as functions of tensors."""

from __future__ import annotations

import torch

__all__ = ["alignment", "presence"]

# They keep logarithms finite, and are those of the published form of the losses.
_LEAST_AGREEMENT, _LEAST_PRESENCE = 1e-12, 1e-8


def alignment(
    first: torch.Tensor, second: torch.Tensor, counts: torch.Tensor | None = None
) -> torch.Tensor:
    """Alignment loss of PIP-Net: regions show the same prototype in both views.

    ``-mean log(z · z')``, where z and z' are the shares of the prototypes in a region
    of one view and in the same region of the other. The other view has no gradient; the
    mean of both directions is returned. It is 0 if each region of both views is given
    to one and the same prototype entirely. Of a view with itself it is the entropy
    ``-mean log Σ_k z_k²`` (Rényi's of order 2).

    Parameters
    ----------
    first, second : tensors of shape (N, R, P)
        Shares, which sum to 1 in each region.
    counts : bool tensor of shape (N, R), default=None
        The regions that count. None: all.

    Returns
    -------
    scalar tensor

    See Also
    --------
    presence : Each prototype is present in some image of a batch.

    References
    ----------
    M. Nauta, J. Schlötterer, M. van Keulen, C. Seifert, "PIP-Net: Patch-Based Intuitive
    Prototypes for Interpretable Image Classification", CVPR 2023, equation 1.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.losses import alignment
    >>> certain = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    >>> abs(float(alignment(certain, certain))) < 1e-6
    True
    """
    one_way = -_log_agreement(first, second.detach())
    other_way = -_log_agreement(second, first.detach())
    of_regions = (one_way + other_way) / 2
    if counts is None:
        return of_regions.mean()
    return (of_regions * counts).sum() / counts.sum().clamp(min=1)


def presence(maxima: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """Tanh loss of PIP-Net: each prototype is present in some image of a batch.

    ``-mean_k log tanh(Σ_i p_ik)``.

    Parameters
    ----------
    maxima : tensor of shape (N, P)
        p, the largest share of each prototype over the regions of each image.
    scale : float > 0, default=1
        Factor of the sum. The loss depends on the number of images in a batch; with
        B/N, a batch of N images counts as one of B.

    Returns
    -------
    scalar tensor

    References
    ----------
    Nauta et al., CVPR 2023, equation 2.
    """
    total = torch.tanh(scale * maxima.sum(dim=0))
    return -torch.log(total + _LEAST_PRESENCE).mean()


def _log_agreement(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.log((first * second).sum(dim=2) + _LEAST_AGREEMENT)
