"""Successive images whose maps are looked up in the cache together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from skdpnet.storage.array_store import ArrayStore

__all__ = ["Decoding", "Maps", "Window", "read_maps"]

# The feature maps of an image, one array for each map of the backbone.
Maps = tuple[np.ndarray, ...]
# Function that waits until an image is decoded, and returns the network's input and the
# content key.
Decoding = Callable[[], tuple[np.ndarray, str]]


@dataclass
class Window:
    """Successive images that are looked up in the cache together.

    Parameters
    ----------
    items : list of int
        Positions of the images in X.
    keys : list of str
        Content keys of the images.
    decodings : dict of str to Decoding
        The images whose decoding has begun, by key.
    maps : dict of str to Maps
        The maps that were read or computed so far, by key.
    """

    items: list[int]
    keys: list[str]
    decodings: dict[str, Decoding]
    maps: dict[str, Maps]

    def missing(self) -> list[str]:
        """Return the distinct keys without maps, in the order of the images."""
        return [key for key in dict.fromkeys(self.keys) if key not in self.maps]

    def drop(self, key: str) -> list[int]:
        """Leave the images with a key out, and return their positions in X."""
        pairs = list(zip(self.items, self.keys, strict=True))
        self.items = [item for item, other in pairs if other != key]
        self.keys = [other for _, other in pairs if other != key]
        return [item for item, other in pairs if other == key]


def read_maps(window: Window, keys: Sequence[str], store: ArrayStore) -> None:
    """Read the maps with these keys, as far as they are in the cache.

    Parameters
    ----------
    window : Window
        Its `maps` are added to.
    keys : sequence of str
    store : ArrayStore
    """
    for key in keys:
        maps = store.read(key)
        if maps is not None:
            window.maps[key] = maps
