"""Whitening and first parts, computed once for all fits that start alike."""

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
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import WhitenedMaps, Whitening, fit_whitening
from skdpnet.storage.array_store import ArrayStore
from skdpnet.storage.large_arrays import MapRows
from skdpnet.utils.batching import slices_of

__all__ = ["InitialState", "can_share", "initial_state", "whiten_maps"]

# Part of the address in the cache: to be raised whenever the same data would give
# another initial state.
_VERSION = 1
_IMAGES_AT_ONCE = 64


@dataclass(frozen=True)
class InitialState:
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
        """Return the arrays, map by map."""
        each = zip(self.whitenings, self.parts, strict=True)
        return [
            array
            for whitening, parts in each
            for array in (whitening.mean, whitening.projection, parts)
        ]

    @classmethod
    def from_arrays(cls, arrays: Sequence[np.ndarray]) -> InitialState:
        """Make an initial state from what `to_arrays` returned."""
        means, projections, parts = arrays[::3], arrays[1::3], arrays[2::3]
        whitenings = map(Whitening, means, projections)
        return cls(list(whitenings), list(parts))


def initial_state(
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
) -> tuple[InitialState, list[WhitenedMaps]]:
    """Learn whitenings, whiten the training images, and cluster them into parts.

    Nothing of it depends on the weights of the penalties or on how learning goes on,
    so that the points of a search that differ in those start alike on each fold.

    Parameters
    ----------
    maps : sequence of MapRows
        Each feature map of the n training images.
    labels : int ndarray of shape (n,)
    n_classes : int
    grids : sequence of RegionGrid
        Of each map.
    shares : sequence of int
        Parts of each class on each map.
    n_components : int or None
        See `fit_whitening`.
    random : RandomState
        In the end it is in the state that computing leaves it in, whether the initial
        state was computed or found in the cache.
    memory : str, path or None
        Folder that keeps initial states, and that large arrays go to.
    device : torch.device
        Where maps are whitened.
    keep : bool
        Whether to look for the initial state in `memory`, and to keep it there; see
        `can_share`.

    Returns
    -------
    start : InitialState
    whitened : list of WhitenedMaps
        The training images.
    """
    store, key = None, ""
    if keep and memory is not None:
        identity = {
            "start": _VERSION,
            "regions": [[grid.height, grid.width, *grid.windows] for grid in grids],
            "parts": list(map(int, shares)),
            "n_components": None if n_components is None else int(n_components),
            "n_classes": n_classes,
        }
        store, key = ArrayStore(memory, identity), _digest(maps, labels, random)
        found = store.read(key)
        if found is not None:
            _set_generator_state(random, found[0], found[1])
            state = InitialState.from_arrays(found[2:])
            return state, whiten_maps(state.whitenings, maps, grids, memory, device)

    whitenings = [
        fit_whitening(one_map, grid, n_components, random)
        for one_map, grid in zip(maps, grids, strict=True)
    ]
    whitened = whiten_maps(whitenings, maps, grids, memory, device)
    parts = [
        cluster_parts(one_map, whitening, labels, n_classes, grid, share, random)
        for one_map, whitening, grid, share in zip(
            whitened, whitenings, grids, shares, strict=True
        )
    ]
    state = InitialState(whitenings, parts)
    if store is not None:
        store.write(key, [*_generator_state(random), *state.to_arrays()])
    return state, whitened


def can_share(random_state) -> bool:
    """Return whether another fit may draw the same numbers: only if this is a seed."""
    return isinstance(random_state, Integral)


def whiten_maps(
    whitenings: Sequence[Whitening],
    maps: Sequence[np.ndarray | MapRows],
    grids: Sequence[RegionGrid],
    folder: str | os.PathLike | None,
    device: torch.device,
) -> list[WhitenedMaps]:
    """Whiten each feature map of some images.

    Parameters
    ----------
    whitenings : sequence of Whitening
    maps : sequence of ndarray or MapRows of shape (n, H, W, D)
    grids : sequence of RegionGrid
    folder : str, path or None
        Where large arrays go.
    device : torch.device
        Where it is computed.

    Returns
    -------
    list of WhitenedMaps
    """
    each = zip(whitenings, maps, grids, strict=True)
    return [
        whitening(one_map, grid, folder, device) for whitening, one_map, grid in each
    ]


def _digest(
    maps: Sequence[MapRows], labels: np.ndarray, random: np.random.RandomState
) -> str:
    """Digest all that an initial state depends on besides the parameters."""
    digest = hashlib.blake2b(digest_size=16)
    for one_map in maps:
        digest.update(repr(one_map.shape).encode())
    for array in (labels.astype(np.int64), *_generator_state(random)):
        digest.update(np.ascontiguousarray(array).data)
    for images in slices_of(len(labels), _IMAGES_AT_ONCE):
        for one_map in maps:
            batch = one_map[images]
            digest.update(str(batch.dtype).encode())
            digest.update(np.ascontiguousarray(batch).data)
    return digest.hexdigest()


def _generator_state(random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return the generator's state: the words of MT19937 and three more numbers."""
    _, words, *rest = cast(tuple, random.get_state(legacy=True))
    return words, np.array(rest, dtype=np.float64)


def _set_generator_state(
    random: np.random.RandomState, words: np.ndarray, rest: np.ndarray
) -> None:
    position, has_gauss, gauss = rest.tolist()
    random.set_state(("MT19937", words, int(position), int(has_gauss), gauss))
