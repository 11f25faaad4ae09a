"""What parts should be: three penalties, pure functions of tensors.

Source of all three: Sicre et al., "DP-Net: Learning Discriminative Parts for image
recognition", ICIP 2023 (arXiv 2404.15037).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["assignment", "orthogonality", "specificity"]


def orthogonality(parts: torch.Tensor) -> torch.Tensor:
    """Penalty on parts that resemble one another.

    ``(1/P²) Σ_{i≠j} (u_iᵀ u_j)²``. The paper prints it with a minus, which,
    minimised, would reward parallel parts; parts are to differ, so it is a penalty.

    Parameters
    ----------
    parts : tensor of shape (P, D)
        Normalised here; a part of norm zero counts as orthogonal to all.

    Returns
    -------
    scalar tensor in [0, 1)
    """
    u = F.normalize(parts, dim=1)
    gram = u @ u.T
    # The diagonal is the squared norms: 1, or 0 for a zero part.
    off_diagonal = gram.square().sum() - gram.diagonal().square().sum()
    return off_diagonal / len(parts) ** 2


def assignment(responses: torch.Tensor, temperature: float) -> torch.Tensor:
    """Penalty on regions that no part clearly claims.

    Mean over images and regions of the entropy of ``softmax_p(S_pr / temperature)``.
    The paper sums over regions; the mean lets the weight keep its meaning when the
    layout changes. Cosines lie in [-1, 1], so without a temperature the softmax over
    many parts is close to uniform whatever they are.

    Parameters
    ----------
    responses : tensor of shape (..., R, P)
        Cosine of each region with each part.
    temperature : float > 0

    Returns
    -------
    scalar tensor in [0, log P]
    """
    log_share = F.log_softmax(responses / temperature, dim=-1)
    return -(log_share.exp() * log_share).sum(dim=-1).mean()


def specificity(
    weights: torch.Tensor, owner: torch.Tensor, form: str = "absolute"
) -> torch.Tensor:
    """Penalty on classes that decide by parts of other classes.

    ``1/(P(C-1)) Σ_i Σ_{j not a part of class i} f(V_ij)``.

    Parameters
    ----------
    weights : tensor of shape (C, P)
        The linear classifier V.
    owner : int tensor of shape (P,)
        Class that each part belongs to.
    form : {"absolute", "square", "signed"}
        f(v) = abs(v), v² or v. "signed" is what the paper prints; it is bounded from
        below only by the cross-entropy.

    Returns
    -------
    scalar tensor
    """
    n_classes, n_parts = weights.shape
    foreign = torch.arange(n_classes, device=weights.device)[:, None] != owner
    if form == "absolute":
        weights = weights.abs()
    elif form == "square":
        weights = weights.square()
    return (weights * foreign).sum() / (n_parts * (n_classes - 1))
