"""Operations and bytes of each stage as functions of its size, and its floor.

Bytes are those that cannot be avoided: each input is read once and each result written
once, and everything else stays in caches. The product of an m×k matrix and a k×n matrix
has 2mkn operations. Additions and exponentials are counted separately, since no
processor does them at the rate of products.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.sizes import Size

__all__ = [
    "Work", "backbone", "checkpointed_training", "decoding", "defined_training",
    "explanation", "plain_learning", "plain_maxima", "plain_regions",
    "pooling_additions", "resizing", "responses", "training", "whitening",
]  # fmt: skip

_FLOAT = 4
# Adam's operations for each learned number: two running means, their corrections and
# the step. It reads the number, its gradient and both means, and writes all but the
# gradient.
_ADAM_OPERATIONS = 12
_ADAM_NUMBERS = 7
# Operations a sample of an 8×8 inverse cosine transform after Arai, Agui and Nakajima
# (1988): 29 additions and 5 multiplications for each of 8 rows and 8 columns.
_COSINE_TRANSFORM = 16 * (29 + 5) / 64
# Samples per pixel where colour has half the horizontal and vertical resolution.
_SAMPLES = 1.5
# Operations per pixel of the conversion to RGB: 4 multiplications and 4 additions.
_COLOUR = 8
# Reach of Pillow's bicubic filter to each side, in pixels of the resized image.
_BICUBIC_REACH = 2


class Work(NamedTuple):
    """The operations and bytes that a computation cannot do without.

    Attributes
    ----------
    products : float
        Operations in matrix products and convolutions.
    additions : float
        Additions, multiplications and comparisons elsewhere.
    exponentials : float
        Evaluations of the exponential function.
    bytes : float
        Bytes read from memory and written to it.
    """

    products: float = 0.0
    additions: float = 0.0
    exponentials: float = 0.0
    bytes: float = 0.0

    def __add__(self, other) -> Work:
        """Return the sum of the work of two computations."""
        return Work(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, n: float) -> Work:
        """Return the work of n such computations."""
        return Work(*(n * amount for amount in self))

    def floor(self, rates: Mapping[str, float], dtype: str = "float32") -> float:
        """Return the seconds of the products, or of moving the bytes if this is longer.

        Parameters
        ----------
        rates : dict of str to float
            Operations per second of products, by dtype, and bytes per second of a
            ``"copy"``.
        dtype : str
            The dtype of the products.

        Returns
        -------
        float
        """
        return max(self.products / rates[dtype], self.bytes / rates["copy"])

    def in_turn(
        self, rates: Mapping[str, float], dtype: str = "float32"
    ) -> float | None:
        """Return the seconds of products, additions and exponentials in turn.

        Parameters
        ----------
        rates : dict of str to float
            As in `floor`, with ``"additions"`` and ``"exponentials"`` per second.
        dtype : str
            The dtype of the products.

        Returns
        -------
        float or None
            None if the rates of additions and exponentials were not measured.
        """
        if "additions" not in rates:
            return None
        seconds = (
            self.products / rates[dtype]
            + self.additions / rates["additions"]
            + self.exponentials / rates["exponentials"]
        )
        return max(seconds, self.bytes / rates["copy"])


def pooling_additions(size: Size) -> int:
    """Count the additions that sum one channel over all regions of one map.

    A box filter is a filter of rows, then one of columns, and each sum of a row or
    column takes at least one addition, of two sums that exist already. Fewer are
    possible only if windows of several sizes share sums.
    """
    total = 0
    for height, width in size.grid.windows:
        if width > 1:
            total += size.height * (size.width - width + 1)
        if height > 1:
            total += (size.height - height + 1) * (size.width - width + 1)
    return total


def decoding(file_bytes: int, width: int, height: int) -> Work:
    """Count reading a JPEG file and decoding it at full resolution.

    Parameters
    ----------
    file_bytes : int
        Size of the file.
    width, height : int
        Size of the image in pixels.

    Returns
    -------
    Work
        Without the entropy decoding, which works bit by bit. Decoders add integers of
        16 bits, of which a processor adds twice as many at once as of the float32
        numbers whose rate is measured.
    """
    operations = _SAMPLES * _COSINE_TRANSFORM + _COLOUR
    return Work(
        additions=width * height * operations, bytes=file_bytes + 3 * width * height
    )


def resizing(image_size: int, scale: float) -> Work:
    """Count resizing an image to the network's input by Pillow's bicubic filter.

    Parameters
    ----------
    image_size : int
        Side S of the resulting square in pixels.
    scale : float
        Side of a pixel of the square in pixels of the image, at least 1.

    Returns
    -------
    Work
        The filter of the rows, then that of the columns, without cropped rows.
    """
    taps = 2 * _BICUBIC_REACH * scale
    side = image_size * scale
    numbers = 3 * (image_size * side + image_size**2)
    return Work(additions=2 * taps * numbers, bytes=3 * (side**2 + image_size**2))


def backbone(network: torch.nn.Module, images: int, image_size: int) -> Work:
    """Count the forward pass of a network over images.

    Parameters
    ----------
    network : torch.nn.Module
        On any device.
    images : int
        Number of images.
    image_size : int
        Side S of the images in pixels.

    Returns
    -------
    Work
        Products and convolutions as PyTorch counts them; the bytes of the weights, the
        images and the maps in float32.
    """
    weights = [*network.parameters(), *network.buffers()]
    device = weights[0].device if weights else torch.device("cpu")
    image = torch.zeros(1, 3, image_size, image_size, device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = network(image)
    maps = output if isinstance(output, (tuple, list)) else [output]
    per_image = image.numel() + sum(feature_map.numel() for feature_map in maps)
    n_weights = sum(tensor.numel() for tensor in weights)
    return Work(
        products=images * counter.get_total_flops(),
        bytes=_FLOAT * (n_weights + images * per_image),
    )


def whitening(size: Size) -> Work:
    """Count the sums over all regions, their scaling, projection, and scaling again.

    A scaling takes three operations for each number: two for the norm, and a division.
    The whitened mean is subtracted between them. Without whitening there is only the
    first scaling.
    """
    n, rows = size.images, size.images * size.regions
    pooled = Work(
        additions=size.depth * (n * pooling_additions(size) + 3 * rows),
        bytes=_FLOAT * (n * size.cells * size.depth + rows * size.channels),
    )
    if size.components is None:
        return pooled
    return pooled + Work(
        products=2 * rows * size.depth * size.components,
        additions=4 * rows * size.components,
        bytes=_FLOAT * size.depth * size.components,
    )


def responses(size: Size, beta: float | None) -> Work:
    """Count the maxima of all parts over the regions, from region descriptors.

    Each response is compared, or its exponential is added. Scaling by β costs nothing:
    the parts are scaled.
    """
    each = _n_responses(size)
    return Work(
        products=2 * each * size.channels,
        additions=each,
        exponentials=0 if beta is None else each,
        bytes=_FLOAT * (_inputs(size) + size.images * size.parts),
    )


def training(size: Size, beta: float | None) -> Work:
    """Count a training step: responses, logits, gradients of the parts, and Adam.

    The gradient of soft maxima is a product, and needs the responses once more, which
    do not stay in memory. The gradient of hard maxima is a weighted sum of one region
    per part and image.
    """
    if beta is not None:
        return checkpointed_training(size, beta)
    gathered = size.images * size.parts * size.channels
    return responses(size, None) + Work(additions=2 * gathered) + _classifier_step(size)


def checkpointed_training(size: Size, beta: float | None) -> Work:
    """Count a step that computes responses, forward and backward, in pieces.

    Their gradients are a multiplication for each response. The pieces stay in caches.
    """
    each = _n_responses(size)
    gradient = Work(products=2 * each * size.channels, additions=each)
    return responses(size, beta).times(2) + gradient + _classifier_step(size)


def defined_training(size: Size, beta: float | None) -> float:
    """Count the products of a training step as defined by its formulas.

    These are ``S = X Uᵀ`` over all regions, the gradient of the soft maxima with
    respect to U, the logits and the gradient of the descriptors, whatever an
    implementation saves or adds. The gradient of hard maxima is not a product.
    """
    products = 2 * _n_responses(size) * size.channels
    classifier = _classifier_step(size).products
    return (1 if beta is None else 2) * products + classifier


def explanation(size: Size) -> Work:
    """Count all responses, which are written, and the best region of each part."""
    written = _n_responses(size) + size.images * size.parts
    return responses(size, None) + Work(bytes=_FLOAT * written)


def plain_regions(size: Size) -> Work:
    """Count the plain code from maps to regions: average, norm, whitening, norm.

    Descriptors of regions do not fit into caches: they are written, read and written.
    """
    n, rows = size.images, size.images * size.regions
    whitened = size.components is not None
    widths = size.depth + (size.channels if whitened else 0)
    top, left, bottom, right = size.grid.cells.T
    n_added = int(((bottom - top) * (right - left)).sum())
    return Work(
        products=2 * rows * size.depth * size.channels if whitened else 0,
        additions=n * size.depth * n_added + 3 * rows * widths,
        bytes=_FLOAT * (n * size.cells * size.depth + 3 * rows * widths),
    )


def plain_maxima(size: Size, beta: float | None) -> Work:
    """Count the plain code from descriptors of regions to maxima.

    Responses do not fit into caches: they are written and read.
    """
    return responses(size, beta) + Work(bytes=_FLOAT * 2 * _n_responses(size))


def plain_learning(size: Size) -> Work:
    """Count the gradients of the plain code by automatic differentiation, and Adam.

    There is a gradient for each response, though most are 0 with hard maxima, and their
    product with the regions is as large as that of the responses.
    """
    each = _n_responses(size)
    gradient = Work(
        products=2 * each * size.channels,
        additions=each,
        bytes=_FLOAT * (2 * each + _inputs(size)),
    )
    return gradient + _classifier_step(size)


def _classifier_step(size: Size) -> Work:
    """Count the logits, the gradient of the descriptors, and Adam's step."""
    learned = size.parts * size.channels
    return Work(
        products=2 * 2 * size.images * size.parts * size.classes,
        additions=_ADAM_OPERATIONS * learned,
        bytes=_FLOAT * _ADAM_NUMBERS * learned,
    )


def _n_responses(size: Size) -> int:
    """Return the number of responses of all parts to all regions of all images."""
    return size.images * size.regions * size.parts


def _inputs(size: Size) -> int:
    """Return how many numbers the region descriptors and the parts have."""
    return (size.images * size.regions + size.parts) * size.channels
