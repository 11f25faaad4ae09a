"""Project the cells on the parts, then pool.

It saves products: ``F T Uᵀ`` has K of them for each cell and part, and the regions,
which are about twice as many as the cells, need sums only.
"""

from __future__ import annotations

import torch

from skdpnet.parts.maxima.pooling_order import PoolingOrder, Tensors
from skdpnet.regions.grid import RegionGrid

__all__ = ["ProjectionFirst"]


class ProjectionFirst(PoolingOrder):
    """Responses from ``W (F T Uᵀ)``; see `PoolingOrder`."""

    cast_cells: torch.Tensor

    def __init__(
        self,
        cells: torch.Tensor,
        lengths: torch.Tensor,
        norms: torch.Tensor,
        offset: torch.Tensor,
        parts: torch.Tensor,
        grid: RegionGrid,
        dtype: torch.dtype | None,
        cast_cells: torch.Tensor | None = None,
    ):
        super().__init__(cells, lengths, norms, offset, parts, grid, dtype, cast_cells)
        if cast_cells is None:
            self.cast_cells = cells.to(self._dtype)
        self._projected_offset = parts @ offset

    @property
    def itemsize(self) -> int:
        """Bytes of a response."""
        return self._cells.element_size()

    @property
    def _pooled_dtype(self) -> torch.dtype:
        return self._dtype

    def responses(self, images: slice, block: slice) -> torch.Tensor:
        """Responses of the regions of n images to a block of P parts, (n, R, P)."""
        projected = self.cast_cells[images] @ self._parts[block].T
        projected = projected.to(self._cells.dtype)
        sum_scale = self._sum_scale[images, :, None]
        offset_scale = self._offset_scale[images, :, None]
        n, _, n_parts = projected.shape
        shape = n, self._grid.n_regions, n_parts
        out = self._buffers("responses", shape, projected.dtype)
        first = 0
        for sums in self._grid.sums(projected):
            rows = slice(first, first + sums.shape[1])
            torch.mul(sums, sum_scale[:, rows], out=out[:, rows])
            first = rows.stop
        return out.addcmul_(offset_scale, self._projected_offset[block], value=-1)

    def partial_gradient(
        self,
        images: slice,
        grad_responses: torch.Tensor,
        region_factor: torch.Tensor | None = None,
    ) -> Tensors:
        """Reduce a gradient with respect to the responses; overwrites it.

        Returns
        -------
        grad_projected : tensor of shape (n, H·W, P)
            Gradient with respect to the projected cells ``F T Uᵀ``.
        grad_offset : tensor of shape (n, P)
            Gradient with respect to the projected offset, with the opposite sign.
        """
        sum_scale, offset_scale = self._sum_scale[images], self._offset_scale[images]
        if region_factor is not None:
            sum_scale = sum_scale * region_factor
            offset_scale = offset_scale * region_factor
        grad_offset = (offset_scale[:, None] @ grad_responses)[:, 0]
        scaled = grad_responses.mul_(sum_scale[..., None])
        grad_projected = self._grid.spread(scaled).to(self._dtype)
        if _share_memory(grad_projected, grad_responses):
            # With windows of one cell alone, `spread` returns its argument, which is
            # a buffer, and this result is to be kept.
            grad_projected = grad_projected.clone()
        return grad_projected, grad_offset

    def new_sums(self) -> Tensors:
        """Return zeros for `add` and `add_regions` to accumulate in."""
        gradient = self._parts.new_zeros(self._parts.shape, dtype=self._cells.dtype)
        return gradient, torch.zeros_like(gradient[:, 0])

    def add(
        self,
        sums: Tensors,
        images: slice,
        block: slice,
        partial: Tensors,
        weights: torch.Tensor | None = None,
    ) -> None:
        """Add the gradient with respect to a block of parts to the sums."""
        grad_projected, grad_offset = partial
        if weights is not None:
            grad_projected = grad_projected * weights[:, None].to(grad_projected.dtype)
            grad_offset = grad_offset * weights
        gradient, offset_sum = sums
        cells = self.cast_cells[images]
        gradient[block] += grad_projected.flatten(0, 1).T @ cells.flatten(0, 1)
        offset_sum[block] += grad_offset.sum(dim=0)

    def gradient(self, sums: Tensors) -> torch.Tensor:
        """Return the gradient (P, K) with respect to all parts."""
        gradient, offset_sum = sums
        return gradient.addr_(offset_sum, self._offset, alpha=-1)


def _share_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
