"""PCA whitening of region descriptors, learned from a sample of regions.

Symbols as in `skdpnet.parts.responses`: feature map F, pooling W, projection T.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch

from skdpnet.regions.grid import RegionGrid
from skdpnet.storage.large_arrays import MapRows, allocate
from skdpnet.utils.batching import slices_within

__all__ = ["WhitenedMaps", "Whitening", "fit_whitening", "sample_regions"]

# Enough for the covariance of 2,048 dimensions, which then takes seconds to compute.
_MAX_REGIONS = 50_000
# Bytes of the pooled regions that are in memory at once. On a CPU its caches then hold
# them; a GPU needs more to keep it busy.
_PIECE_BYTES_CPU = 4 * 2**20
_PIECE_BYTES_GPU = 256 * 2**20
# Variances below this share of the largest are rounding errors.
_RANK_TOLERANCE = 1e-6
_TINY = 1e-12
_CPU = torch.device("cpu")


class WhitenedMaps(NamedTuple):
    """Whitened feature maps: what the descriptors of all regions are computed from.

    The whitened descriptor of a region is ``W(F T) - ‖W F‖ offset``, divided by its
    norm. The descriptors of all regions take more memory than the cells, so only a few
    are computed at a time, where they are needed at all.

    Attributes
    ----------
    cells : float32 ndarray of shape (n, H·W, K)
        Projected cells ``F T``.
    lengths : float32 ndarray of shape (n, R)
        Norms ``‖W F‖`` of the pooled regions before whitening.
    norms : float32 ndarray of shape (n, R)
        Norms ``‖W(F T) - ‖W F‖ offset‖``.
    """

    cells: np.ndarray
    lengths: np.ndarray
    norms: np.ndarray


@dataclass(frozen=True)
class Whitening:
    """The affine map ``x -> (x - mean) T`` of l2-normalised region descriptors x.

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
        folder: str | os.PathLike | None = None,
        device: torch.device = _CPU,
    ) -> WhitenedMaps:
        """Whiten feature maps before their regions are pooled.

        With ``x = W F / ‖W F‖``, the whitened descriptor ``(x - mean) T`` has the
        direction of ``W(F T) - ‖W F‖ mean T``. So the projection, which reduces the D
        channels to K, can come before the pooling, and besides the projected cells
        only the norm ‖W F‖ of each region is needed.

        Parameters
        ----------
        maps : ndarray or MapRows of shape (n, H, W, D)
        grid : RegionGrid
        folder : str or path, optional
            Folder of the file of cells that are too large for memory; see `allocate`.
        device : torch.device, optional
            The device of the computation.

        Returns
        -------
        WhitenedMaps
            The cells are memory-mapped where they are large for this process.
        """
        n, height, width, _ = maps.shape
        depth = self.projection.shape[1]
        out = WhitenedMaps(
            allocate((n, height * width, depth), np.float32, folder),
            np.empty((n, grid.n_regions), np.float32),
            np.empty((n, grid.n_regions), np.float32),
        )
        for images, tensors in self._whiten_slices(maps, grid, device):
            for array, tensor in zip(out, tensors, strict=True):
                array[images] = tensor.cpu().numpy()
        return out

    def tensors(
        self, maps: np.ndarray | MapRows, grid: RegionGrid, device: torch.device
    ) -> list[torch.Tensor]:
        """Whiten the feature maps of a few images, and leave them on the device.

        Parameters
        ----------
        maps : ndarray or MapRows of shape (n, H, W, D)
        grid : RegionGrid
        device : torch.device

        Returns
        -------
        list of tensors on the device
            The fields of `WhitenedMaps`.
        """
        pieces = [tensors for _, tensors in self._whiten_slices(maps, grid, device)]
        if len(pieces) == 1:
            return pieces[0]
        return [torch.cat(tensors) for tensors in zip(*pieces, strict=True)]

    def _whiten_slices(
        self, maps: np.ndarray | MapRows, grid: RegionGrid, device: torch.device
    ) -> Iterator[tuple[slice, list[torch.Tensor]]]:
        """Yield slices of the images with the fields of their `WhitenedMaps`."""
        projection = torch.from_numpy(self.projection).to(device)
        offset = torch.from_numpy(self.offset).to(device)
        is_identity = self._is_identity()
        for images in _slices(maps, grid, device):
            # torch warns of read-only memory, so it is copied first.
            features = torch.from_numpy(np.require(maps[images], None, "W"))
            features = features.to(device).float().flatten(1, 2)
            lengths = grid.norms(features)
            if is_identity:
                yield images, [features, lengths, lengths]
                continue
            cells = features @ projection
            norms = _descriptors(cells, lengths, offset, grid).norm(dim=2)
            yield images, [cells, lengths, norms]


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
    depth = maps.shape[-1]
    identity = Whitening(np.zeros(depth, np.float32), np.eye(depth, dtype=np.float32))
    if n_components is None:
        return identity
    no_lengths = np.zeros((len(maps), grid.n_regions), np.float32)
    sample = sample_regions(
        maps, no_lengths, identity, grid, _MAX_REGIONS, random_state
    )
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
    cells: np.ndarray | MapRows,
    lengths: np.ndarray,
    whitening: Whitening,
    grid: RegionGrid,
    n_regions: int,
    random_state: np.random.RandomState,
    allowed: np.ndarray | None = None,
) -> np.ndarray:
    """Draw a sample of unit region descriptors.

    Parameters
    ----------
    cells : ndarray or MapRows of shape (n, H·W, K) or (n, H, W, K)
        The cells of `WhitenedMaps`.
    lengths : ndarray of shape (n, R)
        The lengths of `WhitenedMaps`.
    whitening : Whitening
        The whitening of the cells.
    grid : RegionGrid
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
    n, depth = len(cells), cells.shape[-1]
    per_image = min(grid.n_regions, max(1, n_regions // n))
    out = np.zeros((n, per_image, depth), np.float32)
    offset = torch.from_numpy(whitening.offset)
    for images in _slices(cells, grid):
        batch = np.asarray(cells[images], np.float32)
        descriptors = _descriptors(
            torch.from_numpy(batch.reshape(len(batch), -1, depth)),
            torch.from_numpy(lengths[images]),
            offset,
            grid,
        )
        for i, regions in enumerate(descriptors):
            chosen = random_state.permutation(grid.n_regions)
            if allowed is not None and allowed[images.start + i].any():
                chosen = chosen[allowed[images.start + i, chosen]]
            chosen = chosen[:per_image]
            rows = regions[torch.from_numpy(chosen)].numpy()
            out[images.start + i, : len(chosen)] = rows
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


def _slices(
    maps: np.ndarray | MapRows, grid: RegionGrid, device: torch.device = _CPU
) -> Iterator[slice]:
    """Slices of the images whose pooled regions fit in the memory of a piece."""
    budget = _PIECE_BYTES_CPU if device.type == "cpu" else _PIECE_BYTES_GPU
    bytes_per_image = 4 * grid.n_regions * maps.shape[-1]
    return slices_within(len(maps), bytes_per_image, budget)


def _descriptors(
    cells: torch.Tensor, lengths: torch.Tensor, offset: torch.Tensor, grid: RegionGrid
) -> torch.Tensor:
    """Whitened region descriptors of a few images, before normalisation, (N, R, K)."""
    pooled = torch.cat(list(grid.pool(cells)), dim=1)
    return pooled - lengths[..., None] * offset
