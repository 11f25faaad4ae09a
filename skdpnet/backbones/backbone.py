"""A frozen network that computes and checks the feature maps of batches of images."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from skdpnet.backbones.outputs import output_maps
from skdpnet.images.framing import ModelCrop
from skdpnet.utils.host_copies import as_tensor, copy_to_host

__all__ = ["Backbone", "MapsOverflowError", "NetworkError"]

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


class NetworkError(ValueError):
    """A network does not take the images that it was given.

    Parameters
    ----------
    message : str
    reason : str
        What the network raised.
    """

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


@dataclass
class PendingMaps:
    """Feature maps of a batch that a device may still be computing.

    Parameters
    ----------
    maps : list of tensors of shape (N, H, W, D)
        On the CPU, valid once the event `arrived` has happened; or on the device.
    largest : list of float32 tensors of shape (N,)
        For each map, the largest absolute values before it was converted to its dtype;
        on the CPU.
    arrived : torch.cuda.Event or None
        None if the maps are valid already.
    """

    maps: list[torch.Tensor]
    largest: list[torch.Tensor]
    arrived: torch.cuda.Event | None


@dataclass(frozen=True)
class Backbone:
    """A frozen network with the normalisation that its weights expect.

    Parameters
    ----------
    name : str
        Name for messages.
    network : callable
        From normalised float images N×3×S×S to a feature map N×D×H×W, or a tuple, list
        or dict of several.
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
    crop : ModelCrop, default=None
        What of an image its library passes to it; None: there is none that is known.
    """

    name: str
    network: Callable[[torch.Tensor], Any]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    any_shape: bool = False
    weights: str | None = None
    crop: ModelCrop | None = None

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
        NetworkError
            If the network fails on the images.
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
        *,
        to_host: bool = True,
    ) -> PendingMaps:
        """Begin to compute maps; a GPU continues after this method has returned.

        Parameters
        ----------
        pixels, device, compute_dtype, map_dtype
            As in `feature_maps`.
        to_host : bool, default=True
            Whether the maps are copied to the CPU. If not, they stay on the device.

        Returns
        -------
        PendingMaps
            To be passed to `finish`.

        Raises
        ------
        NetworkError
            If the network fails on the images.
        ValueError
            If the network does not return maps N×D×H×W.
        """
        batch = as_tensor(pixels, device)
        passes = [
            self._pass(few, compute_dtype, map_dtype)
            for few in batch.split(_images_per_pass(batch, compute_dtype))
        ]
        maps = _joined([maps for maps, _ in passes])
        largest = _joined([largest for _, largest in passes])
        # What tells whether the maps are finite always comes to the CPU, once a batch.
        copied = copy_to_host([*maps, *largest] if to_host else largest)
        if to_host:
            maps = copied.tensors[: len(maps)]
        return PendingMaps(maps, copied.tensors[-len(maps) :], copied.arrived)

    def finish(self, pending: PendingMaps) -> tuple[torch.Tensor, ...]:
        """Wait for the maps that `start` began to compute, and check them.

        Parameters
        ----------
        pending : PendingMaps

        Returns
        -------
        tuple of tensors of shape (N, H, W, D)
            As from `feature_maps`; on the device if they were not to be copied.

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
            output = self._call(self._normalised(pixels))
        n, height, width, _ = pixels.shape
        outputs = output_maps(self.name, output, (n, height, width))
        maps = [feature_map.permute(0, 2, 3, 1) for feature_map in outputs]
        largest = [feature_map.flatten(1).abs().amax(1).float() for feature_map in maps]
        return [feature_map.to(map_dtype).contiguous() for feature_map in maps], largest

    def _call(self, images: torch.Tensor) -> Any:
        """Call the network, and name it in what it raises."""
        try:
            return self.network(images)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            # Networks fail on images that they cannot take by errors of all kinds.
            reason = f"{type(error).__name__}: {_first_line(error)}"
            raise NetworkError(
                f"backbone {self.name!r} fails on {len(images)} images of shape "
                f"{'×'.join(map(str, images.shape[1:]))} in float32 on the device "
                f"{str(images.device)!r}: {reason} {_remedy(self.network)}",
                reason,
            ) from error

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        n, height, width, n_channels = pixels.shape
        # Normalised row by row, because an axis of three channels is slow to iterate
        # over. The result is channels-last, the layout in which CNNs are fastest.
        x = pixels.reshape(n, height, width * n_channels).float()
        x -= _row(self.mean, width, x.device)
        x /= _row(self.std, width, x.device)
        return x.view(n, height, width, n_channels).permute(0, 3, 1, 2)


# Kept, because copying numbers to a GPU waits until it has finished its work so far.
@functools.lru_cache(maxsize=64)
def _row(channels: tuple[float, ...], width: int, device: torch.device) -> torch.Tensor:
    """Scale values of the channels to 8-bit pixels, and repeat them along a row."""
    values = torch.tensor(channels, dtype=torch.float32, device=device)
    return 255 * values.repeat(width)


def _first_line(error: Exception) -> str:
    """Return what an error says, without the code that some of torch's errors quote."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    # TorchScript says what happened after the code in which it happened.
    line = lines[-1] if "TorchScript" in lines[0] else lines[0]
    return line.strip().rstrip(".") + "."


def _remedy(network: Any) -> str:
    """Return what to do about a network that fails."""
    dtypes = set()
    if isinstance(network, torch.nn.Module):
        dtypes = {t.dtype for t in network.parameters() if t.is_floating_point()}
    if dtypes - {torch.float32}:
        names = " and ".join(sorted(str(d).removeprefix("torch.") for d in dtypes))
        return (
            f"Its weights are of {names}. Convert it by its method float(), or pass a "
            "module that converts the images and its maps."
        )
    return (
        "Pass a module, or a function, that takes such images in batches of any size, "
        "without gradients, and another image_size if it takes one size alone."
    )


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
