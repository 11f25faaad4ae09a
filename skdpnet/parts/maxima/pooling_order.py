"""Two orders of pooling and projection: which of the linear maps W and U comes first.

Pooling W and the projection on the parts U are both linear, so ``W (F T) Uᵀ`` may be
computed in either order (symbols as in `skdpnet.parts.responses`): `ProjectionFirst`
saves products, `PoolingFirst` saves sums.

Both compute the responses of a few images at a time. For the gradient both reduce a
gradient with respect to the responses (n, R, P) to a smaller *partial gradient*, which
can be kept until the gradient with respect to the maxima is known: a soft maximum's
weights w are known in the forward pass, and only a factor for each image and part is
missing.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TypeVar

import torch
import torch.nn.functional as F

from skdpnet.parts.maxima.buffers import Buffers
from skdpnet.parts.responses import cosine_factors
from skdpnet.regions.grid import RegionGrid

__all__ = ["PoolingOrder", "Tensors"]

Tensors = tuple[torch.Tensor, ...]
_Order = TypeVar("_Order", bound="PoolingOrder")


class PoolingOrder(ABC):
    """What both orders share.

    Parameters
    ----------
    cells, lengths, norms, offset, parts, grid
        See `part_responses`. Where parts are scaled by a number, so are responses.
    dtype : torch.dtype or None
        The dtype of the factors of the matrix products; None: that of the cells.
    cast_cells : tensor or None
        The attribute `cast_cells` of an object with the same cells and dtype, which
        saves converting them again.

    Attributes
    ----------
    cast_cells : tensor or None
        The cells in the dtype of the products, where they are a factor of them.
    """

    # A slice of the images, and the descriptors of their regions, in a buffer.
    _descriptors: tuple[slice, torch.Tensor] | None = None

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
        self.cast_cells = cast_cells
        self._cells, self._offset, self._grid = cells, offset, grid
        self._dtype = dtype or cells.dtype
        self._parts = parts.to(self._dtype)
        scale, self._offset_scale = cosine_factors(
            lengths, norms, offset, self._pooled_dtype
        )
        # Applied to the sum over a region's cells, not to their average.
        self._sum_scale = scale / torch.from_numpy(grid.areas).to(scale)
        self._buffers = Buffers(cells.device)

    def with_new_buffers(self: _Order) -> _Order:
        """Return a copy with buffers of its own, for use in another thread."""
        other = copy.copy(self)
        other._buffers = Buffers(self._cells.device)
        return other

    @property
    def _pooled_dtype(self) -> torch.dtype:
        """The dtype that pooled values have before the offset is subtracted."""
        return self._cells.dtype

    @property
    @abstractmethod
    def itemsize(self) -> int:
        """Bytes of a response."""

    @abstractmethod
    def responses(self, images: slice, block: slice) -> torch.Tensor:
        """Responses of the regions of n images to a block of P parts.

        Returns
        -------
        tensor of shape (n, R, P)
            In a buffer: the caller may overwrite it, and the next call does.
        """

    @abstractmethod
    def partial_gradient(
        self,
        images: slice,
        grad_responses: torch.Tensor,
        region_factor: torch.Tensor | None = None,
    ) -> Tensors:
        """Reduce a gradient with respect to the responses.

        Parameters
        ----------
        images : slice of n images
        grad_responses : tensor of shape (n, R, P)
            May be overwritten.
        region_factor : tensor of shape (n, R) or None
            A factor of `grad_responses`.

        Returns
        -------
        tuple of tensors
            To be passed to `add`. They are not in buffers, and so can be kept.
        """

    @abstractmethod
    def new_sums(self) -> Tensors:
        """Return zeros for `add` and `add_regions` to accumulate in."""

    @abstractmethod
    def add(
        self,
        sums: Tensors,
        images: slice,
        block: slice,
        partial: Tensors,
        weights: torch.Tensor | None = None,
    ) -> None:
        """Add the gradient with respect to a block of parts to the sums.

        Parameters
        ----------
        sums : tuple of tensors
            From `new_sums`; changed in place.
        images : slice of n images
        block : slice of P parts
        partial : tuple of tensors
            From `partial_gradient`.
        weights : tensor of shape (n, P) or None
            A factor of the partial gradient.
        """

    @abstractmethod
    def gradient(self, sums: Tensors) -> torch.Tensor:
        """Return the gradient (P, K) with respect to all parts."""

    def add_regions(
        self,
        sums: Tensors,
        images: slice,
        block: slice,
        argmax: torch.Tensor,
        weights: torch.Tensor,
    ) -> None:
        """Add to each part the weighted descriptor of one region of each image.

        In the dtype of the cells: there is no matrix product that a lower precision
        would make faster.

        Parameters
        ----------
        sums : tuple of tensors
            From `new_sums`; changed in place.
        images : slice of n images
        block : slice of P parts
        argmax : int tensor of shape (n, P)
            The region.
        weights : tensor of shape (n, P)
        """
        regions = self._regions(images)
        first = torch.arange(len(regions), device=regions.device) * regions.shape[1]
        sums[0][block] += F.embedding_bag(
            (argmax + first[:, None]).T.contiguous(),
            regions.flatten(0, 1),
            per_sample_weights=weights.T.contiguous(),
            mode="sum",
        )

    def _regions(self, images: slice) -> torch.Tensor:
        """Return the unit descriptors X of the regions, (n, R, K).

        They stay in the buffer for the next block of parts.
        """
        if self._descriptors is not None and self._descriptors[0] == images:
            return self._descriptors[1]
        cells = self._cells[images]
        sum_scale, offset_scale = self._sum_scale[images], self._offset_scale[images]
        shape = len(cells), self._grid.n_regions, cells.shape[2]
        out = self._buffers("regions", shape, cells.dtype)
        first = 0
        for sums in self._grid.sums(cells):
            rows = slice(first, first + sums.shape[1])
            descriptors = out[:, rows]
            torch.mul(sums, sum_scale[:, rows, None], out=descriptors)
            descriptors.addcmul_(offset_scale[:, rows, None], self._offset, value=-1)
            first = rows.stop
        self._descriptors = images, out
        return out
