"""The maximum of each part's responses over the regions, and its gradient.

The responses of all regions to all parts may take far more memory than everything else.
Here they are computed for a few images at a time, in the forward pass and, as far as
the gradient needs them, once more in the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F

from skdpnet.parts.responses import SMALL_BETA
from skdpnet.utils.batching import slices_within

__all__ = ["part_maxima"]

# Bytes of the responses that are in memory at once. On a CPU its caches then hold them;
# a GPU needs more to keep it busy.
_PIECE_BYTES_CPU = 3 * 2**20
_PIECE_BYTES_GPU = 256 * 2**20
# exp(a S) of cosines S fits float32 up to this a, without subtracting the maximum
# first, even where rounding to bfloat16 has made a cosine as large as 2.
_MAX_UNSHIFTED_FACTOR = 40.0
# The error of a rounded response in a soft maximum is divided by β.
_LEAST_ROUNDED_BETA = 5.0


def part_maxima(
    regions: torch.Tensor,
    parts: torch.Tensor,
    *,
    beta: float | None,
    temperature: float | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maxima of all parts' responses over the regions, and the assignment penalty.

    The results are those of `soft_maximum` and `losses.assignment` of the responses,
    ``regions @ parts.T``.

    Parameters
    ----------
    regions : tensor of shape (N, R, K)
        Region descriptors. They have no gradient.
    parts : tensor of shape (P, K)
        U, with unit rows.
    beta : float > 0 or None
        See `soft_maximum`.
    temperature : float > 0 or None
        Temperature of the assignment penalty; None: the penalty is 0.
    dtype : torch.dtype or None
        The dtype of the factors of the matrix products, forward and backward. None:
        that of the regions. Sums are always accumulated in float32 or better.

    Returns
    -------
    maxima : tensor of shape (N, P)
    penalty : scalar tensor
    """
    if not torch.is_grad_enabled():
        # `needs_input_grad` of `_Maxima` ignores `torch.no_grad`, and it would keep
        # tensors for a backward pass that never comes.
        parts = parts.detach()
    # Autocast would round sums that are kept in full precision here.
    with torch.autocast(regions.device.type, enabled=False):
        return _Maxima.apply(parts, regions, beta, temperature, dtype)


class _Maxima(torch.autograd.Function):
    """See `part_maxima`. Parts are scaled by β, so that responses are exponents."""

    @staticmethod
    def forward(ctx, parts, regions, beta, temperature, dtype):
        is_hard, factor = beta is None, beta or 1.0
        shape = len(regions), len(parts)
        maxima, entropy = regions.new_empty(shape), regions.new_zeros(())
        # What the gradient needs of the maxima: their regions, or the sums of exp(β S).
        kept = regions.new_empty(shape, dtype=torch.int64 if is_hard else None)
        pieces = _responses(regions, factor * parts, beta, dtype)
        for images, _, responses in pieces:
            if temperature is not None:
                entropy += _entropies(responses, factor * temperature)[0].sum()
            if is_hard and ctx.needs_input_grad[0]:
                maxima[images], kept[images] = responses.max(dim=1)
            elif is_hard:
                # Without their numbers, a third of the time.
                maxima[images] = responses.amax(dim=1)
            else:
                maxima[images], kept[images] = _log_mean_exp(responses, beta)
        ctx.save_for_backward(parts, regions, kept)
        ctx.beta, ctx.temperature, ctx.dtype = beta, temperature, dtype
        return maxima, entropy / max(1, len(regions) * regions.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_maxima, grad_penalty):
        with torch.autocast(grad_maxima.device.type, enabled=False):
            gradient = _gradient(ctx, grad_maxima, grad_penalty)
        return gradient, None, None, None, None


def _gradient(
    ctx, grad_maxima: torch.Tensor, grad_penalty: torch.Tensor
) -> torch.Tensor:
    """Return the gradient with respect to the parts; see `_Maxima`."""
    parts, regions, kept = ctx.saved_tensors
    gradient, factor = torch.zeros_like(parts), ctx.beta or 1.0
    if ctx.beta is None:
        _add_maximal_regions(gradient, regions, kept, grad_maxima)
        if ctx.temperature is None:
            return gradient
    of_entropy = grad_penalty / max(1, len(regions) * regions.shape[1])
    pieces = _responses(regions, factor * parts, ctx.beta, ctx.dtype)
    for images, descriptors, responses in pieces:
        grad_responses = None
        if ctx.temperature is not None:
            _, derivatives = _entropies(responses, factor * ctx.temperature)
            grad_responses = derivatives.mul_(of_entropy / ctx.temperature)
        if ctx.beta is not None:
            _log_mean_exp(responses, ctx.beta)
            # The β of the exponents cancels the 1/β of the soft maximum.
            shares = (grad_maxima[images] / kept[images])[:, None]
            of_maxima = responses.mul_(shares)
            grad_responses = (
                of_maxima if grad_responses is None else grad_responses + of_maxima
            )
        flat = cast(torch.Tensor, grad_responses).flatten(0, 1).to(descriptors.dtype)
        gradient += flat.T @ descriptors.flatten(0, 1)
    return gradient


def _responses(
    regions: torch.Tensor,
    parts: torch.Tensor,
    beta: float | None,
    dtype: torch.dtype | None,
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Compute responses, a few images at a time.

    Yields
    ------
    images : slice of n images
    descriptors : tensor of shape (n, R, K)
        Their regions, in the dtype of the products.
    responses : tensor of shape (n, R, P)
        In memory that the next ones overwrite, as the caller may.
    """
    dtype = dtype or regions.dtype
    parts = parts.to(dtype)
    n_images, n_regions, _ = regions.shape
    bytes_per_image = n_regions * len(parts) * dtype.itemsize
    on_cpu = regions.device.type == "cpu"
    budget = _PIECE_BYTES_CPU if on_cpu else _PIECE_BYTES_GPU
    # Memory that is freed and allocated again is mapped anew, page by page, which takes
    # longer than the operations on it.
    memory = None
    for images in slices_within(n_images, bytes_per_image, budget):
        descriptors = regions[images].to(dtype)
        if memory is None:
            shape = len(descriptors) * n_regions, len(parts)
            memory = torch.empty(shape, dtype=dtype, device=regions.device)
        rows = memory[: len(descriptors) * n_regions]
        torch.mm(descriptors.flatten(0, 1), parts.T, out=rows)
        responses = rows.unflatten(0, (len(descriptors), n_regions))
        if beta is not None and beta < _LEAST_ROUNDED_BETA:
            responses = responses.to(regions.dtype)
        yield images, descriptors, responses


def _log_mean_exp(
    exponents: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft maxima over the regions; see `soft_maximum`.

    Parameters
    ----------
    exponents : tensor of shape (n, R, P)
        β S; overwritten by the weights ``w = exp(β S)``, up to a factor.
    beta : float > 0

    Returns
    -------
    maxima : tensor of shape (n, P)
    total : tensor of shape (n, P)
        ``Σ_r w``.
    """
    if beta < SMALL_BETA:
        mean = exponents.expm1_().mean(dim=1)
        return torch.log1p(mean) / beta, exponents.add_(1).sum(dim=1)
    shift = torch.zeros((), device=exponents.device)
    if beta > _MAX_UNSHIFTED_FACTOR:
        shift = exponents.amax(dim=1)
        exponents.sub_(shift[:, None])
    # torch accumulates sums of bfloat16 in float32 and rounds the result once. Asking
    # for a float32 sum would copy the exponents first.
    total = exponents.exp_().sum(dim=1)
    total = total.to(torch.promote_types(total.dtype, torch.float32))
    return (torch.log(total / exponents.shape[1]) + shift) / beta, total


def _entropies(
    responses: torch.Tensor, divisor: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Entropies of the parts' shares in each region, and their derivatives.

    Parameters
    ----------
    responses : tensor of shape (n, R, P)
    divisor : float > 0
        The shares are those of ``softmax_p(z)``, ``z = responses / divisor``.

    Returns
    -------
    entropies : tensor of shape (n, R)
        ``H = log Σ w - Σ w z / Σ w``, with w = exp z.
    derivatives : tensor of shape (n, R, P)
        With respect to z: ``-(w / Σ w) (z - Σ w z / Σ w)``.
    """
    wide = torch.promote_types(responses.dtype, torch.float32)
    logits = responses.to(wide) / divisor
    shares = torch.softmax(logits, dim=2)
    mean = (shares * logits).sum(dim=2, keepdim=True)
    entropies = torch.logsumexp(logits, dim=2) - mean[..., 0]
    return entropies, shares.mul_(logits.sub_(mean)).neg_()


def _add_maximal_regions(
    gradient: torch.Tensor,
    regions: torch.Tensor,
    numbers: torch.Tensor,
    weights: torch.Tensor,
) -> None:
    """Add to each part the region of its maximum in each image, times a weight.

    Parameters
    ----------
    gradient : tensor of shape (P, K)
        Changed in place.
    regions : tensor of shape (N, R, K)
    numbers : int tensor of shape (N, P)
        The regions.
    weights : tensor of shape (N, P)
    """
    first = torch.arange(len(regions), device=regions.device) * regions.shape[1]
    gradient += F.embedding_bag(
        (numbers + first[:, None]).T.contiguous(),
        regions.flatten(0, 1),
        per_sample_weights=weights.T.contiguous(),
        mode="sum",
    )
