"""A frozen network at work: batches of images in, checked feature maps out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

__all__ = ["Backbone", "MapsOverflowError"]

# On a CPU a network takes few images at a time: their maps stay in its cache, and
# below the size at which the C library asks the system for fresh pages each time.
# Bytes of input, as the network calculates: six images of 224 pixels in float32.
_PASS_BYTES = 6 * 3 * 224 * 224 * 4


class MapsOverflowError(ValueError):
    """A map's values are beyond the type that maps are kept in.

    Parameters
    ----------
    message : str
    row : int
        Which image of the batch.
    """

    def __init__(self, message: str, row: int):
        super().__init__(message)
        self.row = row


@dataclass
class Running:
    """Maps of a batch on their way from the device.

    Parameters
    ----------
    maps : list of tensors of shape (N, H, W, D)
        On the CPU; filled once `arrived` is.
    largest : list of float32 tensors of shape (N,)
        Of each map, the largest absolute value before it got its type; on the CPU.
    arrived : torch.cuda.Event or None
        None where all is there already.
    """

    maps: list[torch.Tensor]
    largest: list[torch.Tensor]
    arrived: Any


@dataclass(frozen=True)
class Backbone:
    """A frozen network with the normalisation its weights expect.

    Parameters
    ----------
    name : str
        What the user asked for, for messages.
    network : callable
        Normalised float images N×3×S×S -> a feature map N×D×H×W, or several.
    image_size : int
        Side S, in pixels, of the square images the network is given.
    mean, std : tuple of 3 floats
        Normalisation of the channels: ``(x / 255 - mean) / std`` for 8-bit x.
    fingerprint : str
        Changes whenever the network, its weights or the normalisation change;
        empty where that cannot be known (plain functions).
    """

    name: str
    network: Callable[[torch.Tensor], Any]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str

    def feature_maps(
        self,
        pixels: np.ndarray,
        device: torch.device,
        dtype: torch.dtype,
        keep: torch.dtype = torch.float32,
    ) -> tuple[torch.Tensor, ...]:
        """Compute the feature maps of a batch.

        Parameters
        ----------
        pixels : uint8 ndarray of shape (N, S, S, 3)
        device : torch.device
            Where the network is.
        dtype : torch.dtype
            Precision of the network's arithmetic; below float32 by autocast.
        keep : torch.dtype, default=torch.float32
            Type of the maps.

        Returns
        -------
        tuple of tensors of shape (N, H, W, D), on the CPU
            One for each map that the network gives.

        Raises
        ------
        ValueError
            If the network's output is no finite N×D×H×W map, nor several.
        MapsOverflowError
            If values are beyond `keep`.
        """
        return self.finish(self.start(pixels, device, dtype, keep))

    def start(
        self,
        pixels: np.ndarray,
        device: torch.device,
        dtype: torch.dtype,
        keep: torch.dtype,
    ) -> Running:
        """Begin to compute maps, as `feature_maps`; a GPU works on after the return.

        Returns
        -------
        Running
            What `finish` takes.
        """
        batch = torch.from_numpy(pixels)
        if device.type == "cuda":
            batch = batch.pin_memory().to(device, non_blocking=True)
        else:
            batch = batch.to(device)
        passes = [
            self._pass(some, dtype, keep)
            for some in batch.split(_at_once(batch, dtype))
        ]
        maps = _joined([maps for maps, _ in passes])
        largest = _joined([largest for _, largest in passes])
        if device.type != "cuda":
            return Running([m.cpu() for m in maps], [m.cpu() for m in largest], None)
        there = [_to_pinned(one) for one in (*maps, *largest)]
        arrived = torch.cuda.Event()
        arrived.record(torch.cuda.current_stream(device))
        return Running(there[: len(maps)], there[len(maps) :], arrived)

    def finish(self, running: Running) -> tuple[torch.Tensor, ...]:
        """Wait for maps that `start` began, and check them, as `feature_maps`."""
        if running.arrived is not None:
            running.arrived.synchronize()
        for maps, largest in zip(running.maps, running.largest, strict=True):
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
        return tuple(running.maps)

    def _pass(
        self, pixels: torch.Tensor, dtype: torch.dtype, keep: torch.dtype
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Compute maps of a few images, and their largest absolute values."""
        autocast = torch.autocast(
            pixels.device.type, dtype=dtype, enabled=dtype != torch.float32
        )
        with torch.no_grad(), autocast:
            output = self.network(self._normalised(pixels))
        several = isinstance(output, (tuple, list)) and len(output) > 0
        maps = [
            self._checked(one, len(pixels)) for one in (output if several else [output])
        ]
        largest = [one.flatten(1).abs().amax(1).float() for one in maps]
        return [one.to(keep).contiguous() for one in maps], largest

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        n, height, width, n_channels = pixels.shape
        # Whole rows, because three channels at a time are slow to go over. Seen as
        # N×3×S×S they are channels-last, the layout CNNs are fastest in.
        x = pixels.reshape(n, height, width * n_channels).float()
        x -= _row(self.mean, width, x.device)
        x /= _row(self.std, width, x.device)
        return x.view(n, height, width, n_channels).permute(0, 3, 1, 2)

    def _checked(self, one: Any, n: int) -> torch.Tensor:
        """Check a map of n images, and bring it to (N, H, W, D)."""
        if not (isinstance(one, torch.Tensor) and one.ndim == 4):
            got = tuple(one.shape) if isinstance(one, torch.Tensor) else type(one)
            raise ValueError(
                f"backbone {self.name!r} must return a feature map N×D×H×W "
                f"(a 4-D tensor) or a tuple of them, got {got}. Cut it before its "
                "pooling and classification layers."
            )
        if len(one) != n:
            raise ValueError(
                f"backbone {self.name!r} must return one feature map an image, got "
                f"{len(one)} for {n} images (shape {tuple(one.shape)})."
            )
        return one.permute(0, 2, 3, 1)


# Made once: a copy of numbers to a GPU waits for all that it was told to do before.
@functools.lru_cache(maxsize=8)
def _row(channels: tuple[float, ...], width: int, device: torch.device) -> torch.Tensor:
    """Repeat what belongs to the channels along a row of 8-bit pixels."""
    once = torch.tensor(channels, dtype=torch.float32, device=device)
    return 255 * once.repeat(width)


def _at_once(batch: torch.Tensor, dtype: torch.dtype) -> int:
    """Tell how many images of a batch go through the network in one pass."""
    if batch.device.type != "cpu":
        return len(batch)
    a_image = batch[0].numel() * dtype.itemsize
    most = max(1, _PASS_BYTES // a_image, torch.get_num_threads())
    # Passes of about one size, not a small one at the end.
    return -(-len(batch) // -(-len(batch) // most))


def _joined(passes: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    if len(passes) == 1:
        return passes[0]
    return [torch.cat(parts) for parts in zip(*passes, strict=True)]


def _to_pinned(there: torch.Tensor) -> torch.Tensor:
    """Begin to copy a tensor from a GPU to the CPU."""
    here = torch.empty(there.shape, dtype=there.dtype, pin_memory=True)
    return here.copy_(there, non_blocking=True)
