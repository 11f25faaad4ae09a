"""Deletion and insertion: does a heat map rank the pixels that a score needs."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from PIL import Image, ImageFilter

from skdpnet.metrics._validation import finite
from skdpnet.utils.validation import check_whole

__all__ = ["area_under", "deletion_curve", "insertion_curve", "mask_pixels"]

# Standard deviation of the blur, as a share of the shorter side.
_BLUR = 0.1
# Chance is no finer than this where the heat map has fewer cells.
_LEAST_CELLS = 8

Score = Callable[[np.ndarray], ArrayLike]


def deletion_curve(
    score: Score,
    image: ArrayLike,
    heat: ArrayLike,
    *,
    n_steps: int = 10,
    blank: ArrayLike | None = None,
) -> np.ndarray:
    """Score an image whose pixels go, those first that the heat map calls important.

    Parameters
    ----------
    score : callable
        Takes images, uint8 (m, h, w, 3), and gives their m scores, such as the
        probability of the class that the heat map explains.
    image, heat, n_steps, blank
        As in `mask_pixels`, which makes the images.

    Returns
    -------
    float64 ndarray of shape (n_steps + 1,)
        From the whole image's score to that of the blank. The faster it falls the
        better: see `area_under`. By chance: that of a constant heat map of the same
        shape, ``np.zeros_like(heat)``, whose ties are broken by chance.

    Raises
    ------
    ValueError
        As in `mask_pixels`, or if `score` gives other than m finite numbers.

    References
    ----------
    V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of
    Black-box Models", BMVC 2018. There pixels go to black, ``blank=0``.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.metrics import area_under, deletion_curve
    >>> image = np.zeros((4, 4, 3), np.uint8)
    >>> image[:, :2] = 255
    >>> def brightness(images):
    ...     return images.mean(axis=(1, 2, 3)) / 255
    >>> curve = deletion_curve(brightness, image, [[1, 0]], n_steps=4, blank=0)
    >>> curve
    array([0.5 , 0.25, 0.  , 0.  , 0.  ])
    >>> area_under(curve)
    0.125
    """
    return _scores(score, mask_pixels(image, heat, n_steps, blank))


def insertion_curve(
    score: Score,
    image: ArrayLike,
    heat: ArrayLike,
    *,
    n_steps: int = 10,
    blank: ArrayLike | None = None,
) -> np.ndarray:
    """Score a blank to which pixels come, those first that the heat map calls so.

    Parameters
    ----------
    score, image, heat, n_steps, blank
        As in `deletion_curve`, which also tells the errors and what chance gives.

    Returns
    -------
    float64 ndarray of shape (n_steps + 1,)
        From the blank's score to that of the whole image. The faster it rises the
        better.

    References
    ----------
    V. Petsiuk et al., as in `deletion_curve`. There too pixels come to a blurred
    image.
    """
    return _scores(score, mask_pixels(image, heat, n_steps, blank, insertion=True))


def area_under(curve: ArrayLike) -> float:
    """Area under a curve of equal steps from 0 to 1, by the trapezoid rule.

    Parameters
    ----------
    curve : array-like of shape (n_steps + 1,)
        At least two finite numbers.

    Returns
    -------
    float
        In units of the curve.

    Examples
    --------
    >>> from skdpnet.metrics import area_under
    >>> area_under([1, 0.5, 0])
    0.5
    """
    values = finite("curve", curve, 1)
    if len(values) < 2:
        raise ValueError(f"a curve needs at least two numbers, got {len(values)}.")
    return float(np.trapezoid(values, dx=1 / (len(values) - 1)))


def mask_pixels(
    image: ArrayLike,
    heat: ArrayLike,
    n_steps: int = 10,
    blank: ArrayLike | None = None,
    insertion: bool = False,
) -> np.ndarray:
    """Make the images of a deletion or insertion curve.

    Parameters
    ----------
    image : uint8 array-like of shape (h, w, 3)
    heat : array-like of shape (H, W)
        Covers the whole of `image`, and is interpolated linearly to its pixels. An
        `Explanation`'s covers the centred square: that of
        `skdpnet.images.geometry.preprocess`.
    n_steps : int, default=10
        Each step takes the same number of pixels, but for rounding.
    blank : None, number, colour (3,) or image (h, w, 3), default=None
        What stands in place of pixels, 0 to 255. None: the image itself, blurred
        with a standard deviation of a tenth of its shorter side: its colours stay, its
        parts go, and it is nearer to natural images than one colour is.
    insertion : bool, default=False
        False: pixels go to the blank. True: they come to it.

    Returns
    -------
    uint8 ndarray of shape (n_steps + 1, h, w, 3)

    Raises
    ------
    ValueError
        If a shape or dtype is wrong, the heat map is not finite, n_steps is below 1
        or above the number of pixels, or the blank is outside 0 to 255.

    Notes
    -----
    Where heat is equal, the order is by chance, but as coarse as the heat map's cells
    are: single pixels strewn about would disturb a network more than a region of them
    does. It is always the same for an image.
    """
    pixels, heat = _image(image), finite("heat", heat, 2)
    if heat.size == 0:
        raise ValueError(f"heat has no cells: its shape is {heat.shape}.")
    height, width = pixels.shape[:2]
    n_steps = check_whole("n_steps", n_steps, 1)
    if n_steps > height * width:
        raise ValueError(f"{n_steps} steps for {height * width} pixels.")
    empty = _blurred(pixels) if blank is None else _blank(blank, pixels.shape)
    under, over = (empty, pixels) if insertion else (pixels, empty)
    taken = np.rint(np.arange(n_steps + 1) * height * width / n_steps)
    changed = _ranks(heat, pixels) < taken[:, None, None]
    return np.where(changed[..., None], over, under)


def _blurred(image: np.ndarray) -> np.ndarray:
    """Blur an RGB image until its parts are gone."""
    radius = _BLUR * min(image.shape[:2])
    blur = ImageFilter.GaussianBlur(radius)
    return np.asarray(Image.fromarray(image).filter(blur))


def _ranks(heat: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return each pixel's number (h, w) in the order of the heat, largest first."""
    shape = image.shape[:2]
    scale = np.abs(heat).max() or 1.0
    # Interpolation leaves rounding errors where heat is equal.
    level = np.round(_interpolated(heat / scale, shape), 9)
    random = np.random.default_rng(zlib.crc32(image.tobytes()))
    ties = random.random(np.maximum(heat.shape, _LEAST_CELLS))
    order = np.lexsort((_interpolated(ties, shape).ravel(), -level.ravel()))
    ranks = np.empty(order.size, np.intp)
    ranks[order] = np.arange(order.size)
    return ranks.reshape(shape)


def _interpolated(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    grid = torch.from_numpy(np.ascontiguousarray(cells))[None, None]
    # antialias, lest cells be passed over where they are smaller than pixels.
    wide = F.interpolate(grid, shape, mode="bilinear", antialias=True)
    return wide[0, 0].numpy()


def _image(image: ArrayLike) -> np.ndarray:
    pixels = np.asarray(image)
    shaped = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
    if pixels.dtype != np.uint8 or not shaped:
        raise ValueError(
            "image must be uint8 RGB of shape (h, w, 3), got "
            f"{pixels.dtype} of shape {pixels.shape}."
        )
    return pixels


def _blank(blank: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    given = np.asarray(blank, dtype=np.float64)
    if given.shape not in ((), (3,), shape):
        raise ValueError(
            f"blank must be a number, a colour (3,) or an image {shape}, got the "
            f"shape {given.shape}."
        )
    if not (0 <= given.min() and given.max() <= 255):
        raise ValueError("blank must lie between 0 and 255.")
    return np.broadcast_to(np.rint(given).astype(np.uint8), shape)


def _scores(score: Score, images: np.ndarray) -> np.ndarray:
    scores = finite("what score returned", score(images), 1)
    if len(scores) != len(images):
        raise ValueError(f"score returned {len(scores)} of {len(images)} numbers.")
    return scores
