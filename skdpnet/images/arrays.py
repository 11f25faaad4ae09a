"""Images that are passed as NumPy arrays or torch tensors."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from skdpnet.images.conversion import UnusableImage, rgb_of, to_8_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = (1, 3, 4)
FEATURES_HINT = 'precomputed features need backbone="precomputed"'

# How far floats may lie outside [0, 1] because of rounding, for instance by a resize.
_RANGE_TOLERANCE = 1e-6


def is_tensor(value: object) -> bool:
    """Return whether a value is a torch tensor, without importing torch.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def checked_array(item: object) -> NDArray[Any]:
    """Check an array or a tensor, and return it as an array of an image.

    Parameters
    ----------
    item : ndarray or torch.Tensor
        Of shape (height, width) or (height, width, channels) for an array, (height,
        width) or (channels, height, width) for a tensor.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, channels)
        Of dtype uint8, uint16 or float; floats lie in [0, 1].

    Raises
    ------
    UnusableImage
        If the item is neither, or its shape, dtype or values cannot be an image's.
    """
    if is_tensor(item):
        array = _tensor_to_array(item)
    elif isinstance(item, np.ndarray):
        array = item
    else:
        raise UnusableImage(_wrong_kind(item))
    _check_dimensions(array.ndim)
    if array.size == 0:
        raise UnusableImage("the image has no pixels")
    if array.ndim == 3 and array.shape[2] not in CHANNELS:
        if array.shape[0] in CHANNELS:
            raise UnusableImage("channels first? use transpose(1, 2, 0)")
        raise UnusableImage(
            f"the last axis has length {array.shape[2]}, but an image has 1, 3 or 4 "
            "channels"
        )
    if array.dtype.kind == "f":
        _check_range(array)
    elif array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise UnusableImage(
            f"dtype {array.dtype.name} is not accepted; convert to uint8 (0 to 255), "
            "uint16 (0 to 65535) or float (0 to 1)"
        )
    return array


def _check_dimensions(ndim: int) -> None:
    """Refuse an array that does not have two or three axes."""
    if ndim == 1:
        raise UnusableImage(
            f"one axis only, an image has two or three; {FEATURES_HINT}"
        )
    if ndim not in (2, 3):
        raise UnusableImage(
            f"{ndim} axes, but an image has two or three; each item is one image"
        )


def _check_range(array: NDArray[Any]) -> None:
    """Refuse floats outside [0, 1]."""
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnusableImage("the values contain NaN or infinity")
    if low < -_RANGE_TOLERANCE or high > 1 + _RANGE_TOLERANCE:
        if low < 0:
            remedy = "undo the normalisation, or clip what a resize overshot"
        else:
            remedy = "divide by 255?" if high > 2 else "clip or rescale them"
        raise UnusableImage(
            f"float values run from {low:g} to {high:g}, but must lie in [0, 1]; "
            f"{remedy}"
        )


def _tensor_to_array(tensor: Any) -> NDArray[Any]:
    """Convert a tensor to an array with the channels last."""
    shape = tuple(tensor.shape)
    _check_dimensions(len(shape))
    if len(shape) == 3 and tensor.numel() and shape[0] not in CHANNELS:
        if shape[2] in CHANNELS:
            raise UnusableImage("channels last? use permute(2, 0, 1)")
        raise UnusableImage(
            f"the first axis has length {shape[0]}, but an image has 1, 3 or 4 channels"
        )
    try:
        tensor = tensor.detach().cpu()
        # NumPy has no bfloat16.
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    except (RuntimeError, TypeError) as error:
        raise UnusableImage(f"the tensor cannot be read ({error})") from error
    return np.moveaxis(array, 0, -1) if len(shape) == 3 else array


def _wrong_kind(item: object) -> str:
    """Return the message for an item of a type that is not accepted."""
    nan = isinstance(item, float) and math.isnan(item)
    if item is None or nan or type(item).__name__ in ("NAType", "NaTType"):
        return "a missing value; leave it out or pass an image"
    accepted = "pass a path, a PIL image, an array or a tensor"
    if isinstance(item, (bytes, bytearray)):
        return (
            "raw bytes are not accepted; open them with "
            "PIL.Image.open(io.BytesIO(data)), or pass the path as text"
        )
    kind = type(item).__name__
    if isinstance(item, (list, tuple)):
        return f"a {kind} is no image; {accepted}; {FEATURES_HINT}"
    return f"a value of type {kind} is no image; {accepted}"


def array_to_rgb(array: NDArray[Any]) -> Image.Image:
    """Convert an array to an RGB image.

    Parameters
    ----------
    array : ndarray of shape (height, width) or (height, width, channels)
        As returned by `checked_array`.

    Returns
    -------
    PIL.Image.Image
        8-bit RGB; transparent parts become white.
    """
    if array.dtype.kind == "f":
        # float16 has too few digits for the product.
        exact = array.astype(np.result_type(array, np.float32))
        array = np.rint(np.clip(exact, 0, 1) * 255).astype(np.uint8)
    elif array.dtype.itemsize == 2:
        array = to_8_bits(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return rgb_of(Image.fromarray(array))
