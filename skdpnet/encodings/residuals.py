"""What VLAD computes: residuals of local descriptors from visual words."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from skdpnet.encodings.pyramid import WHOLE_IMAGE, Levels, pyramid_cells

__all__ = ["encode_residuals"]

# Mean residuals below this are rounding: descriptors are about of unit length.
_ROUNDING = 1e-6


def encode_residuals(
    descriptors: torch.Tensor,
    words: torch.Tensor,
    valid: torch.Tensor | None = None,
    *,
    levels: Levels = WHOLE_IMAGE,
    power: float = 0.5,
    intra_normalisation: bool = True,
) -> torch.Tensor:
    """Encode local descriptors by their residuals from visual words.

    In each cell of the pyramid, v_k is the sum of x - w_k over the descriptors x whose
    nearest word is w_k. Its entries v become sign(v)·|v|^power, each v_k is
    l2-normalised, and so is the vector of all v_k.

    Parameters
    ----------
    descriptors : tensor of shape (n, H, W, M, K')
        Of n images, M descriptors at each place of a grid.
    words : tensor of shape (K, K')
    valid : bool tensor of shape (n, H, W, M), default=None
        The descriptors that count; None: all.
    levels : sequence of (rows, columns), default=((1, 1),)
        Spatial pyramid.
    power : float, default=0.5
    intra_normalisation : bool, default=True
        Whether each v_k is l2-normalised.

    Returns
    -------
    tensor of shape (n, n_cells, K * K')
        Unit rows, or zero where no descriptor differs from its word.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.encodings.residuals import encode_residuals
    >>> descriptors = torch.tensor([[3.0, 0.0], [1.0, 2.0]]).view(1, 2, 1, 1, 2)
    >>> encode_residuals(descriptors, torch.tensor([[1.0, 0.0]]), power=1.0)
    tensor([[[0.7071, 0.7071]]])
    """
    similarities = descriptors @ words.T - words.square().sum(1) / 2
    nearest = similarities.argmax(-1)
    if valid is not None:
        nearest = nearest.masked_fill(~valid, -1)
    numbers = torch.arange(len(words), device=words.device)
    encodings = []
    for rows, columns in pyramid_cells(levels, *descriptors.shape[1:3]):
        members = descriptors[:, rows, columns].flatten(1, 3)
        chosen = nearest[:, rows, columns].flatten(1, 3)[..., None] == numbers
        assigned = chosen.to(members.dtype)
        mass = assigned.sum(1)[..., None]
        residuals = assigned.mT @ members - mass * words
        residuals *= residuals.abs() > _ROUNDING * mass
        residuals = residuals.sign() * residuals.abs() ** power
        if intra_normalisation:
            residuals = normalize(residuals, dim=2)
        encodings.append(normalize(residuals.flatten(1), dim=1))
    return torch.stack(encodings, dim=1)
