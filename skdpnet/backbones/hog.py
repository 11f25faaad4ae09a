"""Histograms of oriented gradients: a feature map without a network."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import pad

from skdpnet.backbones.dense_sift import IMAGENET_MEAN, IMAGENET_STD
from skdpnet.utils.validation import check_whole

__all__ = ["HOG"]

# Must be raised whenever the maps of some image change: caches are kept by it.
_VERSION = 1

# Directions of a half turn; their opposites are the signed directions beyond them.
_N_UNSIGNED = 9
# Gradients are differences of 8-bit values, which the constant below is meant for.
_WHITE = 255.0
_STEPS = 256
_EPSILON = 1e-4
_CLIP = 0.2


class HOG(nn.Module):
    """Histograms of oriented gradients, the 31 channels of Felzenszwalb et al. [1]_.

    Each cell of the map holds the histogram of the gradient's directions in its pixels,
    normalised by the energy of the cells around it. It is the map of deformable part
    models, whose templates are windows of cells side by side. Nothing is learned, so
    that cells can be cached, pooled and encoded as those of a network.

    An object of this class is a `backbone` of every estimator; ``backbone="hog"`` names
    the one of default settings.

    Parameters
    ----------
    cell_size : int, default=8
        Pixels from cell to cell, as in [1]_. A side of S pixels has ``S // cell_size``
        cells, which share it evenly.

    Raises
    ------
    ValueError
        For a cell size that is no whole number of at least 1.

    See Also
    --------
    DenseSIFT : Finer descriptors, of a window around each cell.

    Notes
    -----
    At each pixel the strongest of the three colours' gradients counts, in the nearest
    of 18 directions, with its magnitude, in the four nearest cells by bilinear
    interpolation. A cell is divided by each of four norms, those of the blocks of 2×2
    cells that hold it, and clipped at 0.2. The channels are

    - 0 to 17, directions of 20·k degrees, from the rows' direction towards the columns'
      (clockwise, as rows are counted downwards): half the sum over the four norms;
    - 18 to 26, the same for gradients and their opposites together, k = 0 to 8;
    - 27 to 30, the sum over directions for one norm, over the square root of 18: that
      of the block to the lower right, the upper right, the lower left, the upper left.

    Numbers are those of the authors' code for 8-bit images. Two things differ. That
    code leaves out the outermost pixels and then the outermost ring of cells, which
    have no four blocks. Here the image is continued by its outermost pixels for
    gradients, and by its outermost cells for the norms, so that the map covers the
    image. A gradient straight up or down is as near to 80 as to 100 degrees and counts
    half in each, so that a mirrored image has a mirrored map.

    References
    ----------
    .. [1] P. F. Felzenszwalb, R. B. Girshick, D. McAllester, D. Ramanan, "Object
       detection with discriminatively trained part-based models", IEEE Transactions on
       Pattern Analysis and Machine Intelligence 32(9), 2010.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.backbones import HOG
    >>> tuple(HOG()(torch.rand(1, 3, 64, 96)).shape)
    (1, 31, 8, 12)
    """

    def __init__(self, *, cell_size: int = 8):
        super().__init__()
        self.cell_size = check_whole("cell_size", cell_size, 1)
        # A cache's key digests the module's state, but not this package's code.
        self.version = _VERSION

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the maps of a batch.

        Parameters
        ----------
        images : tensor of shape (N, 3, S, S'), of any height and width
            Normalised by ImageNet's mean and standard deviation, as every backbone
            module gets them.

        Returns
        -------
        float32 tensor of shape (N, 31, S // cell_size, S' // cell_size)
            All numbers are finite; those of images of one colour are zero.

        Raises
        ------
        ValueError
            If the images are smaller than a cell.
        """
        height, width = images.shape[2:]
        if min(height, width) < self.cell_size:
            raise ValueError(
                f"images of {height}×{width} pixels have no cell of cell_size="
                f"{self.cell_size}: raise image_size, or lower cell_size."
            )
        # Gradients are small differences, which float16 would round off.
        with torch.autocast(images.device.type, enabled=False):
            return self._describe(images.float())

    def _describe(self, images: torch.Tensor) -> torch.Tensor:
        """Compute the map (N, 31, H, W) of images (N, 3, S, S')."""
        votes = _votes(*_strongest_gradients(_pixels(images)))
        rows, columns = (
            _bilinear_weights(length, length // self.cell_size, votes)
            for length in images.shape[2:]
        )
        return _normalised_cells(rows @ votes @ columns.T)

    def extra_repr(self) -> str:
        """Show the settings in the module's representation."""
        return f"cell_size={self.cell_size}"


def _pixels(images: torch.Tensor) -> torch.Tensor:
    """Return the 8-bit values (N, 3, S, S') of normalised images, as floats.

    They are rounded to 1/256, which makes those of 8-bit images whole numbers again.
    Their gradients are then exact, and two colours' that are equal stay equal, whatever
    normalised the image.
    """
    channels = [
        (std * images[:, channel] + mean) * _WHITE
        for channel, (mean, std) in enumerate(
            zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)
        )
    ]
    return torch.stack(channels, dim=1).mul_(_STEPS).round_().div_(_STEPS)


def _strongest_gradients(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the strongest colour's gradient, across and down, each (N, S, S')."""
    beyond = pad(pixels, (1, 1, 1, 1), mode="replicate")
    across = beyond[:, :, 1:-1, 2:] - beyond[:, :, 1:-1, :-2]
    down = beyond[:, :, 2:, 1:-1] - beyond[:, :, :-2, 1:-1]
    strength = across**2 + down**2
    strongest = strength.argmax(dim=1, keepdim=True)
    return across.gather(1, strongest)[:, 0], down.gather(1, strongest)[:, 0]


def _votes(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Give each gradient's magnitude to the nearest of 18 directions.

    Parameters
    ----------
    across, down : tensors of shape (N, S, S')

    Returns
    -------
    tensor of shape (N, 18, S, S')
    """
    angles = [math.pi * k / _N_UNSIGNED for k in range(_N_UNSIGNED)]
    # Rounded, so that the 80 and the 100 degrees of a mirrored image agree to the bit.
    cosines, sines = (
        torch.tensor([round(of(angle), 12) for angle in angles], dtype=across.dtype).to(
            across.device
        )[:, None, None]
        for of in (math.cos, math.sin)
    )
    along = cosines * across[:, None] + sines * down[:, None]
    size = along.abs()
    nearest = (size == size.amax(dim=1, keepdim=True)).to(along.dtype)
    magnitude = torch.hypot(across, down)[:, None]
    votes = nearest * (magnitude / nearest.sum(dim=1, keepdim=True))
    return torch.cat([votes * (along > 0), votes * (along < 0)], dim=1)


def _bilinear_weights(length: int, n_cells: int, like: torch.Tensor) -> torch.Tensor:
    """Return the weights (H, S) of S pixels in H cells along an axis."""
    pixels = torch.arange(length, dtype=like.dtype, device=like.device)
    cells = torch.arange(n_cells, dtype=like.dtype, device=like.device)
    places = (pixels + 0.5) * (n_cells / length) - 0.5
    return (1 - (places - cells[:, None]).abs()).clamp_(min=0)


def _normalised_cells(cells: torch.Tensor) -> torch.Tensor:
    """Return the channels (N, 31, H, W) of histograms (N, 18, H, W)."""
    unsigned = cells[:, :_N_UNSIGNED] + cells[:, _N_UNSIGNED:]
    height, width = cells.shape[2:]
    energy = pad(unsigned.square().sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    in_rows = energy[:, 0, :-1] + energy[:, 0, 1:]
    factors = torch.rsqrt(in_rows[:, :, :-1] + in_rows[:, :, 1:] + _EPSILON)
    of_signed = torch.zeros_like(cells)
    of_unsigned = torch.zeros_like(unsigned)
    texture = []
    # Blocks that begin at the cell itself, or at the one to the left, or above it.
    for left, top in ((1, 1), (1, 0), (0, 1), (0, 0)):
        factor = factors[:, None, top : top + height, left : left + width]
        clipped = (cells * factor).clamp_(max=_CLIP)
        of_signed += clipped / 2
        of_unsigned += (unsigned * factor).clamp_(max=_CLIP) / 2
        texture.append(clipped.sum(1, keepdim=True) / math.sqrt(2 * _N_UNSIGNED))
    return torch.cat([of_signed, of_unsigned, *texture], dim=1)
