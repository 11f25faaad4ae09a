"""Reductions of a piece's responses: soft maxima over regions, entropies over parts.

Overwriting the responses and reusing buffers saves the memory of several arrays as
large as the responses, and the time to allocate them.
"""

from __future__ import annotations

import torch

from skdpnet.parts.maxima.buffers import Buffers
from skdpnet.parts.responses import SMALL_BETA

__all__ = ["log_mean_exp", "summed_entropy"]

# exp(a S) of cosines S fits float32 up to this a, without subtracting the maximum
# first, even where rounding to bfloat16 has made a cosine as large as 2.
_MAX_UNSHIFTED_FACTOR = 40.0


def log_mean_exp(
    responses: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft maxima over the regions; see `soft_maximum`.

    Parameters
    ----------
    responses : tensor of shape (n, R, P)
        β S; overwritten by the weights ``w = exp(β S)``, up to a factor.
    beta : float > 0

    Returns
    -------
    maxima : tensor of shape (n, P)
    total : tensor of shape (n, P)
        ``Σ_r w``.
    """
    if beta < SMALL_BETA:
        mean = responses.expm1_().mean(dim=1)
        return torch.log1p(mean) / beta, responses.add_(1).sum(dim=1)
    shift = torch.zeros((), device=responses.device)
    if beta > _MAX_UNSHIFTED_FACTOR:
        shift = responses.amax(dim=1)
        responses.sub_(shift[:, None])
    # torch accumulates sums of bfloat16 in float32 and rounds the result once. Asking
    # for a float32 sum would copy the responses first.
    total = responses.exp_().sum(dim=1).to(_at_least_float32(responses))
    maxima = (torch.log(total / responses.shape[1]) + shift) / beta
    return maxima, total


def summed_entropy(
    responses: torch.Tensor,
    response_scale: float,
    temperature: float,
    needs_gradient: bool,
    buffers: Buffers,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Sum of the entropies of all regions, and its gradient.

    The entropy of a region r is that of the parts' shares in it, ``softmax_p(S_rp /
    temperature)``.

    Parameters
    ----------
    responses : tensor of shape (n, R, P)
        S times `response_scale`; left as they are.
    response_scale, temperature : float > 0
    needs_gradient : bool
    buffers : Buffers

    Returns
    -------
    entropy : scalar tensor
    gradient : tensor of shape (n, R, P) or None
        In a buffer. Times `region_factor` it is the gradient with respect to S: the
        caller can apply that factor at less cost.
    region_factor : tensor of shape (n, R)
    """
    z = _buffer_like(responses, _at_least_float32(responses), "z", buffers)
    z.copy_(responses).div_(response_scale * temperature)
    if 1 / temperature > _MAX_UNSHIFTED_FACTOR:
        z -= z.amax(dim=2, keepdim=True)
    weights = torch.exp(z, out=_buffer_like(z, z.dtype, "weights", buffers))
    total = weights.sum(dim=2)
    # With w = exp z the entropy is H = log Σ w - Σ w z / Σ w, and its derivative
    # dH/dz = -w (z - Σ w z / Σ w) / Σ w.
    product = z.mul_(weights)
    mean = product.sum(dim=2) / total
    entropies = torch.log(total) - mean
    if not needs_gradient:
        return entropies.sum(), None, total
    gradient = product.addcmul_(weights, mean[..., None], value=-1)
    if gradient.dtype != responses.dtype:
        rounded = _buffer_like(gradient, responses.dtype, "gradient", buffers)
        gradient = rounded.copy_(gradient)
    return entropies.sum(), gradient, -1 / (temperature * total)


def _buffer_like(
    tensor: torch.Tensor, dtype: torch.dtype, name: str, buffers: Buffers
) -> torch.Tensor:
    """Return a buffer of a tensor's shape (n, R, P) and order of memory."""
    n, n_regions, n_parts = tensor.shape
    if tensor.stride(1) == 1:
        return buffers(name, (n, n_parts, n_regions), dtype).transpose(1, 2)
    return buffers(name, (n, n_regions, n_parts), dtype)


def _at_least_float32(responses: torch.Tensor) -> torch.dtype:
    """Return the dtype in which sums over responses are accumulated."""
    return torch.promote_types(responses.dtype, torch.float32)
