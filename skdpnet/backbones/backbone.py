"""A frozen network that computes and checks the feature maps of batches of images."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

__all__ = ["Backbone", "MapsOverflowError"]

# Bytes of the network's input in one pass on a CPU: six images of 224 pixels in
# float32. So few, because their maps then fit into the processor's cache, and are small
# enough for the C library to use the same memory again.
_PASS_BYTES = 6 * 3 * 224 * 224 * 4


class MapsOverflowError(ValueError):
    """Values of a map are beyond the range of its dtype.

    Parameters
    ----------
    message : str
    row : int
        Position in the batch of the first such image.
    """

    def __init__(self, message: str, row: int):
        super().__init__(message)
        self.row = row


@dataclass
class PendingMaps:
    """Feature maps of a batch that a device may still be computing.

    Parameters
    ----------
    maps : list of tensors of shape (N, H, W, D)
        On the CPU; valid once the event `arrived` has happened.
    largest : list of float32 tensors of shape (N,)
        For each map, the largest absolute values before it was converted to its dtype;
        on the CPU.
    arrived : torch.cuda.Event or None
        None if the maps are valid already.
    """

    maps: list[torch.Tensor]
    largest: list[torch.Tensor]
    arrived: Any


@dataclass(frozen=True)
class Backbone:
    """A frozen network with the normalisation that its weights expect.

    Parameters
    ----------
    name : str
        Name for messages.
    network : callable
        From normalised float images N×3×S×S to a feature map N×D×H×W, or a tuple of
        several.
    image_size : int
        Side S, in pixels, of the square images that the network takes; convolutional
        networks take images of other shapes too.
    mean, std : tuple of 3 floats
        Normalisation of the channels: ``(x / 255 - mean) / std`` for 8-bit x.
    fingerprint : str
        Digest of the network's weights and settings; empty if they cannot be read
        (those of plain functions).
    any_shape : bool, default=False
        Whether the network is known to take images that are not square, and to give
        maps of their shape.
    weights : str, default=None
        Digest of the network's weights alone, before they were modified for speed.
        None: they are those of `network`.
    """

    name: str
    network: Callable[[torch.Tensor], Any]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    any_shape: bool = False
    weights: str | None = None

    def feature_maps(
        self,
        pixels: np.ndarray,
        device: torch.device,
        compute_dtype: torch.dtype,
        map_dtype: torch.dtype = torch.float32,
    ) -> tuple[torch.Tensor, ...]:
        """Compute the feature maps of a batch.

        Parameters
        ----------
        pixels : uint8 ndarray of shape (N, S, S, 3), or of another height and width
        device : torch.device
            Where the network is.
        compute_dtype : torch.dtype
            Precision of the network's arithmetic; below float32 it is autocast.
        map_dtype : torch.dtype, default=torch.float32
            Dtype of the maps.

        Returns
        -------
        tuple of tensors of shape (N, H, W, D), on the CPU
            One for each map that the network returns.

        Raises
        ------
        ValueError
            If the network does not return finite maps N×D×H×W.
        MapsOverflowError
            If values are beyond the range of `map_dtype`.
        """
        return self.finish(self.start(pixels, device, compute_dtype, map_dtype))

    def start(
        self,
        pixels: np.ndarray,
        device: torch.device,
        compute_dtype: torch.dtype,
        map_dtype: torch.dtype,
    ) -> PendingMaps:
        """Begin to compute maps; a GPU continues after this method has returned.

        Parameters
        ----------
        pixels, device, compute_dtype, map_dtype
            As in `feature_maps`.

        Returns
        -------
        PendingMaps
            To be passed to `finish`.

        Raises
        ------
        ValueError
            If the network does not return maps N×D×H×W.
        """
        batch = torch.from_numpy(pixels)
        if device.type == "cuda":
            batch = batch.pin_memory().to(device, non_blocking=True)
        else:
            batch = batch.to(device)
        passes = [
            self._pass(few, compute_dtype, map_dtype)
            for few in batch.split(_images_per_pass(batch, compute_dtype))
        ]
        maps = _joined([maps for maps, _ in passes])
        largest = _joined([largest for _, largest in passes])
        if device.type != "cuda":
            return PendingMaps(
                [m.cpu() for m in maps], [m.cpu() for m in largest], None
            )
        copies = [_to_pinned(tensor) for tensor in (*maps, *largest)]
        arrived = torch.cuda.Event()
        arrived.record(torch.cuda.current_stream(device))
        return PendingMaps(copies[: len(maps)], copies[len(maps) :], arrived)

    def finish(self, pending: PendingMaps) -> tuple[torch.Tensor, ...]:
        """Wait for the maps that `start` began to compute, and check them.

        Parameters
        ----------
        pending : PendingMaps

        Returns
        -------
        tuple of tensors of shape (N, H, W, D), on the CPU
            As from `feature_maps`.

        Raises
        ------
        ValueError, MapsOverflowError
            As `feature_maps`.
        """
        if pending.arrived is not None:
            pending.arrived.synchronize()
        for maps, largest in zip(pending.maps, pending.largest, strict=True):
            if not torch.isfinite(largest).all():
                raise ValueError(
                    f"backbone {self.name!r} gave NaN or infinite values; a higher "
                    'precision (precision="float32") or other weights may help.'
                )
            beyond = largest > torch.finfo(maps.dtype).max
            if beyond.any():
                row = int(beyond.nonzero()[0, 0])
                raise MapsOverflowError(
                    f"reaches {float(largest[row]):.3g}, beyond "
                    f"{str(maps.dtype).removeprefix('torch.')}",
                    row,
                )
        return tuple(pending.maps)

    def _pass(
        self, pixels: torch.Tensor, compute_dtype: torch.dtype, map_dtype: torch.dtype
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Compute maps of a few images, and their largest absolute values."""
        autocast = torch.autocast(
            pixels.device.type,
            dtype=compute_dtype,
            enabled=compute_dtype != torch.float32,
        )
        with torch.no_grad(), autocast:
            output = self.network(self._normalised(pixels))
        several = isinstance(output, (tuple, list)) and len(output) > 0
        outputs = output if several else [output]
        maps = [self._checked(feature_map, len(pixels)) for feature_map in outputs]
        largest = [feature_map.flatten(1).abs().amax(1).float() for feature_map in maps]
        return [feature_map.to(map_dtype).contiguous() for feature_map in maps], largest

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        n, height, width, n_channels = pixels.shape
        # Normalised row by row, because an axis of three channels is slow to iterate
        # over. The result is channels-last, the layout in which CNNs are fastest.
        x = pixels.reshape(n, height, width * n_channels).float()
        x -= _row(self.mean, width, x.device)
        x /= _row(self.std, width, x.device)
        return x.view(n, height, width, n_channels).permute(0, 3, 1, 2)

    def _checked(self, output: Any, n_images: int) -> torch.Tensor:
        """Check a map N×D×H×W, and permute it to (N, H, W, D)."""
        is_tensor = isinstance(output, torch.Tensor)
        if not (is_tensor and output.ndim == 4):
            got = tuple(output.shape) if is_tensor else type(output)
            raise ValueError(
                f"backbone {self.name!r} must return a feature map N×D×H×W "
                f"(a 4-D tensor) or a tuple of them, got {got}. Cut it before its "
                "pooling and classification layers."
            )
        if len(output) != n_images:
            raise ValueError(
                f"backbone {self.name!r} must return one feature map per image, got "
                f"{len(output)} for {n_images} images (shape {tuple(output.shape)})."
            )
        return output.permute(0, 2, 3, 1)


# Kept, because copying numbers to a GPU waits until it has finished its work so far.
@functools.lru_cache(maxsize=64)
def _row(channels: tuple[float, ...], width: int, device: torch.device) -> torch.Tensor:
    """Scale values of the channels to 8-bit pixels, and repeat them along a row."""
    values = torch.tensor(channels, dtype=torch.float32, device=device)
    return 255 * values.repeat(width)


def _images_per_pass(batch: torch.Tensor, compute_dtype: torch.dtype) -> int:
    """Return how many images of a batch go through the network in one pass."""
    if batch.device.type != "cpu":
        return len(batch)
    image_bytes = batch[0].numel() * compute_dtype.itemsize
    most = max(1, _PASS_BYTES // image_bytes, torch.get_num_threads())
    # Passes of about the same size are faster than full ones and a small last one.
    n_passes = math.ceil(len(batch) / most)
    return math.ceil(len(batch) / n_passes)


def _joined(passes: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    """Concatenate, map by map, the results of several passes."""
    if len(passes) == 1:
        return passes[0]
    return [torch.cat(parts) for parts in zip(*passes, strict=True)]


def _to_pinned(tensor: torch.Tensor) -> torch.Tensor:
    """Begin to copy a tensor from a GPU to the CPU."""
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return copy.copy_(tensor, non_blocking=True)
