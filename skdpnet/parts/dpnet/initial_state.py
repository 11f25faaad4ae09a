"""What learning starts from, worked out once for all fits that start alike."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import cast

import numpy as np
import torch

from skdpnet.parts.initialisation import cluster_parts
from skdpnet.regions import RegionGrid
from skdpnet.regions.whitening import WhitenedMaps, Whitening, fit_whitening
from skdpnet.storage.array_store import ArrayStore
from skdpnet.storage.large_arrays import MapRows

__all__ = ["Start", "can_share", "start_learning"]

# To be raised when the same data would start otherwise than before.
_VERSION = 1
_IMAGES_AT_ONCE = 64


@dataclass(frozen=True)
class Start:
    """Whitening and first parts of each map.

    Parameters
    ----------
    whitenings : list of Whitening
    parts : list of float32 ndarrays of shape (P', K)
        Of each map, class by class.
    """

    whitenings: list[Whitening]
    parts: list[np.ndarray]

    def to_arrays(self) -> list[np.ndarray]:
        """List the arrays, map by map."""
        each = zip(self.whitenings, self.parts, strict=True)
        return [a for w, parts in each for a in (w.mean, w.projection, parts)]

    @classmethod
    def from_arrays(cls, arrays: Sequence[np.ndarray]) -> Start:
        """Undo `to_arrays`."""
        means, projections, parts = arrays[::3], arrays[1::3], arrays[2::3]
        whitenings = map(Whitening, means, projections)
        return cls(list(whitenings), list(parts))


def start_learning(
    maps: Sequence[MapRows],
    labels: np.ndarray,
    n_classes: int,
    grids: Sequence[RegionGrid],
    shares: Sequence[int],
    n_components: int | None,
    random: np.random.RandomState,
    memory: str | os.PathLike | None,
    device: torch.device,
    *,
    keep: bool,
) -> tuple[Start, list[WhitenedMaps]]:
    """Learn whitenings, whiten the training images, and cluster them into parts.

    None of it depends on the constraints' weights, nor on how learning goes on: the
    points of a search that differ in those start alike on each fold.

    Parameters
    ----------
    maps : sequence of MapRows
        Each feature map of the n training images.
    labels : int ndarray of shape (n,)
    n_classes : int
    grids : sequence of RegionGrid
        Of each map.
    shares : sequence of int
        Parts a class on each map.
    n_components : int or None
        See `fit_whitening`.
    random : RandomState
        Left as it is after a start was worked out, found or not.
    memory : str, path or None
        Folder that keeps starts, and where large arrays go.
    device : torch.device
        Where maps are whitened.
    keep : bool
        Whether to look for a start in `memory`, and to keep it there; see `can_share`.

    Returns
    -------
    start : Start
    whitened : list of WhitenedMaps
        The training images.
    """
    store, key = None, ""
    if keep and memory is not None:
        layout = [[grid.height, grid.width, *grid.windows] for grid in grids]
        identity = {
            "start": _VERSION,
            "regions": layout,
            "parts": list(map(int, shares)),
            "n_components": None if n_components is None else int(n_components),
            "n_classes": n_classes,
        }
        store, key = ArrayStore(memory, identity), _digest(maps, labels, random)
        found = store.read(key)
        if found is not None:
            *state, arrays = found[0], found[1], found[2:]
            _set_state(random, *state)
            start = Start.from_arrays(arrays)
            return start, _whiten(start.whitenings, maps, grids, memory, device)

    whitenings = [
        fit_whitening(own, grid, n_components, random)
        for own, grid in zip(maps, grids, strict=True)
    ]
    whitened = _whiten(whitenings, maps, grids, memory, device)
    parts = [
        cluster_parts(own, whitening, labels, n_classes, grid, share, random)
        for own, whitening, grid, share in zip(
            whitened, whitenings, grids, shares, strict=True
        )
    ]
    start = Start(whitenings, parts)
    if store is not None:
        store.write(key, [*_state(random), *start.to_arrays()])
    return start, whitened


def can_share(random_state) -> bool:
    """Tell whether another fit may draw the same numbers: from a given seed only."""
    return isinstance(random_state, Integral)


def _whiten(whitenings, maps, grids, folder, device) -> list[WhitenedMaps]:
    each = zip(whitenings, maps, grids, strict=True)
    return [whitening(own, grid, folder, device) for whitening, own, grid in each]


def _digest(
    maps: Sequence[MapRows], labels: np.ndarray, random: np.random.RandomState
) -> str:
    """Digest all that a start depends on besides the parameters."""
    digest = hashlib.blake2b(digest_size=16)
    for own in maps:
        digest.update(repr(own.shape).encode())
    for array in (labels.astype(np.int64), *_state(random)):
        digest.update(np.ascontiguousarray(array).data)
    for start in range(0, len(labels), _IMAGES_AT_ONCE):
        for own in maps:
            piece = own[start : start + _IMAGES_AT_ONCE]
            digest.update(str(piece.dtype).encode())
            digest.update(np.ascontiguousarray(piece).data)
    return digest.hexdigest()


def _state(random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Tell the generator's state, as the words of MT19937 and three more numbers."""
    _, words, *rest = cast(tuple, random.get_state(legacy=True))
    return words, np.array(rest, dtype=np.float64)


def _set_state(
    random: np.random.RandomState, words: np.ndarray, rest: np.ndarray
) -> None:
    position, has_gauss, gauss = rest.tolist()
    random.set_state(("MT19937", words, int(position), int(has_gauss), gauss))
