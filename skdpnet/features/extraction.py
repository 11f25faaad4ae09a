"""Maps of successive images, in order: decoding, network and store side by side.

Whatever the number of images, only a few batches of them are in memory.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from skdpnet.backbones.backbone import Backbone, MapsOverflowError, Running
from skdpnet.images.collection import Images
from skdpnet.storage.array_store import ArrayStore

__all__ = ["Extractor"]

# Batches that are decoded while a GPU is busy with another. On a CPU none: decoding
# would take the cores that the network's threads wait for each other on, so all
# workers decode a batch, and then the network has the cores for itself.
_AHEAD = 2
# Batches that are looked up in the store together: what processes that go through the
# same images can share among them.
_WINDOW = 4
_POLL_SECONDS = 0.05

Maps = tuple[np.ndarray, ...]
# Gives an image as the network's input, and its content key, once it is decoded.
Reading = Callable[[], tuple[np.ndarray, str]]


@dataclass
class _Window:
    """Successive images: their keys, the readings begun, the maps there are."""

    items: range
    keys: list[str]
    readings: dict[str, Reading]
    maps: dict[str, Maps]

    def missing(self) -> list[str]:
        return [key for key in dict.fromkeys(self.keys) if key not in self.maps]


class Extractor:
    """Images on their way through decoder and network; a context that ends them.

    Parameters
    ----------
    images : Images
    backbone : Backbone
    device : torch.device
    compute, keep : torch.dtype
        Of the network's arithmetic, and of the maps.
    batch_size : int
    n_workers : int
        Threads that decode; 0: the calling one does.
    """

    def __init__(
        self,
        images: Images,
        backbone: Backbone,
        device: torch.device,
        compute: torch.dtype,
        keep: torch.dtype,
        batch_size: int,
        n_workers: int,
    ):
        self._images, self._backbone, self._device = images, backbone, device
        self._compute, self._keep, self._batch_size = compute, keep, batch_size
        self._ahead = 0 if device.type == "cpu" else _AHEAD
        self._pool = ThreadPoolExecutor(n_workers) if n_workers else None

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, *error) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def compute(self) -> Iterator[list[np.ndarray]]:
        """Compute the maps of all images.

        Yields
        ------
        list of ndarray of shape (n', H, W, D)
            One array a map; of the next n' images, at most a batch.

        Raises
        ------
        ImageError
            If an image cannot be read.
        ValueError
            If the network's output is no finite map, or beyond the maps' type.
        """
        reading: deque[tuple[range, list[Reading]]] = deque()
        running: deque[tuple[range, Running]] = deque()
        # A GPU works on a batch while the maps of the one before are fetched.
        at_once = 2 if self._device.type == "cuda" else 1
        cuts = _cuts(len(self._images), self._batch_size)
        while True:
            while (
                len(reading) <= self._ahead and (items := next(cuts, None)) is not None
            ):
                reading.append((items, [self._read(i, keyed=False) for i in items]))
            while reading and len(running) < at_once:
                items, batch = reading.popleft()
                running.append((items, self._start([one()[0] for one in batch])))
            if not running:
                return
            items, maps = running.popleft()
            yield self._finish(items, maps)

    def read_or_compute(self, store: ArrayStore) -> Iterator[list[np.ndarray]]:
        """Read maps from a store; compute those that it lacks, and put them there.

        Processes that do so at the same time share the work: none computes what
        another is at. Nothing is claimed between two pieces, so who leaves off in
        the middle keeps nobody waiting.

        Parameters
        ----------
        store : ArrayStore

        Yields
        ------
        list of ndarray of shape (n', H, W, D)
            As `compute`, which tells the errors too.
        """
        cuts = _cuts(len(self._images), _WINDOW * self._batch_size)
        windows: deque[_Window] = deque()
        while True:
            while (
                len(windows) <= bool(self._ahead)
                and (items := next(cuts, None)) is not None
            ):
                windows.append(self._look_up(items, store))
            if not windows:
                return
            window = windows.popleft()
            self._complete(window, store)
            for some in _cuts(len(window.keys), self._batch_size):
                rows = (window.maps[window.keys[i]] for i in some)
                yield [np.stack(one) for one in zip(*rows, strict=True)]

    def _look_up(self, items: range, store: ArrayStore) -> _Window:
        """Read what is there of some images' maps; decode the rest, if ahead."""
        window = _Window(items, [self._images.content_key(i) for i in items], {}, {})
        _find(window, window.missing(), store)
        if self._ahead:
            self._begin(window, window.missing())
        return window

    def _begin(self, window: _Window, keys: Sequence[str]) -> None:
        for key in keys:
            if key not in window.readings:
                item = window.items[window.keys.index(key)]
                window.readings[key] = self._read(item, keyed=True)

    def _complete(self, window: _Window, store: ArrayStore) -> None:
        """Compute what is missing of a window, or wait for those who do."""
        while missing := window.missing():
            with store.claim(missing, self._batch_size) as mine:
                # Another process may have computed some between look and claim.
                _find(window, mine, store)
                todo = [key for key in mine if key not in window.maps]
                if todo:
                    self._add(window, todo, store)
            if not mine:
                time.sleep(_POLL_SECONDS)
                _find(window, missing, store)

    def _add(self, window: _Window, keys: Sequence[str], store: ArrayStore) -> None:
        self._begin(window, keys)
        read = [window.readings.pop(key)() for key in keys]
        places = [window.keys.index(key) for key in keys]
        items = [window.items[place] for place in places]
        maps = self._finish(items, self._start([pixels for pixels, _ in read]))
        images = zip(*maps, strict=True)
        for place, (_, seen), own in zip(places, read, images, strict=True):
            if seen == window.keys[place]:
                store.write(seen, own)
            # A file may have changed since its key was found; others that had the same
            # content then still wait for their map.
            window.keys[place] = seen
            window.maps[seen] = own

    def _read(self, item: int, *, keyed: bool) -> Reading:
        """Begin to decode an image."""
        size = self._backbone.image_size
        read = functools.partial(self._images.network_input, item, size, keyed=keyed)
        return read if self._pool is None else self._pool.submit(read).result

    def _start(self, pixels: list[np.ndarray]) -> Running:
        batch = np.stack(pixels)
        return self._backbone.start(batch, self._device, self._compute, self._keep)

    def _finish(self, items: Sequence[int], running: Running) -> list[np.ndarray]:
        try:
            return [maps.numpy() for maps in self._backbone.finish(running)]
        except MapsOverflowError as error:
            name = self._images.describe(items[error.row])
            raise ValueError(
                f'the map of {name} {error}; use precision="float32".'
            ) from None


def _cuts(n: int, size: int) -> Iterator[range]:
    for start in range(0, n, size):
        yield range(start, min(start + size, n))


def _find(window: _Window, keys: Sequence[str], store: ArrayStore) -> None:
    for key in keys:
        found = store.read(key)
        if found is not None:
            window.maps[key] = found
