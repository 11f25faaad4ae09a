"""The term of ProtoPool's loss on the slots of classes, as a function of tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["slot_orthogonality"]


def slot_orthogonality(slots: torch.Tensor) -> torch.Tensor:
    """Penalty on slots of a class that hold the same prototypes.

    ``1/(C N) Σ_c Σ_{n≠m} cos(q_cn, q_cm)``, where q_cn has the shares of the prototypes
    in slot n of class c: the number of twins that a slot has on average. Since shares
    are not negative, the cosines are between 0 and 1. (The code of the paper has the
    cosines of the logits instead, which become negative without making slots differ
    more, and that of each slot with itself.)

    Parameters
    ----------
    slots : tensor of shape (C, P, N)
        q: shares of the P prototypes in the N slots of each class.

    Returns
    -------
    scalar tensor in [0, N - 1]

    See Also
    --------
    orthogonality : Penalty on parts that resemble one another.

    References
    ----------
    D. Rymarczyk, Ł. Struski, M. Górszczak, K. Lewandowska, J. Tabor, B. Zieliński,
    "Interpretable Image Classification with Differentiable Prototypes Assignment", ECCV
    2022, equation 3.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.losses import slot_orthogonality
    >>> slots = torch.eye(2)[None]  # one class, two slots, a prototype in each
    >>> slot_orthogonality(slots).item()
    0.0
    >>> slot_orthogonality(torch.ones(1, 1, 2)).item()  # the same one in both
    1.0
    """
    units = F.normalize(slots, dim=1)
    cosines = units.transpose(1, 2) @ units
    same = cosines.diagonal(dim1=1, dim2=2)
    return (cosines.sum() - same.sum()) / (slots.shape[0] * slots.shape[2])
