"""Penalties on parts and on the classifier of part models, as functions of tensors.

They are those of Sicre et al., "DP-Net: Learning Discriminative Parts for image
recognition", ICIP 2023 (arXiv 2404.15037).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F

__all__ = ["assignment", "orthogonality", "specificity"]


class _Form(NamedTuple):
    """The summand of `specificity`, and whether its sum grows with √P.

    Weights of a given length spread over more parts have a larger sum of absolute
    values, by the square root of their number, but the same sum of squares.
    """

    summand: Callable[[torch.Tensor], torch.Tensor]
    grows: bool


_SPECIFICITY_FORMS = {
    "absolute": _Form(torch.abs, grows=True),
    "square": _Form(torch.square, grows=False),
    "signed": _Form(lambda weights: weights, grows=True),
}


def orthogonality(parts: torch.Tensor) -> torch.Tensor:
    """Penalty on parts that resemble one another.

    ``(1/P) Σ_{i≠j} (u_iᵀ u_j)²``, with unit parts u: the number of twins that a part
    has on average, if a pair of parts counts as much as its squared cosine. So the
    gradient of a part does not become smaller when there are more parts, as it does
    with the paper's ``1/P²``; a weight w of this form is the weight P w of that one.
    The paper prints this sum with a minus sign. Minimised, it would then reward
    parallel parts, whereas the parts are meant to differ; so it has a plus sign here.

    Parameters
    ----------
    parts : tensor of shape (P, D)
        They are normalised here; a part of norm zero is orthogonal to all others.

    Returns
    -------
    scalar tensor in [0, P - 1]

    See Also
    --------
    assignment : Penalty on regions that respond to several parts.
    specificity : Penalty on classes that use parts of other classes.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.losses import orthogonality
    >>> orthogonality(torch.tensor([[1.0, 0.0], [0.0, 2.0]])).item()
    0.0
    >>> orthogonality(torch.tensor([[1.0, 0.0], [2.0, 0.0]])).item()
    1.0
    """
    u = F.normalize(parts, dim=1)
    # UᵀU has the same sum of squares as UUᵀ, and is smaller where P > D.
    gram = u.T @ u if len(u) > u.shape[1] else u @ u.T
    # The pairs i = j count squared norms, which are 0 and not 1 for a zero part.
    same = u.square().sum(dim=1).square().sum()
    return (gram.square().sum() - same) / len(parts)


def assignment(responses: torch.Tensor, temperature: float) -> torch.Tensor:
    """Penalty on regions that respond to several parts alike.

    The mean, over images and regions, of the entropy ``-Σ_p s_rp log s_rp`` with ``s_r
    = softmax_p(S_rp / temperature)``. The paper has the sum over regions; with the
    mean, the weight of the penalty keeps its meaning when the number of regions R
    changes: a weight w of this form is the weight w / R of the sum. The responses are
    cosines in [-1, 1]: without a temperature, their softmax over many parts would
    always be close to uniform, and so the entropy would hardly change with the parts.

    Parameters
    ----------
    responses : tensor of shape (..., R, P)
        S: the cosine of each region with each part.
    temperature : float > 0

    Returns
    -------
    scalar tensor in [0, log P]

    See Also
    --------
    orthogonality : Penalty on parts that resemble one another.
    specificity : Penalty on classes that use parts of other classes.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.losses import assignment
    >>> clear = torch.tensor([[0.9, 0.1]])  # one region, two parts
    >>> round(assignment(clear, temperature=0.1).item(), 3)
    0.003
    >>> undecided = torch.tensor([[0.5, 0.5]])
    >>> round(assignment(undecided, temperature=0.1).item(), 3)  # log 2
    0.693
    """
    log_share = F.log_softmax(responses / temperature, dim=-1)
    return -(log_share.exp() * log_share).sum(dim=-1).mean()


def specificity(
    weights: torch.Tensor, part_classes: torch.Tensor, form: str = "absolute"
) -> torch.Tensor:
    """Penalty on classes whose scores depend on parts of other classes.

    ``1/((C-1) √P) Σ_i Σ_j f(V_ij)``, where j runs over the parts of classes other than
    i; for "square" without √P. So it has the same size for any number of parts, as long
    as the rows of V have the same length. The paper divides by ``P (C-1)``: a weight w
    of this form is the weight √P w of that one, for "square" P w. Parts that classes
    share are not among them, so their weights are not penalised.

    Parameters
    ----------
    weights : tensor of shape (C, P)
        V: the weights of the linear classifier.
    part_classes : int tensor of shape (P,)
        The class of each part; −1 for a part that classes share.
    form : {"absolute", "square", "signed"}
        f(v) = abs(v), v² or v. "absolute" makes weights exactly 0 where it is minimised
        with bounds, as the estimators do; "square" makes them small. The paper has
        "signed", which is not bounded from below by itself, but only by the other terms
        of a loss: it lowers the weights of all foreign parts alike, so that they become
        negative rather than small.

    Returns
    -------
    scalar tensor

    Raises
    ------
    ValueError
        For an unknown `form`.

    See Also
    --------
    orthogonality : Penalty on parts that resemble one another.
    assignment : Penalty on regions that respond to several parts.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.losses import specificity
    >>> weights = torch.tensor([[3.0, 0.5], [-0.5, 3.0]])
    >>> round(specificity(weights, part_classes=torch.tensor([0, 1])).item(), 4)
    0.7071
    """
    if form not in _SPECIFICITY_FORMS:
        raise ValueError(f"form must be one of {(*_SPECIFICITY_FORMS,)}, got {form!r}.")
    n_classes, n_parts = weights.shape
    classes = torch.arange(n_classes, device=weights.device)[:, None]
    is_foreign = (classes != part_classes) & (part_classes >= 0)
    summand, grows = _SPECIFICITY_FORMS[form]
    size = (n_classes - 1) * (n_parts**0.5 if grows else 1)
    return (summand(weights) * is_foreign).sum() / size
