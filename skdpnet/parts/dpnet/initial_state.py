"""The whitening and the first parts, which fits that start alike share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import cast

import numpy as np
import scipy
import sklearn
import torch

from skdpnet.parts.dpnet.region_descriptors import (
    describe_regions,
    foreground_regions,
    region_weights,
)
from skdpnet.parts.dpnet.shared_results import SharedResults
from skdpnet.parts.initialisation import cluster_parts
from skdpnet.parts.soft_assign.annealing import anneal_parts
from skdpnet.regions.grid import RegionGrid
from skdpnet.regions.whitening import Whitening, fit_whitening
from skdpnet.storage.array_store import ArrayStore
from skdpnet.storage.large_arrays import MapRows
from skdpnet.utils.batching import slices_of

__all__ = ["InitialState", "can_share", "initial_state"]

# Part of the key in the cache. It must be raised whenever a change of the code leads to
# another initial state of the same data, or to another number of `SharedResults`.
_VERSION = 2
# The libraries that compute initial states. Another version may round differently, or
# draw other random numbers, and so give other parts for one seed.
_LIBRARIES = (np, scipy, sklearn, torch)
_IMAGES_AT_ONCE = 64


@dataclass(frozen=True)
class InitialState:
    """The whitening and the first parts of each map.

    Parameters
    ----------
    whitenings : list of Whitening
    parts : list of float32 ndarray of shape (P', K)
        The parts of each map, class by class.
    """

    whitenings: list[Whitening]
    parts: list[np.ndarray]

    def to_arrays(self) -> list[np.ndarray]:
        """Return the arrays in a list: three for each map."""
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
    foreground: float | str | None,
    annealed_share: float,
    random: np.random.RandomState,
    memory: str | os.PathLike | None,
    device: torch.device,
    *,
    keep: bool,
) -> tuple[InitialState, list[np.ndarray], SharedResults]:
    """Learn whitenings, describe the training images, and cluster them into parts.

    The result does not depend on the weights of penalties or on other parameters of
    training, so that points of a search that differ only in those share it on each
    fold.

    Parameters
    ----------
    maps : sequence of MapRows
        The feature maps of the n training images.
    labels : int ndarray of shape (n,)
    n_classes : int
    grids : sequence of RegionGrid
        The layout of the regions of each map.
    shares : sequence of int
        Number of parts of each class on each map.
    n_components : int or None
        See `fit_whitening`.
    foreground : float, str or None
        See `region_weights`. The first parts are clusters of foreground alone.
    annealed_share : float in [0, 1]
        The share of the first parts that `anneal_parts` refines.
    random : RandomState
        After the call, it is in the same state whether the initial state was computed
        or read from the cache.
    memory : str, path or None
        Folder that keeps initial states and holds large arrays.
    device : torch.device
        Device on which regions are described.
    keep : bool
        Whether the initial state is read from `memory` and kept there; see `can_share`.

    Returns
    -------
    state : InitialState
    regions : list of float32 ndarrays of shape (n, R, K)
        The region descriptors of the training images.
    shared : SharedResults
        For what else fits with this initial state compute alike.
    """
    store, key = None, ""
    if keep and memory is not None:
        identity = {
            "start": _VERSION,
            "libraries": [str(library.__version__) for library in _LIBRARIES],
            "regions": [[grid.height, grid.width, *grid.windows] for grid in grids],
            "parts": list(map(int, shares)),
            "n_components": None if n_components is None else int(n_components),
            "n_classes": n_classes,
            # 1 and 1.0 are the same threshold.
            "foreground": float(foreground)
            if isinstance(foreground, Real)
            else foreground,
            "annealed": float(annealed_share),
        }
        store, key = ArrayStore(memory, identity), _digest(maps, labels, random)
        arrays = store.read(key)
        if arrays is not None:
            weights = region_weights(maps, grids, foreground, device)
            _set_generator_state(random, arrays[0], arrays[1])
            state = InitialState.from_arrays(arrays[2:])
            regions = describe_regions(
                state.whitenings, maps, grids, weights, memory, device
            )
            return state, regions, SharedResults(store, key)

    whitenings = [
        fit_whitening(feature_map, grid, n_components, random)
        for feature_map, grid in zip(maps, grids, strict=True)
    ]
    weights = region_weights(maps, grids, foreground, device)
    regions = describe_regions(whitenings, maps, grids, weights, memory, device)
    of_maps = [None] * len(maps) if weights is None else weights
    parts = []
    for on_map, of_regions, share in zip(regions, of_maps, shares, strict=True):
        allowed = foreground_regions(of_regions)
        clusters = cluster_parts(on_map, allowed, labels, n_classes, share, random)
        parts.append(
            anneal_parts(on_map, clusters, labels, n_classes, annealed_share, memory)
        )
    state = InitialState(whitenings, parts)
    if store is not None:
        store.write(key, [*_generator_state(random), *state.to_arrays()])
    return state, regions, SharedResults(store, key)


def can_share(random_state) -> bool:
    """Return whether other fits draw the same random numbers: if this is a seed."""
    return isinstance(random_state, Integral)


def _digest(
    maps: Sequence[MapRows], labels: np.ndarray, random: np.random.RandomState
) -> str:
    """Digest the data and the random state that an initial state depends on."""
    digest = hashlib.blake2b(digest_size=16)
    for feature_map in maps:
        digest.update(repr(feature_map.shape).encode())
    for array in (labels.astype(np.int64), *_generator_state(random)):
        digest.update(np.ascontiguousarray(array).data)
    for images in slices_of(len(labels), _IMAGES_AT_ONCE):
        for feature_map in maps:
            batch = feature_map[images]
            digest.update(str(batch.dtype).encode())
            digest.update(np.ascontiguousarray(batch).data)
    return digest.hexdigest()


def _generator_state(random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return the state of a generator: the words of MT19937, and three numbers."""
    _, words, *rest = cast(tuple, random.get_state(legacy=True))
    return words, np.array(rest, dtype=np.float64)


def _set_generator_state(
    random: np.random.RandomState, words: np.ndarray, rest: np.ndarray
) -> None:
    position, has_gauss, gauss = rest.tolist()
    random.set_state(("MT19937", words, int(position), int(has_gauss), gauss))
