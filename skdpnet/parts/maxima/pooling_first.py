"""Pool the cells, then project the regions on the parts.

It saves sums: ``W F T`` has them for each region and channel, ``W (F T Uᵀ)`` for each
region and part. In exchange there are more products; so it is faster where products are
cheap, in bfloat16, and parts many.
"""

from __future__ import annotations

import torch

from skdpnet.parts.maxima.pooling_order import PoolingOrder, Tensors

__all__ = ["PoolingFirst"]


class PoolingFirst(PoolingOrder):
    """Responses as they are defined, ``X Uᵀ``; see `PoolingOrder`."""

    # A slice of the images, and the descriptors of their regions in the dtype of the
    # products.
    _cast_regions: tuple[slice, torch.Tensor] | None = None
    # A number of images and a block of parts, and the parts repeated for each image.
    _repeated_parts: tuple[tuple[int, slice], torch.Tensor] | None = None

    @property
    def itemsize(self) -> int:
        """Bytes of a response."""
        return self._dtype.itemsize

    def responses(self, images: slice, block: slice) -> torch.Tensor:
        """Responses of the regions of n images to a block of P parts, (n, R, P).

        The regions of a part are adjacent in memory, so that the products of
        `partial_gradient` need no copy.
        """
        regions = self._regions_as_factor(images)
        parts = self._parts_as_factor(len(regions), block)
        shape = *parts.shape[:2], regions.shape[1]
        out = self._buffers("responses", shape, self._dtype)
        return torch.bmm(parts, regions.transpose(1, 2), out=out).transpose(1, 2)

    def partial_gradient(
        self,
        images: slice,
        grad_responses: torch.Tensor,
        region_factor: torch.Tensor | None = None,
    ) -> Tensors:
        """Reduce a gradient with respect to the responses.

        Returns
        -------
        grad_parts : tensor of shape (n, P, K)
            Gradient with respect to the parts, for each image.
        """
        regions = self._regions_as_factor(images)
        if region_factor is not None:
            regions = regions * region_factor[..., None].to(regions.dtype)
        return (torch.bmm(grad_responses.transpose(1, 2), regions),)

    def new_sums(self) -> Tensors:
        """Return zeros for `add` and `add_regions` to accumulate in."""
        gradient = self._parts.new_zeros(self._parts.shape, dtype=self._cells.dtype)
        return (gradient,)

    def add(
        self,
        sums: Tensors,
        images: slice,
        block: slice,
        partial: Tensors,
        weights: torch.Tensor | None = None,
    ) -> None:
        """Add the gradient with respect to a block of parts to the sums."""
        (grad_parts,) = partial
        gradient = sums[0][block]
        # Converted in a buffer: a product of two dtypes would allocate each time.
        converted = self._buffers("converted", gradient.shape, gradient.dtype)
        for i, grad_parts_of_image in enumerate(grad_parts):
            converted.copy_(grad_parts_of_image)
            if weights is None:
                gradient.add_(converted)
            else:
                gradient.addcmul_(converted, weights[i, :, None])

    def gradient(self, sums: Tensors) -> torch.Tensor:
        """Return the gradient (P, K) with respect to all parts."""
        return sums[0]

    def _regions_as_factor(self, images: slice) -> torch.Tensor:
        """Return the descriptors X in the dtype of the products.

        They are kept for the next block of parts.
        """
        if self._cast_regions is None or self._cast_regions[0] != images:
            self._cast_regions = images, self._regions(images).to(self._dtype)
        return self._cast_regions[1]

    def _parts_as_factor(self, n_images: int, block: slice) -> torch.Tensor:
        """Repeat a block of parts for each image, and keep it for the next piece."""
        key = n_images, block
        if self._repeated_parts is None or self._repeated_parts[0] != key:
            parts = self._parts[block].expand(n_images, -1, -1).contiguous()
            self._repeated_parts = key, parts
        return self._repeated_parts[1]
