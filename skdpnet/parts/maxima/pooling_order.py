"""Two ways from whitened cells to responses and from slopes back to parts.

Pooling is linear, so it may come after the projection on the parts, which then has the
fewest products, or before it, which then has the fewest sums: one a channel instead of
one a part. Both give the responses of some images at a time, and carry slopes at
these on to something small enough to keep until the slopes at the maxima are known.
"""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
import torch.nn.functional as F

from skdpnet.parts.maxima.buffers import Scratch
from skdpnet.parts.responses import cosine_factors
from skdpnet.regions import RegionGrid

__all__ = ["PoolingFirst", "ProjectionFirst", "choose_way"]

Kept = tuple[torch.Tensor, ...]
Own = TypeVar("Own", bound="_Way")

# Pooling first leaves responses, and so their exponentials, in few digits; what these
# lack is divided by β.
_LEAST_BETA = 5.0


class _Way:
    """What both ways start from.

    Parameters
    ----------
    cells, lengths, norms, offset, parts, grid
        As in `part_responses`.
    dtype : torch.dtype or None
        Of the factors of products; None: that of the cells.
    factor : tensor or None
        What `factor` was of such a way before.

    Attributes
    ----------
    factor : tensor or None
        The cells as a factor of products, where they are one.
    """

    _described: tuple[slice, torch.Tensor] | None = None

    def __init__(
        self,
        cells: torch.Tensor,
        lengths: torch.Tensor,
        norms: torch.Tensor,
        offset: torch.Tensor,
        parts: torch.Tensor,
        grid: RegionGrid,
        dtype: torch.dtype | None,
        factor: torch.Tensor | None = None,
    ):
        self.factor = factor
        self._cells, self._offset, self._grid = cells, offset, grid
        self._dtype = dtype or cells.dtype
        self._parts = parts.to(self._dtype)
        scale, self._drift = cosine_factors(lengths, norms, offset, self._precision)
        self._per_sum = scale / torch.from_numpy(grid.areas).to(scale)
        self._scratch = Scratch(cells.device)

    def with_own_memory(self: Own) -> Own:
        """Return this way for one thread, whose pieces overwrite no other's."""
        own = copy.copy(self)
        own._scratch = Scratch(self._cells.device)
        return own

    @property
    def _precision(self) -> torch.dtype:
        """Precision of what is pooled, from which the whitened mean is taken off."""
        return self._cells.dtype

    def gather(
        self,
        sums: Kept,
        some: slice,
        block: slice,
        argument: torch.Tensor,
        weights: torch.Tensor,
    ) -> None:
        """Add the descriptors of one region of each image and part, weighed.

        Exactly: no product is saved by fewer digits here.

        Parameters
        ----------
        sums : see `start`
        some : slice of n images
        block : slice of P parts
        argument : int tensor of shape (n, P)
            The region.
        weights : tensor of shape (n, P)
        """
        regions = self._regions(some)
        first = torch.arange(len(regions), device=regions.device) * regions.shape[1]
        sums[0][block] += F.embedding_bag(
            (argument + first[:, None]).T.contiguous(),
            regions.flatten(0, 1),
            per_sample_weights=weights.T.contiguous(),
            mode="sum",
        )

    def _regions(self, some: slice) -> torch.Tensor:
        """Return the unit descriptors of the regions, (n, R, K).

        Kept for the next block of parts.
        """
        if self._described is not None and self._described[0] == some:
            return self._described[1]
        cells, per_sum, drift = self._cells[some], self._per_sum[some], self._drift
        shape = len(cells), self._grid.n_regions, cells.shape[2]
        out = self._scratch("regions", shape, cells.dtype)
        first = 0
        for summed in self._grid.sums(cells):
            here = slice(first, first + summed.shape[1])
            own = out[:, here]
            torch.mul(summed, per_sum[:, here, None], out=own)
            own.addcmul_(drift[some, here, None], self._offset, value=-1)
            first = here.stop
        self._described = some, out
        return out


class ProjectionFirst(_Way):
    """Cells times parts, summed over the regions; see `part_responses`."""

    factor: torch.Tensor

    def __init__(self, *given):
        super().__init__(*given)
        if self.factor is None:
            self.factor = self._cells.to(self._dtype)
        parts, offset = given[4], given[3]
        self._constant = parts @ offset

    @property
    def itemsize(self) -> int:
        """Bytes of a response."""
        return self._cells.element_size()

    @property
    def _precision(self) -> torch.dtype:
        return self._dtype

    def responses(self, some: slice, block: slice) -> torch.Tensor:
        """Responses of some images' regions to a block of parts, (n, R, P).

        The caller may overwrite them, as those of the other way; the next call does.
        """
        projected = self.factor[some] @ self._parts[block].T
        projected = projected.to(self._cells.dtype)
        per_sum, drift = self._per_sum[some, :, None], self._drift[some, :, None]
        n, _, width = projected.shape
        shape = n, self._grid.n_regions, width
        out = self._scratch("responses", shape, projected.dtype)
        first = 0
        for summed in self._grid.sums(projected):
            here = slice(first, first + summed.shape[1])
            torch.mul(summed, per_sum[:, here], out=out[:, here])
            first = here.stop
        return out.addcmul_(drift, self._constant[block], value=-1)

    def carry(
        self, some: slice, slopes: torch.Tensor, per_region: torch.Tensor | None = None
    ) -> Kept:
        """Carry slopes at the responses on to the cells, and to their drift.

        Parameters
        ----------
        some : slice of n images
        slopes : tensor of shape (n, R, P)
            Overwritten.
        per_region : tensor of shape (n, R) or None
            What the slopes are multiplied by.

        Returns
        -------
        tensors of shape (n, H·W, P) and (n, P)
        """
        per_sum, drift = self._per_sum[some], self._drift[some]
        if per_region is not None:
            per_sum, drift = per_sum * per_region, drift * per_region
        at_drift = (drift[:, None] @ slopes)[:, 0]
        spread = self._grid.spread(slopes.mul_(per_sum[..., None]))
        at_cells = spread.to(self._dtype)
        if _share_memory(at_cells, slopes):
            # Windows of one cell leave nothing to spread, and this is to be kept.
            at_cells = at_cells.clone()
        return at_cells, at_drift

    def start(self) -> Kept:
        """Return sums that `add` adds to."""
        gradient = self._parts.new_zeros(self._parts.shape, dtype=self._cells.dtype)
        return gradient, torch.zeros_like(gradient[:, 0])

    def add(
        self,
        sums: Kept,
        some: slice,
        block: slice,
        kept: Kept,
        weights: torch.Tensor | None = None,
    ) -> None:
        """Add the gradient at a block of parts of what `carry` returned.

        Parameters
        ----------
        sums : see `start`
        some : slice of n images
        block : slice of P parts
        kept : see `carry`
        weights : tensor of shape (n, P) or None
            What the slopes are multiplied by besides.
        """
        at_cells, at_drift = kept
        if weights is not None:
            at_cells = at_cells * weights[:, None].to(at_cells.dtype)
            at_drift = at_drift * weights
        gradient, fall = sums
        gradient[block] += at_cells.flatten(0, 1).T @ self.factor[some].flatten(0, 1)
        fall[block] += at_drift.sum(dim=0)

    def total(self, sums: Kept) -> torch.Tensor:
        """Gradient (P, K) that the sums come to."""
        gradient, fall = sums
        return gradient.addr_(fall, self._offset, alpha=-1)


class PoolingFirst(_Way):
    """Regions' descriptors times parts, as responses are defined.

    More products than cells have, of numbers that are not touched again: where these
    are cheap, in bfloat16, and the parts many, this is the faster way to learn.
    """

    _latest: tuple[slice, torch.Tensor] | None = None
    _several: tuple[tuple[int, slice], torch.Tensor] | None = None

    @property
    def itemsize(self) -> int:
        """Bytes of a response."""
        return self._dtype.itemsize

    def responses(self, some: slice, block: slice) -> torch.Tensor:
        """Responses of some images' regions to a block of parts, (n, R, P).

        The regions of a part lie side by side, so that products need no copies.
        """
        regions = self._factors(some)
        several = self._repeated(len(regions), block)
        shape = *several.shape[:2], regions.shape[1]
        out = self._scratch("responses", shape, self._dtype)
        return torch.bmm(several, regions.transpose(1, 2), out=out).transpose(1, 2)

    def carry(
        self, some: slice, slopes: torch.Tensor, per_region: torch.Tensor | None = None
    ) -> Kept:
        """Carry slopes at the responses on to the parts, image by image.

        As in the other way, but for what is returned.

        Returns
        -------
        tensor of shape (n, P, K)
        """
        regions = self._factors(some)
        if per_region is not None:
            regions = regions * per_region[..., None].to(regions.dtype)
        return (torch.bmm(slopes.transpose(1, 2), regions),)

    def start(self) -> Kept:
        """Return sums that `add` adds to."""
        gradient = self._parts.new_zeros(self._parts.shape, dtype=self._cells.dtype)
        return (gradient,)

    def add(
        self,
        sums: Kept,
        some: slice,
        block: slice,
        kept: Kept,
        weights: torch.Tensor | None = None,
    ) -> None:
        """Add the gradient at a block of parts of what `carry` returned.

        As in the other way.
        """
        (at_parts,) = kept
        gradient = sums[0][block]
        # Widened where it stays: a product of two types takes new memory each time.
        wide = self._scratch("wide", gradient.shape, gradient.dtype)
        for i, own in enumerate(at_parts):
            wide.copy_(own)
            if weights is None:
                gradient.add_(wide)
            else:
                gradient.addcmul_(wide, weights[i, :, None])

    def total(self, sums: Kept) -> torch.Tensor:
        """Gradient (P, K) that the sums come to."""
        return sums[0]

    def _factors(self, some: slice) -> torch.Tensor:
        """Regions' descriptors as factors, kept for the next block of parts."""
        if self._latest is None or self._latest[0] != some:
            self._latest = some, self._regions(some).to(self._dtype)
        return self._latest[1]

    def _repeated(self, n: int, block: slice) -> torch.Tensor:
        """Return a block of parts n times over, kept for the next piece."""
        if self._several is None or self._several[0] != (n, block):
            parts = self._parts[block].expand(n, -1, -1).contiguous()
            self._several = (n, block), parts
        return self._several[1]


def _share_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def choose_way(
    cells: torch.Tensor,
    grid: RegionGrid,
    dtype: torch.dtype | None,
    beta: float | None,
    learns: bool,
) -> type[ProjectionFirst] | type[PoolingFirst]:
    """Choose the faster way.

    Parameters
    ----------
    cells : tensor of shape (N, H·W, K)
    grid : RegionGrid
    dtype : torch.dtype or None
        Of the factors of products; None: that of the cells.
    beta : float or None
        See `soft_maximum`.
    learns : bool
        Whether slopes will be carried back.

    Returns
    -------
    type
    """
    if not learns or dtype is None or (beta or math.inf) < _LEAST_BETA:
        return ProjectionFirst
    # What pooling first keeps for the way back grows with K, and its products too.
    if cells.shape[2] < grid.n_regions:
        return PoolingFirst
    return ProjectionFirst
