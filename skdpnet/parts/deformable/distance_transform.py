"""Generalised distance transforms: the best displaced response of a part."""

from __future__ import annotations

import torch

__all__ = ["displacement_costs", "distance_transform"]


def distance_transform(
    responses: torch.Tensor,
    deformations: torch.Tensor,
    rows: torch.Tensor | None = None,
    columns: torch.Tensor | None = None,
) -> torch.Tensor:
    """Find the largest response around each place, less the cost of the displacement.

    It is ``max_q S(q) - c(q - t)`` for each target t, where the cost c is that of
    `displacement_costs`. The cost is a sum over the axes, so that one axis after the
    other is transformed. Each takes the number of places times the number of targets,
    and not the sum of both as in [1]_: star models have few targets, one for each
    placement of their root.

    Parameters
    ----------
    responses : tensor of shape (n, P, H, W)
        The responses S of P parts at all places; −∞ where a part may not be.
    deformations : tensor of shape (P, 4)
        As in `displacement_costs`.
    rows, columns : tensors of shape (P, T) and (P, U), default=None
        Rows and columns of the targets of each part, which may lie outside the map.
        None: those of the map, T = H and U = W.

    Returns
    -------
    tensor of shape (n, P, T, U)

    References
    ----------
    .. [1] P. Felzenszwalb, D. Huttenlocher, "Distance Transforms of Sampled Functions",
       Theory of Computing 8, 2012.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.parts.deformable.distance_transform import distance_transform
    >>> responses = torch.tensor([[[[0.0, 0.0, 9.0]]]])
    >>> deformations = torch.tensor([[0.0, 1.0, 0.0, 1.0]])
    >>> distance_transform(responses, deformations)
    tensor([[[[5., 8., 9.]]]])
    """
    n_parts, height, width = responses.shape[1:]
    if rows is None:
        rows = torch.arange(height, dtype=responses.dtype).expand(n_parts, -1)
    if columns is None:
        columns = torch.arange(width, dtype=responses.dtype).expand(n_parts, -1)
    along_rows = _transform_last(responses, deformations[:, 2:], columns)
    return _transform_last(along_rows.mT, deformations[:, :2], rows).mT


def displacement_costs(
    displacements: torch.Tensor, coefficients: torch.Tensor
) -> torch.Tensor:
    """Compute the cost of displacements along an axis.

    Parameters
    ----------
    displacements : tensor
        In cells.
    coefficients : tensor of shape (..., 2)
        Those of the displacement δ and of its square δ². A part has four: those of the
        rows come before those of the columns.

    Returns
    -------
    tensor
        The sum of both terms, where the shapes are broadcast.
    """
    linear, square = coefficients.unbind(dim=-1)
    return displacements * (linear + square * displacements)


def _transform_last(
    responses: torch.Tensor, coefficients: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Transform the last axis of (n, P, H, W), for targets (P, T): (n, P, H, T)."""
    places = torch.arange(responses.shape[-1], dtype=responses.dtype)
    displacements = places - targets[:, :, None].to(responses.dtype)
    costs = displacement_costs(displacements, coefficients[:, None, None, :])
    # One target after the other, so that no array has places times targets.
    best = [
        (responses - costs[:, t, None, :]).amax(dim=-1) for t in range(costs.shape[1])
    ]
    return torch.stack(best, dim=-1)
