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
    "Work", "backbone", "decoding", "defined_training", "explanation", "plain_learning",
    "plain_maxima", "plain_regions", "pooling_additions", "resizing", "responses",
    "training", "whitening",
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
    column is the sum of two that exist already. Fewer additions are possible only if
    windows of several sizes share sums.
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
    """Count the projection of all cells, and both norms of all regions.

    The norms are those before and after whitening. Without whitening there is no
    projection, and both norms are the same.
    """
    n, per_map = size.images, size.cells * size.depth
    norms = n * (pooling_additions(size) + 2 * size.regions)
    out = 2 * size.regions
    if size.components is None:
        return Work(
            additions=norms * size.depth,
            bytes=_FLOAT * n * (per_map + size.regions),
        )
    return Work(
        products=2 * n * per_map * size.components,
        additions=norms * (size.depth + size.components),
        bytes=_FLOAT * (n * (per_map + size.cells * size.components + out))
        + _FLOAT * size.depth * size.components,
    )


def responses(size: Size, beta: float | None) -> Work:
    """Count the maxima of all parts over the regions, from whitened cells.

    They need the products of all cells with the parts, sums over the regions, and three
    operations for each response: the division by the norm, the subtraction of the mean,
    and either the maximum or the sum of exponentials.
    """
    n = size.images
    each = n * size.regions * size.parts
    return Work(
        products=2 * n * size.cells * size.channels * size.parts,
        additions=n * size.parts * pooling_additions(size) + 3 * each,
        exponentials=0 if beta is None else each,
        bytes=_FLOAT * (_inputs(size) + n * size.parts),
    )


def training(size: Size, beta: float | None) -> Work:
    """Count a training step: responses, logits, gradients of the parts, and Adam.

    The gradient of soft maxima needs a product as large as that of the responses. The
    gradient of hard maxima is a sum of one region's descriptor per part and image.
    """
    n, forward = size.images, responses(size, beta)
    learned = size.parts * size.channels
    classifier = 2 * 2 * n * size.parts * size.classes
    if beta is None:
        backward = Work(
            additions=n
            * size.channels
            * (2 * size.parts + pooling_additions(size) + size.regions)
        )
    else:
        backward = Work(
            products=2 * n * size.cells * size.channels * size.parts,
            additions=n * size.parts * (pooling_additions(size) + 2 * size.regions),
        )
    step = Work(
        products=classifier,
        additions=_ADAM_OPERATIONS * learned,
        bytes=_FLOAT * (_inputs(size) + _ADAM_NUMBERS * learned),
    )
    return forward + backward + step


def defined_training(size: Size, beta: float | None) -> float:
    """Count the products of a training step as defined by its formulas.

    These are ``S = U Xᵀ`` over all regions, the gradient of the soft maxima with
    respect to U, the logits and the gradient of the descriptors, whatever an
    implementation saves or adds. The gradient of hard maxima is not a product.
    """
    responses = 2 * size.images * size.regions * size.channels * size.parts
    classifier = 2 * 2 * size.images * size.parts * size.classes
    return (1 if beta is None else 2) * responses + classifier


def explanation(size: Size) -> Work:
    """Count all responses, which are written, and the best region of each part."""
    n = size.images
    each = n * size.regions * size.parts
    return Work(
        products=2 * n * size.cells * size.channels * size.parts,
        additions=n * size.parts * pooling_additions(size) + 3 * each,
        bytes=_FLOAT * (_inputs(size) + each + 2 * n * size.parts),
    )


def plain_regions(size: Size) -> Work:
    """Count the plain code from maps to regions: average, norm, whitening, norm.

    Descriptors of regions do not fit into caches: they are written, read and written.
    """
    n, rows = size.images, size.images * size.regions
    whitened = size.components is not None
    widths = size.depth + (size.channels if whitened else 0)
    return Work(
        products=2 * rows * size.depth * size.channels if whitened else 0,
        additions=n * size.depth * float(size.grid.areas.sum()) + 3 * rows * widths,
        bytes=_FLOAT * (n * size.cells * size.depth + 3 * rows * widths),
    )


def plain_maxima(size: Size, beta: float | None) -> Work:
    """Count the plain code from descriptors of regions to maxima.

    Responses do not fit into caches: they are written and read.
    """
    n, rows = size.images, size.images * size.regions
    each = rows * size.parts
    return Work(
        products=2 * rows * size.channels * size.parts,
        additions=each,
        exponentials=0 if beta is None else each,
        bytes=_FLOAT
        * ((rows + size.parts) * size.channels + 2 * each + n * size.parts),
    )


def plain_learning(size: Size) -> Work:
    """Count the gradients of the plain code by automatic differentiation, and Adam.

    There is a gradient for each response, though most are 0 with hard maxima, and their
    product with the regions is as large as that of the responses.
    """
    n = size.images
    each = n * size.regions * size.parts
    learned = size.parts * size.channels
    return Work(
        products=2 * each * size.channels + 2 * 2 * n * size.parts * size.classes,
        additions=each + _ADAM_OPERATIONS * learned,
        bytes=_FLOAT * (2 * each + _ADAM_NUMBERS * learned),
    )


def _inputs(size: Size) -> int:
    """Return how many numbers whitened cells, norms of regions and parts have."""
    per_image = size.cells * size.channels + 2 * size.regions
    return size.images * per_image + size.parts * size.channels
