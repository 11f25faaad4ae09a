"""Computation of feature maps: decoding, the network and the cache, side by side.

Only a few batches of images are in memory at any time.
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

from skdpnet.backbones.backbone import Backbone, MapsOverflowError, PendingMaps
from skdpnet.exceptions import ImageError
from skdpnet.features.canvas import check_sides, lay_on_canvas, own_shape
from skdpnet.images.bad_images import decoding_errors
from skdpnet.images.collection import Images
from skdpnet.images.framing import Framing
from skdpnet.storage.array_store import ArrayStore
from skdpnet.utils.batching import slices_of

__all__ = ["Extractor"]

# Number of batches that are decoded while a GPU works on another. On a CPU it is 0:
# decoding would take cores from the network, whose threads wait for one another. There
# all workers decode a batch, and then the network has all cores.
_BATCHES_AHEAD = 2
# Number of batches whose images are looked up in the cache together. Processes that
# extract the same images share the work within such a window.
_WINDOW_BATCHES = 4
_POLL_SECONDS = 0.05

# The feature maps of an image, one array for each map of the backbone.
Maps = tuple[np.ndarray, ...]
# Function that waits until an image is decoded, and returns the network's input and the
# content key.
Decoding = Callable[[], tuple[np.ndarray, str]]
# For each shape of the images of a batch, their positions in it, the shape, and maps
# that a device may still be computing.
Pending = list[tuple[list[int], tuple[int, ...], PendingMaps]]


@dataclass
class _Window:
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


class Extractor:
    """Decodes images and computes their feature maps.

    It is a context manager. Leaving the context ends the threads that decode.

    Parameters
    ----------
    images : Images
    backbone : Backbone
    framing : Framing
        What the network sees of an image.
    device : torch.device
        Device of the network.
    compute_dtype : torch.dtype
        Dtype of the network's arithmetic.
    map_dtype : torch.dtype
        Dtype of the maps.
    batch_size : int
        Number of images that are decoded and pass through the network together.
    n_workers : int
        Number of threads that decode images. 0: the calling thread decodes them.
    """

    def __init__(
        self,
        images: Images,
        backbone: Backbone,
        framing: Framing,
        device: torch.device,
        compute_dtype: torch.dtype,
        map_dtype: torch.dtype,
        batch_size: int,
        n_workers: int,
    ):
        self._images, self._backbone, self._device = images, backbone, device
        self._framing = framing
        self._compute_dtype, self._map_dtype = compute_dtype, map_dtype
        self._batch_size = batch_size
        self._n_ahead = 0 if device.type == "cpu" else _BATCHES_AHEAD
        self._pool = ThreadPoolExecutor(n_workers) if n_workers else None
        # Of images that cannot be decoded. All are found before they are told.
        self._errors: list[ImageError] = []

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
            For each map of the backbone an array of the next n' images, at most a
            batch.

        Raises
        ------
        ImageError
            If images cannot be read; it names all of them. After the first of them the
            others are still decoded, but their maps are not computed. If images are to
            be skipped, it is only raised if there is no other.
        ValueError
            If maps are not finite, or have values beyond the range of their dtype.
        """
        decoding: deque[tuple[range, list[Decoding]]] = deque()
        pending: deque[tuple[list[int], Pending]] = deque()
        # A GPU computes a batch while the maps of the one before are copied to the CPU.
        most_pending = 2 if self._device.type == "cuda" else 1
        batches = deque(_batches(len(self._images), self._batch_size))
        while batches or decoding or pending:
            while batches and len(decoding) <= self._n_ahead:
                items = batches.popleft()
                decoding.append((items, [self._decode(i, keyed=False) for i in items]))
            while decoding and len(pending) < most_pending:
                good, pixels = self._decoded(*decoding.popleft())
                if self._has_failed:
                    pending.clear()
                elif good:
                    pending.append((good, self._start(pixels)))
            if pending:
                yield self._stack(self._finish(*pending.popleft()))
        self._tell_errors()

    def read_or_compute(self, store: ArrayStore) -> Iterator[list[np.ndarray]]:
        """Read maps from the cache, and compute and store those that are missing.

        Processes that do so at the same time share the work: each map is computed once.
        No key is claimed while the caller has control, so that a caller that stops
        iterating does not block other processes.

        Parameters
        ----------
        store : ArrayStore

        Yields
        ------
        list of ndarray of shape (n', H, W, D)
            As from `compute`.

        Raises
        ------
        ImageError, ValueError
            As `compute`, except that the maps of all other images are computed and
            stored before an `ImageError` is raised.
        """
        ranges = _batches(len(self._images), _WINDOW_BATCHES * self._batch_size)
        windows: deque[_Window] = deque()
        # A second window is looked up, and decoded, while a GPU works on the first.
        most_windows = 2 if self._n_ahead else 1
        while True:
            while len(windows) < most_windows:
                items = next(ranges, None)
                if items is None:
                    break
                windows.append(self._look_up(items, store))
            if not windows:
                break
            window = windows.popleft()
            self._complete(window, store)
            if self._has_failed:
                continue
            for batch in _batches(len(window.keys), self._batch_size):
                yield self._stack([window.maps[window.keys[i]] for i in batch])
        self._tell_errors()

    @property
    def _has_failed(self) -> bool:
        """Whether there will be an error, so that nobody needs maps any more."""
        return bool(self._errors) and self._images.left_out is None

    def _tell_errors(self) -> None:
        """Raise the errors of all images, or leave these images out."""
        if not self._errors:
            return
        earlier = self._images.left_out
        n_images = len(self._images) + len(earlier or ())
        found = [*(earlier or ()), *self._errors]
        if earlier is None or len(found) == n_images:
            raise ImageError.of_all(found, n_images)
        earlier += self._errors

    def _look_up(self, items: range, store: ArrayStore) -> _Window:
        """Read maps from the cache; for a GPU, begin to decode the other images."""
        window = _Window([], [], {}, {})
        for i in items:
            try:
                window.keys.append(self._images.content_key(i))
                window.items.append(i)
            except ImageError as error:
                self._errors.append(error)
        _read_maps(window, window.missing(), store)
        if self._n_ahead:
            self._begin(window, window.missing())
        return window

    def _begin(self, window: _Window, keys: Sequence[str]) -> None:
        """Begin to decode the images with these keys, where that has not begun."""
        for key in keys:
            if key not in window.decodings:
                item = window.items[window.keys.index(key)]
                window.decodings[key] = self._decode(item, keyed=True)

    def _complete(self, window: _Window, store: ArrayStore) -> None:
        """Compute the missing maps of a window, or wait for a process that does."""
        while missing := window.missing():
            with store.claim(missing, self._batch_size) as claimed:
                # Another process may have stored some of them before they were claimed.
                _read_maps(window, claimed, store)
                keys = [key for key in claimed if key not in window.maps]
                if keys:
                    self._add(window, keys, store)
            if not claimed:
                time.sleep(_POLL_SECONDS)
                _read_maps(window, missing, store)

    def _add(self, window: _Window, keys: Sequence[str], store: ArrayStore) -> None:
        """Compute the maps of the images with these keys, and store them."""
        self._begin(window, keys)
        decoded = []
        for key in keys:
            try:
                decoded.append(window.decodings.pop(key)())
            except ImageError:
                # Copies of a file are named, too.
                bad = self._images.take(window.drop(key))
                self._errors += decoding_errors(bad)
        keys = [key for key in keys if key in window.keys]
        if not keys:
            return
        positions = [window.keys.index(key) for key in keys]
        items = [window.items[position] for position in positions]
        pending = self._start([pixels for pixels, _ in decoded])
        maps_by_image = self._finish(items, pending)
        for position, (_, key), maps in zip(
            positions, decoded, maps_by_image, strict=True
        ):
            if key == window.keys[position]:
                store.write(key, maps)
            # If a file has changed since its key was computed, its maps belong to the
            # new key. Images that have the old content are still without maps.
            window.keys[position] = key
            window.maps[key] = maps

    def _decoded(
        self, items: Sequence[int], decodings: Sequence[Decoding]
    ) -> tuple[list[int], list[np.ndarray]]:
        """Wait for images, and return the positions and pixels of the good ones."""
        good, pixels = [], []
        for item, wait in zip(items, decodings, strict=True):
            try:
                pixels.append(wait()[0])
                good.append(item)
            except ImageError as error:
                self._errors.append(error)
        return good, pixels

    def _decode(self, item: int, *, keyed: bool) -> Decoding:
        """Begin to decode an image; `keyed` asks for its content key too."""
        decode = functools.partial(
            self._images.network_input, item, self._framing, keyed=keyed
        )
        return decode if self._pool is None else self._pool.submit(decode).result

    def _start(self, pixels: list[np.ndarray]) -> Pending:
        """Begin to compute the maps of a batch of decoded images, shape by shape."""
        positions: dict[tuple[int, ...], list[int]] = {}
        for i, image in enumerate(pixels):
            positions.setdefault(image.shape[:2], []).append(i)
        pending = []
        for shape, members in positions.items():
            batch = np.stack([pixels[i] for i in members])
            with own_shape(self._backbone.name, shape):
                started = self._backbone.start(
                    batch, self._device, self._compute_dtype, self._map_dtype
                )
            pending.append((members, shape, started))
        return pending

    def _finish(self, items: Sequence[int], pending: Pending) -> list[Maps]:
        """Wait for the maps of each image of a batch; errors name the image."""
        maps_by_image: list[Maps] = [()] * len(items)
        for members, shape, started in pending:
            try:
                maps = [maps.numpy() for maps in self._backbone.finish(started)]
            except MapsOverflowError as error:
                name = self._images.describe(items[members[error.row]])
                raise ValueError(
                    f'the map of {name} {error}; use precision="float32".'
                ) from None
            if self._framing.name == "aspect":
                check_sides(self._backbone.name, shape, maps, self._framing)
            for i, of_image in zip(members, zip(*maps, strict=True), strict=True):
                maps_by_image[i] = of_image
        return maps_by_image

    def _stack(self, maps_by_image: Sequence[Maps]) -> list[np.ndarray]:
        """Return an array of some images for each map."""
        each_map = zip(*maps_by_image, strict=True)
        if self._framing.name == "aspect":
            return [lay_on_canvas(maps, self._framing) for maps in each_map]
        return [np.stack(maps) for maps in each_map]


def _batches(n_images: int, size: int) -> Iterator[range]:
    """Cut the positions of images into ranges of the same size."""
    return (range(n_images)[batch] for batch in slices_of(n_images, size))


def _read_maps(window: _Window, keys: Sequence[str], store: ArrayStore) -> None:
    """Read the maps with these keys, as far as they are in the cache."""
    for key in keys:
        maps = store.read(key)
        if maps is not None:
            window.maps[key] = maps
