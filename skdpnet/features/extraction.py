"""Computation of feature maps: decoding, the network and the cache, side by side.

Only a few batches of images are in memory at any time.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from skdpnet.backbones.backbone import Backbone, MapsOverflowError, PendingMaps
from skdpnet.exceptions import ImageError
from skdpnet.features.cache_window import Decoding, Maps, Window, read_maps
from skdpnet.features.canvas import (
    check_sides,
    lay_on_canvas,
    lay_together,
    own_shape,
)
from skdpnet.images.bad_images import decoding_errors
from skdpnet.images.collection import Images
from skdpnet.images.framing import Framing
from skdpnet.storage.array_store import ArrayStore
from skdpnet.utils.batching import slices_of
from skdpnet.utils.cores import decoding_threads

__all__ = ["Extractor"]

# Number of batches that are decoded while a GPU works on another. On a CPU it is 0:
# decoding would take cores from the network, whose threads wait for one another. There
# all workers decode a batch, and then the network has all cores.
_BATCHES_AHEAD = 2
# Number of batches whose images are looked up in the cache together. Processes that
# extract the same images share the work within such a window.
_WINDOW_BATCHES = 4
_POLL_SECONDS = 0.05

# For each shape of the images of a batch, their positions in it, the shape, and maps
# that a device may still be computing.
Pending = list[tuple[list[int], tuple[int, ...], PendingMaps]]


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
    num_workers : int or "auto"
        As in `skdpnet.utils.cores.decoding_threads`.
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
        num_workers: int | str,
    ):
        self._images, self._backbone, self._device = images, backbone, device
        self._framing = framing
        self._compute_dtype, self._map_dtype = compute_dtype, map_dtype
        self._batch_size = batch_size
        self._n_ahead = 0 if device.type == "cpu" else _BATCHES_AHEAD
        n_threads = decoding_threads(num_workers)
        self._pool = ThreadPoolExecutor(n_threads) if n_threads else None
        # Of images that cannot be decoded. All are found before they are told.
        self._errors: list[ImageError] = []

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, *error) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def maps(
        self, store: ArrayStore | None, *, to_host: bool
    ) -> Iterator[list[torch.Tensor]]:
        """Return the iterator of `read_or_compute`; of `compute`, without a store."""
        if store is None:
            return self.compute(to_host=to_host)
        return self.read_or_compute(store, to_host=to_host)

    def compute(self, *, to_host: bool = True) -> Iterator[list[torch.Tensor]]:
        """Compute the maps of all images.

        Parameters
        ----------
        to_host : bool, default=True
            Whether the maps are copied to the CPU. If not, they stay on the device.

        Yields
        ------
        list of tensors of shape (n', H, W, D)
            For each map of the backbone a tensor of the next n' images, at most a
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
                    pending.append((good, self._start(pixels, to_host)))
            if pending:
                numbers, started = pending.popleft()
                yield self._together(len(numbers), self._finish(numbers, started))
        self._tell_errors()

    def read_or_compute(
        self, store: ArrayStore, *, to_host: bool = True
    ) -> Iterator[list[torch.Tensor]]:
        """Read maps from the cache, and compute and store those that are missing.

        Processes that do so at the same time share the work: each map is computed once.
        No key is claimed while the caller has control, so that a caller that stops
        iterating does not block other processes.

        Parameters
        ----------
        store : ArrayStore
        to_host : bool, default=True
            Whether the maps stay on the CPU. If not, they are copied to the device.

        Yields
        ------
        list of tensors of shape (n', H, W, D)
            As from `compute`.

        Raises
        ------
        ImageError, ValueError
            As `compute`, except that the maps of all other images are computed and
            stored before an `ImageError` is raised.
        """
        ranges = _batches(len(self._images), _WINDOW_BATCHES * self._batch_size)
        windows: deque[Window] = deque()
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
                maps = self._stack([window.maps[window.keys[i]] for i in batch])
                yield maps if to_host else [m.to(self._device) for m in maps]
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

    def _look_up(self, items: range, store: ArrayStore) -> Window:
        """Read maps from the cache; for a GPU, begin to decode the other images."""
        window = Window([], [], {}, {})
        for i in items:
            try:
                window.keys.append(self._images.content_key(i))
                window.items.append(i)
            except ImageError as error:
                self._errors.append(error)
        read_maps(window, window.missing(), store)
        if self._n_ahead:
            self._begin(window, window.missing())
        return window

    def _begin(self, window: Window, keys: Sequence[str]) -> None:
        """Begin to decode the images with these keys, where that has not begun."""
        for key in keys:
            if key not in window.decodings:
                item = window.items[window.keys.index(key)]
                window.decodings[key] = self._decode(item, keyed=True)

    def _complete(self, window: Window, store: ArrayStore) -> None:
        """Compute the missing maps of a window, or wait for a process that does."""
        while missing := window.missing():
            with store.claim(missing, self._batch_size) as claimed:
                # Another process may have stored some of them before they were claimed.
                read_maps(window, claimed, store)
                keys = [key for key in claimed if key not in window.maps]
                if keys:
                    self._add(window, keys, store)
            if not claimed:
                time.sleep(_POLL_SECONDS)
                read_maps(window, missing, store)

    def _add(self, window: Window, keys: Sequence[str], store: ArrayStore) -> None:
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
        pending = self._start([pixels for pixels, _ in decoded], to_host=True)
        maps_by_image: list[Maps] = [()] * len(items)
        for members, of_shape in self._finish(items, pending):
            arrays = [maps.numpy() for maps in of_shape]
            for i, of_image in zip(members, zip(*arrays, strict=True), strict=True):
                maps_by_image[i] = of_image
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

    def _start(self, pixels: list[np.ndarray], to_host: bool) -> Pending:
        """Begin to compute the maps of a batch of decoded images, shape by shape."""
        positions: dict[tuple[int, ...], list[int]] = {}
        for i, image in enumerate(pixels):
            positions.setdefault(image.shape[:2], []).append(i)
        pending = []
        for shape, members in positions.items():
            batch = np.stack([pixels[i] for i in members])
            with own_shape(self._backbone.name, shape):
                started = self._backbone.start(
                    batch,
                    self._device,
                    self._compute_dtype,
                    self._map_dtype,
                    to_host=to_host,
                )
            pending.append((members, shape, started))
        return pending

    def _finish(
        self, items: Sequence[int], pending: Pending
    ) -> list[tuple[list[int], list[torch.Tensor]]]:
        """Wait for the maps of a batch; errors name the image.

        Returns
        -------
        list of (list of int, list of tensors)
            For each shape of its images, their positions in the batch, and their maps.
        """
        finished = []
        for members, shape, started in pending:
            try:
                maps = list(self._backbone.finish(started))
            except MapsOverflowError as error:
                name = self._images.describe(items[members[error.row]])
                raise ValueError(
                    f'the map of {name} {error}; use precision="float32".'
                ) from None
            if self._framing.name == "aspect":
                check_sides(self._backbone.name, shape, maps, self._framing)
            finished.append((members, maps))
        return finished

    def _together(
        self, n_images: int, finished: list[tuple[list[int], list[torch.Tensor]]]
    ) -> list[torch.Tensor]:
        """Return a tensor of all images of a batch for each map."""
        if self._framing.name != "aspect":
            # All images have one shape.
            return finished[0][1]
        positions = [members for members, _ in finished]
        each_map = zip(*(maps for _, maps in finished), strict=True)
        return [
            lay_together(n_images, positions, of_shapes, self._framing)
            for of_shapes in each_map
        ]

    def _stack(self, maps_by_image: Sequence[Maps]) -> list[torch.Tensor]:
        """Return a tensor of some images, whose maps are in the cache, for each map."""
        each_map = zip(*maps_by_image, strict=True)
        if self._framing.name == "aspect":
            arrays = [lay_on_canvas(maps, self._framing) for maps in each_map]
        else:
            arrays = [np.stack(maps) for maps in each_map]
        return [torch.from_numpy(array) for array in arrays]


def _batches(n_images: int, size: int) -> Iterator[range]:
    """Cut the positions of images into ranges of the same size."""
    return (range(n_images)[batch] for batch in slices_of(n_images, size))
