"""Operations and bytes of each stage as functions of sizes, and the floor they set.

Bytes are those that cannot be avoided: each input read once, each result written once,
all that lies between kept in caches. A product of an m×k with a k×n matrix has 2mkn
operations. Additions and exponentials are counted apart, as no processor does them at
the rate of its products.
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
# Of Adam, for each number that is learned: two running means, their correction, the
# step; it reads the number, its slope and both means, and writes all but the slope.
_ADAM_OPERATIONS = 12
_ADAM_NUMBERS = 7
# Of an 8×8 inverse cosine transform after Arai, Agui and Nakajima (1988): 29 additions
# and 5 multiplications for each of 8 rows and 8 columns.
_COSINE_TRANSFORM = 16 * (29 + 5) / 64
# Samples a pixel where colour has half the resolution of brightness, both ways.
_SAMPLES = 1.5
# From brightness and colour to red, green, blue: 4 multiplications and 4 additions.
_COLOUR = 8
# Pillow's bicubic filter reaches so far to both sides, in pixels of the smaller side.
_BICUBIC_REACH = 2


class Work(NamedTuple):
    """What a computation cannot do without.

    Attributes
    ----------
    products : float
        Operations in matrix products and convolutions.
    additions : float
        Additions, multiplications and comparisons elsewhere.
    exponentials : float
    bytes : float
        Read from memory and written to it.
    """

    products: float = 0.0
    additions: float = 0.0
    exponentials: float = 0.0
    bytes: float = 0.0

    def __add__(self, other) -> Work:
        """Return the work of one after the other."""
        return Work(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, n: float) -> Work:
        """Return the work of n times this."""
        return Work(*(n * own for own in self))

    def floor(self, rates: Mapping[str, float], dtype: str = "float32") -> float:
        """Return the least seconds: all products at full rate, or all bytes moved.

        Parameters
        ----------
        rates : dict of str to float
            Operations a second of products of each dtype, and bytes a second under
            ``"copy"``.
        dtype : str
            Of the products.

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
            As `floor` takes them, with additions and exponentials a second under
            ``"additions"`` and ``"exponentials"``.
        dtype : str
            Of the products.

        Returns
        -------
        float or None
            None: the rates of additions and exponentials were not measured.
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

    A box filter is one of rows and one of columns, and each run is the sum of two that
    are there: one addition each for every run. Nothing does with fewer unless windows
    of several sizes share more.
    """
    total = 0
    for height, width in size.grid.windows:
        if width > 1:
            total += size.height * (size.width - width + 1)
        if height > 1:
            total += (size.height - height + 1) * (size.width - width + 1)
    return total


def decoding(file_bytes: int, width: int, height: int) -> Work:
    """Count reading a JPEG image and decoding all of it.

    Parameters
    ----------
    file_bytes : int
    width, height : int
        Pixels of the file.

    Returns
    -------
    Work
        Without undoing the entropy code, which goes bit by bit. Decoders add whole
        numbers of 16 bits, twice as many at once as the additions of a rate.
    """
    operations = _SAMPLES * _COSINE_TRANSFORM + _COLOUR
    return Work(
        additions=width * height * operations, bytes=file_bytes + 3 * width * height
    )


def resizing(image_size: int, scale: float) -> Work:
    """Count making the square that a network sees, by Pillow's bicubic filter.

    Parameters
    ----------
    image_size : int
        Side S of the square that comes out.
    scale : float
        Pixels of the image for one of the square's, at least 1.

    Returns
    -------
    Work
        Rows first, of all lines that are seen; then columns.
    """
    taps = 2 * _BICUBIC_REACH * scale
    side = image_size * scale
    numbers = 3 * (image_size * side + image_size**2)
    return Work(additions=2 * taps * numbers, bytes=3 * (side**2 + image_size**2))


def backbone(network: torch.nn.Module, images: int, image_size: int) -> Work:
    """Count a network's pass over images.

    Parameters
    ----------
    network : torch.nn.Module
        On any device.
    images : int
    image_size : int
        Side S in pixels.

    Returns
    -------
    Work
        Products and convolutions as PyTorch counts them; of the bytes the weights, the
        images and the maps, as float32.
    """
    weights = [*network.parameters(), *network.buffers()]
    device = weights[0].device if weights else torch.device("cpu")
    one = torch.zeros(1, 3, image_size, image_size, device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        maps = network(one)
    several = maps if isinstance(maps, (tuple, list)) else [maps]
    a_image = one.numel() + sum(own.numel() for own in several)
    weight = sum(own.numel() for own in weights)
    return Work(
        products=images * counter.get_total_flops(),
        bytes=_FLOAT * (weight + images * a_image),
    )


def whitening(size: Size) -> Work:
    """Count projecting all cells, and the norms of all regions before and after.

    Without whitening there is no projection, and one of the norms is the other.
    """
    n, moved = size.images, size.cells * size.depth
    norms = n * (pooling_additions(size) + 2 * size.regions)
    out = 2 * size.regions
    if size.components is None:
        return Work(
            additions=norms * size.depth, bytes=_FLOAT * n * (moved + size.regions)
        )
    return Work(
        products=2 * n * moved * size.components,
        additions=norms * (size.depth + size.components),
        bytes=_FLOAT * (n * (moved + size.cells * size.components + out))
        + _FLOAT * size.depth * size.components,
    )


def responses(size: Size, beta: float | None) -> Work:
    """Count the maxima of all parts over the regions, from whitened cells.

    The projection of all cells on the parts; sums over the regions; for each response
    one multiplication, what the mean takes off, and the maximum or an exponential and
    its sum.
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
    """Count a training step: responses, classifier, the way back, and Adam.

    The way back through soft maxima carries slopes to the cells and has a product as
    large as the forward one; through hard ones it adds up one region's descriptor for
    each part and image.
    """
    n, forward = size.images, responses(size, beta)
    learned = size.parts * (size.channels + size.classes)
    classifier = 3 * 2 * n * size.parts * size.classes
    if beta is None:
        back = Work(
            additions=n
            * size.channels
            * (2 * size.parts + pooling_additions(size) + size.regions)
        )
    else:
        back = Work(
            products=2 * n * size.cells * size.channels * size.parts,
            additions=n * size.parts * (pooling_additions(size) + 2 * size.regions),
        )
    step = Work(
        products=classifier,
        additions=_ADAM_OPERATIONS * learned,
        bytes=_FLOAT * (_inputs(size) + _ADAM_NUMBERS * learned),
    )
    return forward + back + step


def defined_training(size: Size, beta: float | None) -> float:
    """Count the products of a training step as its formulas have them.

    ``S = U Xᵀ`` over all regions, the gradient at U of its soft maxima, and the
    classifier's, whatever a way saves or adds. A hard maximum's gradient is no product.
    """
    responses = 2 * size.images * size.regions * size.channels * size.parts
    classifier = 3 * 2 * size.images * size.parts * size.classes
    return (1 if beta is None else 2) * responses + classifier


def explanation(size: Size) -> Work:
    """Count all responses, kept, and the strongest region of each part."""
    n = size.images
    each = n * size.regions * size.parts
    return Work(
        products=2 * n * size.cells * size.channels * size.parts,
        additions=n * size.parts * pooling_additions(size) + 3 * each,
        bytes=_FLOAT * (_inputs(size) + each + 2 * n * size.parts),
    )


def plain_regions(size: Size) -> Work:
    """Count the plain way to every region's descriptor: average, norm, whitening, norm.

    With what it cannot keep in caches: descriptors are written, read and written.
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
    """Count the plain way from regions' descriptors to maxima: one product.

    With what it cannot keep in caches: responses are written and read.
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
    """Count the way back from the maxima by automatic differentiation, and Adam.

    The slopes at the responses are as many as these, through hard maxima most of them
    0, and their product with the regions is as large as the forward one.
    """
    n = size.images
    each = n * size.regions * size.parts
    learned = size.parts * (size.channels + size.classes)
    return Work(
        products=2 * each * size.channels + 3 * 2 * n * size.parts * size.classes,
        additions=each + _ADAM_OPERATIONS * learned,
        bytes=_FLOAT * (2 * each + _ADAM_NUMBERS * learned),
    )


def _inputs(size: Size) -> int:
    """Numbers of whitened cells, both norms of all regions, and parts."""
    a_image = size.cells * size.channels + 2 * size.regions
    return size.images * a_image + size.parts * size.channels
