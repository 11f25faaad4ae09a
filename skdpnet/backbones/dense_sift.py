"""Dense SIFT: descriptors of gradients on a grid, as feature maps without a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from skdpnet.utils.validation import Number, OneOf, SequenceOf, check_whole

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "DenseSIFT"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Must be raised whenever the maps of some image change: caches are kept by it.
_VERSION = 1

# Weights of red, green and blue in the grey value, ITU-R recommendation BT.601.
_LUMA = (0.299, 0.587, 0.114)
_N_BINS, _N_ORIENTATIONS = 4, 8
# Standard deviation of the Gaussian window, in bins: half the descriptor's width.
_WINDOW_SIGMA = 2.0
_GAUSSIAN, _FLAT = "gaussian", "flat"
# Largest entry of the unit descriptor, so that no strong edge outweighs the rest.
_CLIP = 0.2
# Standard deviations at which the Gaussian blur is cut off.
_BLUR_RADIUS = 4


class DenseSIFT(nn.Module):
    """SIFT descriptors on a dense grid, one feature map for each bin size.

    Each cell of a map holds the SIFT descriptor [1]_ around the cell's centre, upright
    and of a fixed size: histograms of 8 gradient directions in 4×4 bins. All maps lie
    on one grid, which covers the image. Nothing is learned, so that descriptors can be
    cached, pooled and encoded as those of a network.

    An object of this class is a `backbone` of every estimator;
    ``backbone="dense_sift"`` names the one of default settings.

    Parameters
    ----------
    bin_sizes : sequence of float, default=(4, 6, 8, 10)
        Sides of the bins in pixels, a map each. A descriptor sees 4 bins a side, and
        half a bin beyond them.
    step : int, default=4
        Pixels from cell to cell. A side of S pixels has ``S // step`` cells, which
        share it evenly.
    magnification : float, default=6.0
        The image is blurred with a standard deviation of the bin size over this. The
        descriptor of a SIFT keypoint has 3.
    root : bool, default=True
        Whether to take the square root of the l1-normalised descriptor (RootSIFT
        [2]_), whose Euclidean distances are Hellinger distances of the histograms.
    contrast_threshold : float, default=0.005
        Descriptors are 0 where the gradient's magnitude, averaged over the window,
        is lower. Its unit is the difference from black to white in one pixel.
    window : {"gaussian", "flat"}, default="gaussian"
        How pixels are weighted by their distance from the descriptor's centre.

        - "gaussian": each by the Gaussian of [1]_.
        - "flat": all pixels of a bin by the mean of the Gaussian over the bin, which is
          the fast approximation of VLFeat [3]_. Bins that neighbouring cells share are
          then computed once.

    Raises
    ------
    ValueError
        For settings out of range.

    Notes
    -----
    Entry ``(4 * i + j) * 8 + k`` of a descriptor belongs to the bin in row i and
    column j, and to the direction of 45·k degrees, from the rows' direction towards
    the columns' (clockwise, as rows are counted downwards). Each pixel counts in the
    bins and directions nearest to it, by linear interpolation, weighted by a Gaussian
    window of 2 bins' standard deviation. Descriptors are l2-normalised, clipped at
    0.2 and normalised again. Beyond its edges an image is continued by its outermost
    pixels. Bin sizes, blur and threshold are those of VLFeat's ``vl_phow`` [3]_.

    The sums over windows are products with matrices, which are exact and of one cost
    for every window. A pixel's weight in a bin falls linearly to 0 at one bin size from
    the bin's centre; the flat window has the mean of the Gaussian over these two sizes.

    References
    ----------
    .. [1] D. G. Lowe, "Distinctive image features from scale-invariant keypoints",
       International Journal of Computer Vision 60(2), 2004.
    .. [2] R. Arandjelović, A. Zisserman, "Three things everyone should know to improve
       object retrieval", CVPR 2012.
    .. [3] A. Vedaldi, B. Fulkerson, "VLFeat: an open and portable library of computer
       vision algorithms", 2008.

    Examples
    --------
    >>> import torch
    >>> from skdpnet.backbones import DenseSIFT
    >>> maps = DenseSIFT(bin_sizes=(4, 8))(torch.rand(1, 3, 64, 64))
    >>> [tuple(feature_map.shape) for feature_map in maps]
    [(1, 128, 16, 16), (1, 128, 16, 16)]
    """

    def __init__(
        self,
        *,
        bin_sizes: Sequence[float] = (4, 6, 8, 10),
        step: int = 4,
        magnification: float = 6.0,
        root: bool = True,
        contrast_threshold: float = 0.005,
        window: str = _GAUSSIAN,
    ):
        super().__init__()
        several = SequenceOf(Number(1), "numbers of at least 1")
        _check("bin_sizes", bin_sizes, several)
        _check("magnification", magnification, Number(0, above=True))
        _check("contrast_threshold", contrast_threshold, Number(0))
        _check("window", window, OneOf((_GAUSSIAN, _FLAT)))
        self.bin_sizes = tuple(float(size) for size in bin_sizes)
        self.step = check_whole("step", step, 1)
        self.magnification = float(magnification)
        self.root = bool(root)
        self.contrast_threshold = float(contrast_threshold)
        self.window = str(window)
        # A cache's key digests the module's state, but not this package's code.
        self.version = _VERSION

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the maps of a batch.

        Parameters
        ----------
        images : tensor of shape (N, 3, S, S)
            Normalised by ImageNet's mean and standard deviation, as every backbone
            module gets them.

        Returns
        -------
        tuple of float32 tensors of shape (N, 128, H, H)
            One for each bin size; ``H = S // step``.

        Raises
        ------
        ValueError
            If the images are smaller than `step`.
        """
        if min(images.shape[2:]) < self.step:
            height, width = images.shape[2:]
            raise ValueError(
                f"images of {height}×{width} pixels have no cell of step={self.step}: "
                "raise image_size, or lower step."
            )
        # Gradients are small differences, which float16 would round off.
        with torch.autocast(images.device.type, enabled=False):
            grey = _grey(images.float())
            return tuple(self._describe(grey, size) for size in self.bin_sizes)

    def _describe(self, grey: torch.Tensor, bin_size: float) -> torch.Tensor:
        """Compute the map (N, 128, H, W) of one bin size."""
        kind: Any = _FlatAxis if self.window == _FLAT else _GaussianAxis
        rows, columns = (
            kind(length, self.step, bin_size, bin_size / self.magnification, grey)
            for length in grey.shape[1:]
        )
        across = rows.smooth @ grey @ columns.differentiate.T
        down = rows.differentiate @ grey @ columns.smooth.T
        sums = rows.window @ _spread_directions(across, down) @ columns.window.T
        raw = kind.of_cells(sums, rows, columns)
        contrast = raw.sum(3) / (rows.weights[:, None] * columns.weights)
        unit = normalize(normalize(raw, dim=3).clamp_(max=_CLIP), dim=3)
        if self.root:
            unit = normalize(unit, p=1, dim=3).sqrt_()
        unit *= (contrast >= self.contrast_threshold)[..., None]
        return unit.permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """Show the settings in the module's representation."""
        return (
            f"bin_sizes={self.bin_sizes}, step={self.step}, "
            f"magnification={self.magnification}, root={self.root}, "
            f"contrast_threshold={self.contrast_threshold}, window={self.window!r}"
        )


class _Axis:
    """What dense SIFT does along the rows or the columns of an image, as matrices.

    Parameters
    ----------
    length : int
        S, the image's pixels along the axis.
    step : int
    bin_size : float
        In pixels.
    blur : float
        Standard deviation in pixels.
    like : tensor
        Has the dtype and the device of the matrices.

    Attributes
    ----------
    n_cells : int
        H.
    smooth, differentiate : tensors of shape (E, S)
        The blurred image, and its central differences, on the pixels and on those
        beyond the edges that windows reach, E in all.
    """

    def __init__(
        self, length: int, step: int, bin_size: float, blur: float, like: torch.Tensor
    ):
        self.n_cells = length // step
        self._cell_size = length / self.n_cells
        margin = math.ceil((_N_BINS + 1) / 2 * bin_size)
        places = torch.arange(
            -margin - 1, length + margin + 1, dtype=like.dtype, device=like.device
        )
        smooth = _blur(places, margin + 1, length, blur)
        self.smooth = smooth[1:-1]
        self.differentiate = (smooth[2:] - smooth[:-2]) / 2
        self._places = places[1:-1]


class _GaussianAxis(_Axis):
    """An axis with the Gaussian window, which gives every cell bins of its own.

    Attributes
    ----------
    window : tensor of shape (H·4, E)
        Weights of the pixels in each bin of each cell.
    weights : tensor of shape (H,)
        Sum of these weights for each cell.
    """

    def __init__(
        self, length: int, step: int, bin_size: float, blur: float, like: torch.Tensor
    ):
        super().__init__(length, step, bin_size, blur, like)
        places = self._places
        cells = torch.arange(self.n_cells, dtype=places.dtype, device=places.device)
        bins = torch.arange(_N_BINS, dtype=places.dtype, device=places.device)
        centres = (cells + 0.5) * self._cell_size - 0.5
        from_centres = (places - centres[:, None]) / bin_size
        offsets = bins - (_N_BINS - 1) / 2
        from_bins = from_centres[:, None] - offsets[:, None]
        gaussian = torch.exp(-((from_centres / _WINDOW_SIGMA) ** 2) / 2)
        window = (1 - from_bins.abs()).clamp_(min=0) * gaussian[:, None]
        self.window = window.flatten(0, 1)
        self.weights = self.window.view(self.n_cells, -1).sum(1)

    @staticmethod
    def of_cells(
        sums: torch.Tensor, rows: _GaussianAxis, columns: _GaussianAxis
    ) -> torch.Tensor:
        """Order sums (N, 8, H·4, W·4) over bins as descriptors (N, H, W, 128)."""
        n = len(sums)
        sums = sums.view(n, _N_ORIENTATIONS, rows.n_cells, _N_BINS, -1, _N_BINS)
        return sums.permute(0, 2, 4, 3, 5, 1).flatten(3)


class _FlatAxis(_Axis):
    """An axis with the flat window, whose bins neighbouring cells share.

    Attributes
    ----------
    window : tensor of shape (B, E)
        Weights of the pixels in each of the B different bins of all cells.
    bins : int tensor of shape (H, 4)
        The numbers of each cell's bins.
    of_bins : tensor of shape (4,)
        The mean of the Gaussian over each of a cell's bins.
    weights : tensor of shape (H,)
        Sum of the pixels' weights for each cell.
    """

    def __init__(
        self, length: int, step: int, bin_size: float, blur: float, like: torch.Tensor
    ):
        super().__init__(length, step, bin_size, blur, like)
        offsets = np.arange(_N_BINS) - (_N_BINS - 1) / 2
        cells = (np.arange(self.n_cells) + 0.5) * self._cell_size - 0.5
        centres = cells[:, None] + bin_size * offsets
        # Rounded, so that sums that differ by rounding errors are one bin.
        different, bins = np.unique(centres.round(6), return_inverse=True)
        self.window = (
            (
                self._places
                - torch.as_tensor(different, dtype=like.dtype).to(like.device)[:, None]
            )
            .div_(bin_size)
            .abs_()
            .neg_()
            .add_(1)
            .clamp_(min=0)
        )
        self.bins = torch.as_tensor(bins.reshape(centres.shape)).to(like.device)
        self.of_bins = torch.as_tensor(
            [_gaussian_mean(offset) for offset in offsets], dtype=like.dtype
        ).to(like.device)
        self.weights = self.window.sum(1)[self.bins] @ self.of_bins

    @staticmethod
    def of_cells(
        sums: torch.Tensor, rows: _FlatAxis, columns: _FlatAxis
    ) -> torch.Tensor:
        """Gather sums (N, 8, B, B') over bins as descriptors (N, H, W, 128)."""
        n_columns = len(columns.window)
        numbers = rows.bins[:, None, :, None] * n_columns + columns.bins[:, None]
        by_bin = sums.flatten(2).transpose(1, 2).contiguous()
        of_bins = by_bin.index_select(1, numbers.flatten())
        weights = (rows.of_bins[:, None] * columns.of_bins).flatten()
        raw = of_bins.view(-1, *numbers.shape[:2], len(weights), _N_ORIENTATIONS)
        return (raw * weights[:, None]).flatten(3)


def _gaussian_mean(offset: float) -> float:
    """Return the mean of the Gaussian over a bin at an offset, both in bin sizes."""
    scale = math.sqrt(2) * _WINDOW_SIGMA
    area = math.erf((offset + 1) / scale) - math.erf((offset - 1) / scale)
    return area * scale * math.sqrt(math.pi) / 4


def _blur(places: torch.Tensor, margin: int, length: int, sigma: float) -> torch.Tensor:
    """Weights (E, S) of pixels in the blurred image, continued beyond its edges."""
    radius = math.ceil(_BLUR_RADIUS * sigma)
    beyond = margin + radius
    pixels = torch.arange(
        -beyond, length + beyond, dtype=places.dtype, device=places.device
    )
    distances = pixels - places[:, None]
    weights = torch.exp(-((distances / sigma) ** 2) / 2) * (distances.abs() <= radius)
    weights /= weights.sum(1, keepdim=True)
    inside = weights[:, beyond : beyond + length].clone()
    inside[:, 0] += weights[:, :beyond].sum(1)
    inside[:, -1] += weights[:, beyond + length :].sum(1)
    return inside


def _grey(images: torch.Tensor) -> torch.Tensor:
    """Grey values (N, S, S) in [0, 1] of normalised images."""
    red, green, blue = (
        weight * (std * images[:, channel] + mean)
        for channel, (weight, mean, std) in enumerate(
            zip(_LUMA, IMAGENET_MEAN, IMAGENET_STD, strict=True)
        )
    )
    return red + green + blue


def _spread_directions(across: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Share gradients (N, E, E) out among the nearest two of 8 directions.

    Returns their magnitudes as a tensor of shape (N, 8, E, E).
    """
    magnitude = torch.hypot(across, down)
    turns = torch.atan2(down, across) / (2 * math.pi)
    position = torch.remainder(turns * _N_ORIENTATIONS, _N_ORIENTATIONS)[:, None]
    directions = torch.arange(
        _N_ORIENTATIONS, dtype=across.dtype, device=across.device
    ).view(-1, 1, 1)
    distance = (position - directions).abs_()
    # Direction 0 is also direction 8.
    nearness = torch.maximum(1 - distance, distance - (_N_ORIENTATIONS - 1))
    return nearness.clamp_(min=0).mul_(magnitude[:, None])


def _check(name: str, value: object, constraint: Number | OneOf | SequenceOf) -> None:
    if not constraint.accepts(value):
        raise ValueError(f"{name} must be {constraint}, got {value!r}.")
