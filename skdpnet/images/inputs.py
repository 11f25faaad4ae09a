"""What a network sees of images, as arrays for other programs that run the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skdpnet.images.collection import as_images
from skdpnet.images.framing import Framing

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["network_inputs"]


def network_inputs(X, framing: Framing) -> list[NDArray[np.float32]]:
    """Read, frame and resize images as an estimator does before its network.

    Parameters
    ----------
    X : images
        List or array of paths, PIL images, uint8 or [0, 1] float arrays, tensors.
    framing : Framing
        As from ``model.input_framing()``.

    Returns
    -------
    list of float32 ndarrays of shape (3, H, W)
        RGB in [0, 1], not normalised yet. H and W are the framing's image size, except
        for "aspect", where they depend on the image's shape. Images of one shape can be
        stacked to a batch of a network, or of a file of `DPNetClassifier.to_onnx`.

    Raises
    ------
    ImageError
        If images cannot be read; the message names all whose headers are bad, or the
        first that cannot be decoded.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.images import network_inputs
    >>> framing = DPNetClassifier(image_size=64).input_framing()
    >>> [array.shape for array in network_inputs(np.zeros((1, 40, 60, 3)), framing)]
    [(3, 64, 96)]
    """
    images = as_images(X).checked()
    return [_as_input(images.network_input(i, framing)[0]) for i in range(len(images))]


def _as_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    array = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
    array /= 255
    return array
