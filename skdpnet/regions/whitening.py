"""PCA whitening of region descriptors, learned from a sample of regions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch

from skdpnet.regions import RegionGrid
from skdpnet.storage.large_arrays import MapRows, allocate

__all__ = ["WhitenedMaps", "Whitening", "fit_whitening", "sample_regions"]

# Enough for a covariance of 2,048 dimensions, and seconds to compute.
_MAX_REGIONS = 50_000
# Pooled regions of so many bytes are formed at once: what a processor's caches hold,
# and enough work for a GPU.
_PIECE_BYTES = {"cpu": 4 * 2**20}
_PIECE_BYTES_ELSEWHERE = 256 * 2**20
# Directions below this share of the largest variance are noise of the arithmetic.
_RANK_TOLERANCE = 1e-6
_TINY = 1e-12
_CPU = torch.device("cpu")


class WhitenedMaps(NamedTuple):
    """All that the whitened region descriptors of some images follow from.

    The descriptor of region r is ``pooled(cells)_r - lengths_r * offset``, of length
    ``norms_r``; it is never formed for all regions at once.

    Attributes
    ----------
    cells : float32 ndarray of shape (n, H·W, K)
        Projected cells ``F T``.
    lengths : float32 ndarray of shape (n, R)
        Norms of the pooled regions before whitening, ``‖W F‖``.
    norms : float32 ndarray of shape (n, R)
        Norms of the descriptors above.
    """

    cells: np.ndarray
    lengths: np.ndarray
    norms: np.ndarray


@dataclass(frozen=True)
class Whitening:
    """The map ``x -> (x - mean) T`` of l2-normalised region descriptors x.

    Parameters
    ----------
    mean : float32 ndarray of shape (D,)
    projection : float32 ndarray of shape (D, K)
        T.
    """

    mean: np.ndarray
    projection: np.ndarray

    @property
    def offset(self) -> np.ndarray:
        """The whitened mean ``mean T``, (K,)."""
        return self.mean @ self.projection

    def _changes_nothing(self) -> bool:
        if self.mean.any() or len(set(self.projection.shape)) > 1:
            return False
        ones = (np.diagonal(self.projection) == 1).all()
        return bool(ones) and np.count_nonzero(self.projection) == len(self.projection)

    def __call__(
        self,
        maps: np.ndarray | MapRows,
        grid: RegionGrid,
        folder: str | os.PathLike | None = None,
        device: torch.device = _CPU,
    ) -> WhitenedMaps:
        """Whiten feature maps, leaving the pooling of the regions for later.

        With ``x = W F / ‖W F‖``, the whitened ``(x - mean) T`` points the same way as
        ``W(F T) - ‖W F‖ mean T``, which is linear in the cells but for one number a
        region.

        Parameters
        ----------
        maps : ndarray or MapRows of shape (n, H, W, D)
        grid : RegionGrid
        folder : str or path, optional
            Where large cells go; see `allocate`.
        device : torch.device, optional
            Where it is worked out.

        Returns
        -------
        WhitenedMaps
            Its cells are on disk where they are large for this process.
        """
        n, height, width, _ = maps.shape
        depth = self.projection.shape[1]
        out = WhitenedMaps(
            allocate((n, height * width, depth), np.float32, folder),
            np.empty((n, grid.n_regions), np.float32),
            np.empty((n, grid.n_regions), np.float32),
        )
        for piece, found in self._each(maps, grid, device):
            for array, tensor in zip(out, found, strict=True):
                array[piece] = tensor.cpu().numpy()
        return out

    def tensors(
        self, maps: np.ndarray | MapRows, grid: RegionGrid, device: torch.device
    ) -> list[torch.Tensor]:
        """Whiten the maps of a few images where their responses are worked out.

        Parameters
        ----------
        maps, grid
            As in a call.
        device : torch.device

        Returns
        -------
        list of tensors on the device
            The fields of `WhitenedMaps`.
        """
        pieces = [found for _, found in self._each(maps, grid, device)]
        if len(pieces) == 1:
            return pieces[0]
        return [torch.cat(own) for own in zip(*pieces, strict=True)]

    def _each(
        self, maps: np.ndarray | MapRows, grid: RegionGrid, device: torch.device
    ) -> Iterator[tuple[slice, list[torch.Tensor]]]:
        """Whiten a few images at a time."""
        projection = torch.from_numpy(self.projection).to(device)
        offset = torch.from_numpy(self.offset).to(device)
        changes_nothing = self._changes_nothing()
        for piece in _pieces(maps, grid, device):
            given = torch.from_numpy(np.require(maps[piece], None, "W")).to(device)
            raw = given.float().flatten(1, 2)
            lengths = grid.norms(raw)
            if changes_nothing:
                yield piece, [raw, lengths, lengths]
                continue
            cells = raw @ projection
            norms = _descriptors(cells, lengths, offset, grid).norm(dim=2)
            yield piece, [cells, lengths, norms]


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
        Directions of largest variance that are kept, fewer where the regions span
        fewer. None: nothing is removed or scaled (the identity).
    random_state : RandomState
        Draws the sample of regions.

    Returns
    -------
    Whitening
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
        # All regions are alike: whitened, they are zero and stay so.
        return Whitening(mean.astype(np.float32), np.zeros((depth, 1), np.float32))
    directions = directions[:, :rank]
    # Their sign is open; one fixed choice gives the same model everywhere.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, np.arange(rank)])
    # In one layout: that of the memory decides how products are rounded.
    projection = np.ascontiguousarray(directions / np.sqrt(variance[:rank]), np.float32)
    return Whitening(mean.astype(np.float32), projection)


def _principal_axes(centred: np.ndarray, n_axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return variances, largest first, and directions (D, k) of centred rows."""
    m, depth = centred.shape
    if m < depth:
        _, singular, axes = np.linalg.svd(centred.astype(np.float64), False)
        return singular**2 / max(1, m - 1), axes.T
    covariance = (centred.T @ centred).astype(np.float64) / max(1, m - 1)
    kept = [depth - n_axes, depth - 1]
    variance, directions = scipy.linalg.eigh(covariance, subset_by_index=kept)
    return variance[::-1], directions[:, ::-1]


def sample_regions(
    cells: np.ndarray | MapRows,
    lengths: np.ndarray,
    whitening: Whitening,
    grid: RegionGrid,
    n_regions: int,
    random_state: np.random.RandomState,
) -> np.ndarray:
    """Draw a sample of unit region descriptors.

    Parameters
    ----------
    cells : ndarray or MapRows of shape (n, H·W, K) or (n, H, W, K)
    lengths : ndarray of shape (n, R)
        Both as in `WhitenedMaps`.
    whitening : Whitening
        The one that made them.
    grid : RegionGrid
    n_regions : int
        About so many regions, spread evenly over the images, at least one each.
    random_state : RandomState

    Returns
    -------
    float32 ndarray of shape (m, K)
        Unit rows; regions of norm zero are left out unless there are no others.
    """
    n, depth = len(cells), cells.shape[-1]
    per_image = min(grid.n_regions, max(1, n_regions // n))
    out = np.empty((n, per_image, depth), np.float32)
    offset = torch.from_numpy(whitening.offset)
    for piece in _pieces(cells, grid):
        batch = np.asarray(cells[piece], np.float32)
        few = torch.from_numpy(batch.reshape(len(batch), -1, depth))
        long = torch.from_numpy(lengths[piece])
        for i, regions in enumerate(_descriptors(few, long, offset, grid)):
            chosen = random_state.permutation(grid.n_regions)[:per_image]
            out[piece.start + i] = regions[torch.from_numpy(chosen)].numpy()
    rows = out.reshape(-1, depth)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    found = norms[:, 0] > _TINY
    if not found.any():
        return rows
    # No copy of a sample that may be as large as all else that learning holds.
    if not found.all():
        rows, norms = rows[found], norms[found]
    rows /= norms
    return rows


def _pieces(
    maps: np.ndarray | MapRows, grid: RegionGrid, device: torch.device = _CPU
) -> Iterator[slice]:
    """Cut images so that the pooled regions of a piece are few."""
    most = _PIECE_BYTES.get(device.type, _PIECE_BYTES_ELSEWHERE)
    at_once = max(1, most // (4 * grid.n_regions * maps.shape[-1]))
    for start in range(0, len(maps), at_once):
        yield slice(start, min(len(maps), start + at_once))


def _descriptors(
    cells: torch.Tensor, lengths: torch.Tensor, offset: torch.Tensor, grid: RegionGrid
) -> torch.Tensor:
    """All whitened region descriptors of a few images, (N, R, K)."""
    pooled = torch.cat(list(grid.pool(cells)), dim=1)
    return pooled - lengths[..., None] * offset
