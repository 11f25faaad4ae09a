"""The maximum over regions and its gradient, a few images and parts at a time.

The symbols are those of `skdpnet.parts.responses`; n images and P parts stand for the
images and parts of one piece as well as for all. Beside them:

w (n, R, P)
    Weights ``exp(β S)`` of the regions in a soft maximum, up to a factor. Divided by
    ``Σ_r w``, they are the derivatives of the maximum with respect to the responses.
grad_x
    The gradient of the loss with respect to x, of the shape of x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from skdpnet.parts.maxima import cuda
from skdpnet.parts.maxima.buffers import Buffers
from skdpnet.parts.maxima.pooling_first import PoolingFirst
from skdpnet.parts.maxima.pooling_order import PoolingOrder, Tensors
from skdpnet.parts.maxima.projection_first import ProjectionFirst
from skdpnet.parts.maxima.reductions import log_mean_exp, summed_entropy
from skdpnet.parts.maxima.threads import available_threads, run_in_threads
from skdpnet.parts.responses import cosine_factors
from skdpnet.regions.grid import RegionGrid
from skdpnet.utils.batching import slices_of

__all__ = ["choose_order", "part_maxima"]

# A slice of the images, and a slice of the parts.
_Piece = tuple[slice, slice]

# Bytes of the responses of a piece. On a CPU its caches then hold them together with
# the operands they are computed from; a GPU needs more to keep it busy.
_PIECE_BYTES_CPU = 3 * 2**20
_PIECE_BYTES_GPU = 256 * 2**20
# With fewer pieces, switching Python between threads costs more than threads gain.
_MIN_PIECES_PER_THREAD = 4
# Pooling first rounds responses, and so the exponentials of a soft maximum, to the
# dtype of the products. Their error in the maximum is divided by β.
_MIN_BETA_POOLING_FIRST = 5.0


def part_maxima(
    cells: torch.Tensor,
    lengths: torch.Tensor,
    norms: torch.Tensor,
    offset: torch.Tensor,
    parts: torch.Tensor,
    grid: RegionGrid,
    *,
    beta: float | None,
    temperature: float | None = None,
    dtype: torch.dtype | None = None,
    kernels: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maxima of all parts' responses over the regions, and the assignment penalty.

    The results are those of `plain_maxima`: `soft_maximum` and `losses.assignment` of
    `part_responses`. The responses are computed for a few images and parts at a time,
    which saves the memory of all N·R·P responses, and the time to write and read them.
    For the gradient a hard maximum keeps the number of its region, and a soft maximum
    one number for each cell and part, or for each channel and part.

    Parameters
    ----------
    cells, lengths, norms, offset, parts, grid
        See `part_responses`. Gradients reach `parts` alone.
    beta : float > 0 or None
        See `soft_maximum`.
    temperature : float > 0 or None
        Temperature of the assignment penalty; None: the penalty is 0.
    dtype : torch.dtype or None
        The dtype of the factors of the matrix products, forward and backward. None:
        the dtype of the cells. Sums are always accumulated in the dtype of the cells.
    kernels : bool
        Whether the Triton kernels of `skdpnet.parts.maxima.cuda`, which round factors
        to float16 whatever `dtype` is, may be used. They are used on CUDA, without a
        temperature.

    Returns
    -------
    maxima : tensor of shape (N, P)
    penalty : scalar tensor
    """
    if kernels and temperature is None and cuda.usable(cells, beta):
        scale, offset_scale = cosine_factors(lengths, norms, offset)
        maxima = _FusedMaxima.apply(
            parts, cells, scale, offset_scale, offset, grid, beta
        )
        return maxima, cells.new_zeros(())
    if not torch.is_grad_enabled():
        # `needs_input_grad` of `_Maxima` ignores `torch.no_grad`, and it would keep
        # tensors for a backward pass that never comes.
        parts = parts.detach()
    # Autocast would round sums that are kept in full precision here.
    with torch.autocast(cells.device.type, enabled=False):
        return _Maxima.apply(
            parts, cells, lengths, norms, offset, grid, beta, temperature, dtype
        )


class _Maxima(torch.autograd.Function):
    """The maxima in PyTorch operations; see `part_maxima`."""

    @staticmethod
    def forward(
        ctx, parts, cells, lengths, norms, offset, grid, beta, temperature, dtype
    ):
        n, needs_gradient = len(cells), ctx.needs_input_grad[0]
        order_class = choose_order(cells, grid, dtype, beta, needs_gradient)
        # Scaling the parts by β gives exponents β S without a pass over S.
        response_scale = beta or 1.0
        inputs = cells, lengths, norms, offset, parts * response_scale
        order = order_class(*inputs, grid, dtype)
        bytes_per_part = grid.n_regions * order.itemsize
        n_threads = _n_threads(n, len(parts), bytes_per_part, parts.device)
        # The entropy of a region needs its responses to all parts.
        all_parts = temperature is not None
        pieces = list(_pieces(parts, n, bytes_per_part, n_threads, all_parts=all_parts))
        maxima = cells.new_empty(n, len(parts))

        def compute(share: Sequence[_Piece]):
            return _maxima_of_pieces(
                order.with_new_buffers(),
                share,
                maxima,
                beta,
                response_scale,
                temperature,
                needs_gradient,
            )

        results = run_in_threads(compute, pieces, n_threads)
        kept = [tensors for pieces_kept, _, _ in results for tensors in pieces_kept]
        n_all_regions = max(1, n * grid.n_regions)
        entropy = sum([entropy for _, entropy, _ in results], cells.new_zeros(()))
        gradients = [gradient for _, _, gradient in results if gradient is not None]
        penalty_gradient = sum(gradients) / n_all_regions if gradients else None
        # The pooling order is not saved: its buffers would live as long as the graph.
        tensors = [tensor for piece_kept in kept for tensor in piece_kept]
        ctx.save_for_backward(*inputs, order.cast_cells, penalty_gradient, *tensors)
        ctx.order_class, ctx.grid, ctx.dtype = order_class, grid, dtype
        ctx.hard, ctx.pieces, ctx.n_threads = beta is None, pieces, n_threads
        return maxima, entropy / n_all_regions

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_maxima, grad_penalty):
        saved = ctx.saved_tensors
        inputs, (cast_cells, penalty_gradient), kept = saved[:5], saved[5:7], saved[7:]
        order = ctx.order_class(*inputs, ctx.grid, ctx.dtype, cast_cells)
        n_kept = len(kept) // max(1, len(ctx.pieces))
        jobs = [
            (piece, kept[i * n_kept : (i + 1) * n_kept])
            for i, piece in enumerate(ctx.pieces)
        ]

        def compute(share: Sequence[tuple[_Piece, Tensors]]) -> torch.Tensor:
            return _gradient_of_pieces(
                order.with_new_buffers(), share, grad_maxima, ctx.hard
            )

        with torch.autocast(grad_maxima.device.type, enabled=False):
            gradients = run_in_threads(compute, jobs, ctx.n_threads)
        # The parts were scaled by β, but the 1/β of the soft maximum cancels this.
        grad_parts = sum(gradients, torch.zeros_like(inputs[4]))
        if penalty_gradient is not None:
            grad_parts += grad_penalty * penalty_gradient
        return grad_parts, *[None] * 8


def _maxima_of_pieces(
    order: PoolingOrder,
    pieces: Sequence[_Piece],
    maxima: torch.Tensor,
    beta: float | None,
    response_scale: float,
    temperature: float | None,
    needs_gradient: bool,
) -> tuple[list[Tensors], torch.Tensor, torch.Tensor | None]:
    """Compute the maxima of some pieces, and write them into `maxima`.

    Returns
    -------
    kept : list of tuples of tensors
        What `_gradient_of_pieces` needs, for each piece.
    entropy : scalar tensor
        Sum of the entropies of the pieces' regions; 0 without a temperature.
    gradient : tensor of shape (P, K) or None
        Gradient of that sum with respect to the parts, where it is needed.
    """
    kept: list[Tensors] = []
    entropy = maxima.new_zeros(())
    with_gradient = needs_gradient and temperature is not None
    sums = order.new_sums() if with_gradient else None
    buffers = Buffers(maxima.device)
    for images, block in pieces:
        responses = order.responses(images, block)
        if temperature is not None:
            piece_entropy, grad_responses, region_factor = summed_entropy(
                responses, response_scale, temperature, needs_gradient, buffers
            )
            entropy += piece_entropy
            if sums is not None and grad_responses is not None:
                # Not held by a name, so that the next piece can reuse its memory.
                order.add(
                    sums,
                    images,
                    block,
                    order.partial_gradient(images, grad_responses, region_factor),
                )
        if beta is None and needs_gradient:
            values, argmax = responses.max(dim=1)
            maxima[images, block] = values
            kept.append((argmax,))
        elif beta is None:
            maxima[images, block] = responses.amax(dim=1)
        else:
            maxima[images, block], total = log_mean_exp(responses, beta)
            if needs_gradient:
                weights = responses
                kept.append((*order.partial_gradient(images, weights), total))
    return kept, entropy, None if sums is None else order.gradient(sums)


def _gradient_of_pieces(
    order: PoolingOrder,
    jobs: Sequence[tuple[_Piece, Tensors]],
    grad_maxima: torch.Tensor,
    hard: bool,
) -> torch.Tensor:
    """Gradient (P, K) with respect to the parts, through the maxima of some pieces.

    `grad_maxima` has the shape (N, P) of all maxima.
    """
    sums = order.new_sums()
    for (images, block), kept in jobs:
        gradient = grad_maxima[images, block]
        if hard:
            order.add_regions(sums, images, block, kept[0], gradient)
        else:
            *partial, total = kept
            order.add(sums, images, block, tuple(partial), gradient / total)
    return order.gradient(sums)


class _FusedMaxima(torch.autograd.Function):
    """The maxima in Triton kernels; see `part_maxima`."""

    @staticmethod
    def forward(ctx, parts, cells, scale, offset_scale, offset, grid, beta):
        inputs = cells, scale, offset_scale, offset, parts
        maxima, argmax = cuda.fused_maxima(*inputs, grid, beta)
        ctx.save_for_backward(*inputs, maxima if argmax is None else argmax)
        ctx.grid, ctx.beta = grid, beta
        return maxima

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_maxima):
        *inputs, kept = ctx.saved_tensors
        grad_parts = cuda.fused_gradient(*inputs, ctx.grid, ctx.beta, kept, grad_maxima)
        return grad_parts, *[None] * 6


def choose_order(
    cells: torch.Tensor,
    grid: RegionGrid,
    dtype: torch.dtype | None,
    beta: float | None,
    needs_gradient: bool,
) -> type[PoolingOrder]:
    """Choose the order that is faster.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K)
    grid : RegionGrid
    dtype : torch.dtype or None
        The dtype of the factors of the matrix products; None: that of the cells.
    beta : float or None
        See `soft_maximum`.
    needs_gradient : bool
        Whether a backward pass may follow.

    Returns
    -------
    PoolingFirst or ProjectionFirst
        The class, not an instance.
    """
    sharp = beta is None or beta >= _MIN_BETA_POOLING_FIRST
    if not needs_gradient or dtype is None or not sharp:
        return ProjectionFirst
    # The partial gradients of `PoolingFirst`, and its products, grow with K.
    if cells.shape[2] < grid.n_regions:
        return PoolingFirst
    return ProjectionFirst


def _pieces(
    parts: torch.Tensor,
    n_images: int,
    bytes_per_part: int,
    n_threads: int,
    *,
    all_parts: bool,
) -> Iterator[_Piece]:
    """Cut images, and parts unless a piece needs all of them, into pieces.

    The responses of a piece take about `_piece_bytes`, where those of one image to
    one part take `bytes_per_part`. All threads get about the same number of images.
    """
    budget = _piece_bytes(parts.device)
    n_parts = len(parts)
    n_blocks = 1 if all_parts else math.ceil(n_parts * bytes_per_part / budget)
    parts_per_block = math.ceil(n_parts / n_blocks)
    most = budget // (parts_per_block * bytes_per_part)
    most = max(1, min(most, math.ceil(n_images / n_threads)))

    def images_of_the_busiest_thread(n_at_once: int) -> int:
        n_pieces = math.ceil(n_images / n_at_once) * n_blocks
        return n_at_once * math.ceil(n_pieces / n_threads)

    # Of equally good sizes the largest, which comes first.
    sizes = range(most, most // 2, -1)
    for images in slices_of(n_images, min(sizes, key=images_of_the_busiest_thread)):
        for block in slices_of(n_parts, parts_per_block):
            yield images, block


def _n_threads(
    n_images: int, n_parts: int, bytes_per_part: int, device: torch.device
) -> int:
    """Choose the number of threads: 1 where there is too little work for several."""
    n_threads = available_threads(device)
    least = n_threads * _MIN_PIECES_PER_THREAD * _piece_bytes(device)
    return n_threads if n_images * n_parts * bytes_per_part >= least else 1


def _piece_bytes(device: torch.device) -> int:
    return _PIECE_BYTES_CPU if device.type == "cpu" else _PIECE_BYTES_GPU
