"""PCA whitening of region descriptors, learned from a sample of regions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch

from skdpnet.regions.grid import AVERAGE_POOLING, RegionGrid
from skdpnet.storage.large_arrays import MapRows, allocate
from skdpnet.utils.batching import slices_within
from skdpnet.utils.host_copies import as_tensor

__all__ = ["Whitening", "fit_whitening", "sample_regions", "whitened_regions"]

# Enough for the covariance of 2,048 dimensions, which then takes seconds to compute.
_MAX_REGIONS = 50_000
# Of the sample, which longer descriptors would make too large for memory.
_MAX_NUMBERS = 50_000 * 2_048
# Bytes of the pooled regions that are in memory at once. On a CPU its caches then hold
# them; a GPU needs more to keep it busy.
_PIECE_BYTES_CPU = 4 * 2**20
_PIECE_BYTES_GPU = 256 * 2**20
# Variances below this share of the largest are rounding errors.
_RANK_TOLERANCE = 1e-6
_TINY = 1e-12
# A difference of a few rounding errors of its operands is itself rounding.
_ROUNDING_ERRORS = 8
_CPU = torch.device("cpu")

Maps = np.ndarray | torch.Tensor | MapRows


@dataclass(frozen=True)
class Whitening:
    """The affine map ``x -> (x - mean) T`` of l2-normalised region descriptors x.

    D is the channels of the map, or ``h·w`` times them for a grid with
    ``pooling="concat"`` and windows of h×w cells.

    Parameters
    ----------
    mean : float32 ndarray of shape (D,)
    projection : float32 ndarray of shape (D, K)
        T.

    See Also
    --------
    fit_whitening : Learn the mean and the projection.
    """

    mean: np.ndarray
    projection: np.ndarray

    @property
    def offset(self) -> np.ndarray:
        """The whitened mean ``mean T``, float32 ndarray (K,)."""
        return self.mean @ self.projection

    def _is_identity(self) -> bool:
        depth, n_components = self.projection.shape
        if self.mean.any() or depth != n_components:
            return False
        ones = bool((np.diagonal(self.projection) == 1).all())
        return ones and np.count_nonzero(self.projection) == depth

    def __call__(
        self,
        maps: np.ndarray | MapRows,
        grid: RegionGrid,
        weights: np.ndarray | None = None,
        folder: str | os.PathLike | None = None,
        device: torch.device = _CPU,
    ) -> np.ndarray:
        """Describe the regions of feature maps.

        A region is the average of its cells, or all of them side by side, as the grid
        says; it is l2-normalised, whitened, and l2-normalised again.

        Parameters
        ----------
        maps : ndarray or MapRows of shape (n, H, W, D)
        grid : RegionGrid
        weights : float ndarray of shape (n, R), optional
            Factors of the descriptors.
        folder : str or path, optional
            Folder of the file of descriptors that are too large for memory; see
            `allocate`.
        device : torch.device, optional
            The device of the computation.

        Returns
        -------
        float32 ndarray of shape (n, R, K)
            Region descriptors of unit length, times the weights. Those of empty
            regions, and of regions that are equal to the mean, are zero.
        """
        shape = len(maps), grid.n_regions, self.projection.shape[1]
        out = allocate(shape, np.float32, folder)
        for images, descriptors in self._pieces(maps, grid, device):
            if weights is not None:
                descriptors *= as_tensor(weights[images, :, None], device)
            out[images] = descriptors.cpu().numpy()
        return out

    def tensor(
        self, maps: Maps, grid: RegionGrid, device: torch.device
    ) -> torch.Tensor:
        """Describe the regions of a few images, and leave them on the device.

        Parameters
        ----------
        maps : ndarray, tensor or MapRows of shape (n, H, W, D)
        grid : RegionGrid
        device : torch.device

        Returns
        -------
        tensor of shape (n, R, K) on the device
            As from calling the whitening, without weights.
        """
        pieces = [descriptors for _, descriptors in self._pieces(maps, grid, device)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def axes(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return what `whitened_regions` takes, on a device.

        Parameters
        ----------
        device : torch.device

        Returns
        -------
        (tensor of shape (D, K), tensor of shape (K,)), or None
            T and the whitened mean; None: the whitening is the identity.
        """
        if self._is_identity():
            return None
        return (
            torch.from_numpy(self.projection).to(device),
            torch.from_numpy(self.offset).to(device),
        )

    def _pieces(
        self, maps: Maps, grid: RegionGrid, device: torch.device
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield slices of the images with the descriptors of their regions."""
        axes = self.axes(device)
        for images in _slices(maps, grid, device):
            yield images, whitened_regions(as_tensor(maps[images], device), grid, axes)


def whitened_regions(
    features: torch.Tensor,
    grid: RegionGrid,
    axes: tuple[torch.Tensor, torch.Tensor] | None,
) -> torch.Tensor:
    """Describe the regions of all images at once, as `Whitening.tensor` does in pieces.

    Parameters
    ----------
    features : tensor of shape (n, H, W, D)
    grid : RegionGrid
    axes : (tensor of shape (D, K), tensor of shape (K,)), or None
        As from `Whitening.axes`.

    Returns
    -------
    tensor of shape (n, R, K)
    """
    regions, lengths = _unit_regions(features, grid)
    if axes is None:
        return regions
    projection, offset = axes
    whitened = (regions @ projection).sub_(offset)
    norms = whitened.norm(dim=2, keepdim=True)
    # A shorter vector is the rounding error of the two that it differs by.
    rounding = _ROUNDING_ERRORS * torch.finfo(norms.dtype).eps
    shortest = (rounding * offset.norm()).clamp(min=_TINY)
    counts = (norms > shortest) & (lengths > 0)
    return torch.where(counts, whitened / norms.clamp(min=1e-30), 0.0)


def fit_whitening(
    maps: np.ndarray | MapRows,
    grid: RegionGrid,
    n_components: int | None,
    random_state: np.random.RandomState,
) -> Whitening:
    """Learn the whitening of the regions of feature maps.

    Parameters
    ----------
    maps : ndarray or MapRows of shape (n, H, W, D)
    grid : RegionGrid
    n_components : int or None
        Number K of directions of largest variance that are kept; fewer where the
        regions span fewer. None: the identity.
    random_state : RandomState
        Draws the sample of regions.

    Returns
    -------
    Whitening
        On the sample, the whitened descriptors have mean 0 and the identity as
        covariance.

    See Also
    --------
    sample_regions : The sample.
    """
    depth = grid.descriptor_depth(maps.shape[-1])
    identity = Whitening(np.zeros(depth, np.float32), np.eye(depth, dtype=np.float32))
    if n_components is None:
        return identity

    def pooled(images: slice) -> np.ndarray:
        return identity.tensor(maps[images], grid, _CPU).numpy()

    shape = len(maps), grid.n_regions, depth
    n_regions = min(_MAX_REGIONS, max(1, _MAX_NUMBERS // depth))
    sample = sample_regions(pooled, shape, n_regions, random_state)
    mean = sample.mean(axis=0, dtype=np.float64)
    sample -= mean.astype(np.float32)
    variance, directions = _principal_axes(sample, min(n_components, depth))
    variance, directions = variance[:n_components], directions[:, :n_components]
    rank = int((variance > max(_RANK_TOLERANCE * variance[0], _TINY)).sum())
    if rank == 0:
        # All regions are equal, so that their whitened descriptors are zero.
        return Whitening(mean.astype(np.float32), np.zeros((depth, 1), np.float32))
    directions = directions[:, :rank]
    # The sign of an eigenvector is arbitrary; a rule for it makes models reproducible.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(rank)])
    # How products are rounded depends on the memory layout: here it is always the same.
    projection = np.ascontiguousarray(directions / np.sqrt(variance[:rank]), np.float32)
    return Whitening(mean.astype(np.float32), projection)


def _principal_axes(centred: np.ndarray, n_axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances (k,), largest first, and the directions (D, k)."""
    m, depth = centred.shape
    if m < depth:
        _, singular, axes = np.linalg.svd(centred.astype(np.float64), False)
        return singular**2 / max(1, m - 1), axes.T
    covariance = (centred.T @ centred).astype(np.float64) / max(1, m - 1)
    largest = [depth - n_axes, depth - 1]
    variance, directions = scipy.linalg.eigh(covariance, subset_by_index=largest)
    return variance[::-1], directions[:, ::-1]


def sample_regions(
    regions: Callable[[slice], np.ndarray],
    shape: tuple[int, ...],
    n_regions: int,
    random_state: np.random.RandomState,
    allowed: np.ndarray | None = None,
) -> np.ndarray:
    """Draw a sample of region descriptors, scaled to unit length.

    Parameters
    ----------
    regions : callable
        Returns the descriptors (n', R, K) of a slice of the images.
    shape : tuple (n, R, K)
        The shape of all descriptors.
    n_regions : int
        Approximate size of the sample. Each image contributes the same number of
        regions, and at least one.
    random_state : RandomState
    allowed : bool ndarray of shape (n, R), default=None
        The regions to draw from; an image of which none is allowed gives any. None: all
        regions.

    Returns
    -------
    float32 ndarray of shape (m, K)
        Unit rows; regions of norm zero are left out unless there are no others.
    """
    n, n_each, depth = shape
    per_image = min(n_each, max(1, n_regions // n))
    out = np.zeros((n, per_image, depth), np.float32)
    for images in slices_within(n, 4 * n_each * depth, _PIECE_BYTES_CPU):
        for i, descriptors in enumerate(regions(images), images.start):
            chosen = random_state.permutation(n_each)
            if allowed is not None and allowed[i].any():
                chosen = chosen[allowed[i, chosen]]
            chosen = chosen[:per_image]
            out[i, : len(chosen)] = descriptors[chosen]
    rows = out.reshape(-1, depth)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    has_direction = norms[:, 0] > _TINY
    if not has_direction.any():
        return rows
    # The sample may be the largest array of a fit, so it is copied only if it must be.
    if not has_direction.all():
        rows, norms = rows[has_direction], norms[has_direction]
    rows /= norms
    return rows


def _unit_regions(
    features: torch.Tensor, grid: RegionGrid
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pool maps (N, H, W, D); return unit descriptors (N, R, D) and lengths (N, R, 1).

    Empty regions are zero.
    """
    cells = features.float().flatten(1, 2)
    # Sums have the direction of averages.
    each = grid.sums(cells) if grid.pooling == AVERAGE_POOLING else grid.pool(cells)
    regions = torch.cat(list(each), dim=1)
    lengths = regions.norm(dim=2, keepdim=True)
    return regions.div_(torch.where(lengths > 0, lengths, 1.0)), lengths


def _slices(maps: Maps, grid: RegionGrid, device: torch.device) -> Iterator[slice]:
    """Slices of the images whose pooled regions fit in the memory of a piece."""
    budget = _PIECE_BYTES_CPU if device.type == "cpu" else _PIECE_BYTES_GPU
    bytes_per_image = 4 * grid.n_regions * grid.descriptor_depth(maps.shape[-1])
    return slices_within(len(maps), bytes_per_image, budget)
