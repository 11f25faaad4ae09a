"""Deletion and insertion: whether a heat map ranks the pixels that a score needs."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from PIL import Image, ImageFilter

from skdpnet.metrics._validation import check_finite
from skdpnet.utils.validation import check_whole

__all__ = ["area_under", "deletion_curve", "insertion_curve", "mask_pixels"]

# Mean of red, green and blue over ImageNet, for a range from 0 to 1. Networks for
# ImageNet subtract it: this colour is the zero of their input.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
# Standard deviation of the blur, as a share of the image's shorter side.
_BLUR = 0.1
# Fewest cells along each side of the random field that orders pixels of equal heat.
_MIN_CELLS = 8

Score = Callable[[np.ndarray], ArrayLike]


def deletion_curve(
    score: Score,
    image: ArrayLike,
    heat: ArrayLike,
    *,
    n_steps: int = 10,
    blank: ArrayLike | None = None,
) -> np.ndarray:
    """Score an image as its pixels are removed, the most important ones first.

    Parameters
    ----------
    score : callable
        Takes images, uint8 of shape (m, h, w, 3), and returns their m scores, such as
        the probabilities of the class that the heat map explains.
    image, heat, n_steps, blank
        As in `mask_pixels`, which makes the images.

    Returns
    -------
    float64 ndarray of shape (n_steps + 1,)
        From the score of the whole image to that of the blank. The faster it falls,
        the better the heat map: see `area_under`. For the chance level, pass a
        constant heat map of the same shape, ``np.zeros_like(heat)``, whose ties are
        broken at random.

    Raises
    ------
    ValueError
        As in `mask_pixels`, or if `score` does not return m finite numbers.

    See Also
    --------
    insertion_curve : The same, from the blank to the image.
    area_under : The curve as one number.

    References
    ----------
    V. Petsiuk, A. Das, K. Saenko, "RISE: Randomized Input Sampling for Explanation of
    Black-box Models", BMVC 2018, and its code, https://github.com/eclique/RISE. There,
    too, removed pixels get the mean colour of ImageNet: the code sets them to zero
    after normalisation. Its evaluation takes 28 steps.

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
    """Score a blank as an image's pixels are added, the most important ones first.

    Parameters
    ----------
    score, image, heat, n_steps, blank
        As in `deletion_curve`.

    Returns
    -------
    float64 ndarray of shape (n_steps + 1,)
        From the score of the blank to that of the whole image. The faster it rises,
        the better the heat map. The chance level is found as for `deletion_curve`.

    Raises
    ------
    ValueError
        As in `deletion_curve`.

    See Also
    --------
    deletion_curve : The same, from the image to the blank.
    area_under : The curve as one number.

    References
    ----------
    V. Petsiuk et al., as in `deletion_curve`. There, too, insertion starts from a
    blurred image, but its blur is weaker: a normal distribution with a standard
    deviation of 5 pixels, cut off to 11×11 pixels, for images of 224×224 pixels. Pass
    an image as the blank for another blur.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.metrics import insertion_curve
    >>> image = np.zeros((4, 4, 3), np.uint8)
    >>> image[:, :2] = 255
    >>> def brightness(images):
    ...     return images.mean(axis=(1, 2, 3)) / 255
    >>> insertion_curve(brightness, image, [[1, 0]], n_steps=4, blank=0)
    array([0.  , 0.25, 0.5 , 0.5 , 0.5 ])
    """
    return _scores(score, mask_pixels(image, heat, n_steps, blank, insertion=True))


def area_under(curve: ArrayLike) -> float:
    """Compute the area under a curve by the trapezoid rule.

    Parameters
    ----------
    curve : array-like of shape (n_steps + 1,)
        At least two finite numbers: values at equal steps from 0 to 1.

    Returns
    -------
    float
        In units of the curve.

    Raises
    ------
    ValueError
        If there are fewer than two numbers, or one is not finite.

    See Also
    --------
    deletion_curve, insertion_curve : The curves that this is meant for.

    Examples
    --------
    >>> from skdpnet.metrics import area_under
    >>> area_under([1, 0.5, 0])
    0.5
    """
    values = check_finite("curve", curve, 1)
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
        RGB.
    heat : array-like of shape (H, W)
        A heat map that covers the whole of `image`; it is interpolated linearly to
        the pixels. That of an `Explanation` covers what the network sees of the image,
        which `skdpnet.images.geometry.preprocess` returns.
    n_steps : int, default=10
        Each step replaces the same number of pixels, up to rounding.
    blank : {"imagenet_mean", "blur"}, number, colour (3,) or image (h, w, 3), \
            default=None
        What replaces the pixels, from 0 to 255, or what the pixels of the image replace
        for `insertion`.

        - "imagenet_mean": the mean colour of ImageNet, (124, 116, 104), which networks
          for ImageNet see as zero. For a network with another normalisation, pass its
          mean.
        - "blur": the image itself, blurred with a standard deviation of a tenth of its
          shorter side. This keeps the colours, removes the parts, and resembles natural
          images more than a single colour does.
        - None: as in RISE, "imagenet_mean" for deletion and "blur" for insertion.
    insertion : bool, default=False
        False: pixels of the image give way to the blank. True: pixels of the blank
        give way to the image.

    Returns
    -------
    uint8 ndarray of shape (n_steps + 1, h, w, 3)
        From the whole image to the blank, or the reverse for `insertion`.

    Raises
    ------
    ValueError
        If a shape or dtype is wrong, the heat map is not finite, n_steps is below 1
        or above the number of pixels, the blank is outside 0 to 255, or there is no
        blank of that name.

    See Also
    --------
    deletion_curve, insertion_curve : The scores of these images.

    Notes
    -----
    Pixels of equal heat are replaced in random order, in patches about as large as the
    heat map's cells: scattered single pixels would disturb a network more than
    connected regions do. The order is always the same for the same image.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.metrics import mask_pixels
    >>> image = np.full((2, 2, 3), 9, np.uint8)
    >>> mask_pixels(image, [[4, 3], [2, 1]], n_steps=2, blank=0)[..., 0]
    array([[[9, 9],
            [9, 9]],
    <BLANKLINE>
           [[0, 0],
            [9, 9]],
    <BLANKLINE>
           [[0, 0],
            [0, 0]]], dtype=uint8)
    """
    pixels, heat = _check_image(image), check_finite("heat", heat, 2)
    if heat.size == 0:
        raise ValueError(f"heat has no cells: its shape is {heat.shape}.")
    height, width = pixels.shape[:2]
    n_steps = check_whole("n_steps", n_steps, 1)
    if n_steps > height * width:
        raise ValueError(f"{n_steps} steps for {height * width} pixels.")
    if blank is None:
        blank = "blur" if insertion else "imagenet_mean"
    replacement = _make_blank(blank, pixels)
    before, after = (replacement, pixels) if insertion else (pixels, replacement)
    n_replaced = np.rint(np.arange(n_steps + 1) * height * width / n_steps)
    replaced = _ranks(heat, pixels) < n_replaced[:, None, None]
    return np.where(replaced[..., None], after, before)


def _blurred(image: np.ndarray) -> np.ndarray:
    """Blur an RGB image until its parts are gone."""
    radius = _BLUR * min(image.shape[:2])
    blur = ImageFilter.GaussianBlur(radius)
    return np.asarray(Image.fromarray(image).filter(blur))


def _ranks(heat: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return each pixel's rank (h, w) by its heat; the largest heat has rank 0."""
    shape = image.shape[:2]
    scale = np.abs(heat).max() or 1.0
    # Interpolation leaves rounding errors where heat is equal.
    level = np.round(_interpolated(heat / scale, shape), 9)
    random = np.random.default_rng(zlib.crc32(image.tobytes()))
    tie_breakers = random.random(np.maximum(heat.shape, _MIN_CELLS))
    order = np.lexsort((_interpolated(tie_breakers, shape).ravel(), -level.ravel()))
    ranks = np.empty(order.size, np.intp)
    ranks[order] = np.arange(order.size)
    return ranks.reshape(shape)


def _interpolated(cells: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resize a map of cells to an image's pixels."""
    grid = torch.from_numpy(np.ascontiguousarray(cells))[None, None]
    # Without antialiasing, cells that are smaller than pixels would be skipped.
    resized = F.interpolate(grid, shape, mode="bilinear", antialias=True)
    return resized[0, 0].numpy()


def _check_image(image: ArrayLike) -> np.ndarray:
    pixels = np.asarray(image)
    is_rgb = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0
    if pixels.dtype != np.uint8 or not is_rgb:
        raise ValueError(
            "image must be uint8 RGB of shape (h, w, 3), got "
            f"{pixels.dtype} of shape {pixels.shape}."
        )
    return pixels


def _make_blank(blank: ArrayLike, image: np.ndarray) -> np.ndarray:
    """Return the blank as an image (h, w, 3)."""
    if isinstance(blank, str):
        if blank == "blur":
            return _blurred(image)
        if blank != "imagenet_mean":
            raise ValueError(f"no blank {blank!r}: there are 'imagenet_mean', 'blur'.")
        blank = 255 * np.array(_IMAGENET_MEAN)
    values = np.asarray(blank, dtype=np.float64)
    if values.shape not in ((), (3,), image.shape):
        raise ValueError(
            f"blank must be a number, a colour (3,) or an image {image.shape}, got the "
            f"shape {values.shape}."
        )
    if not (0 <= values.min() and values.max() <= 255):
        raise ValueError("blank must lie between 0 and 255.")
    return np.broadcast_to(np.rint(values).astype(np.uint8), image.shape)


def _scores(score: Score, images: np.ndarray) -> np.ndarray:
    scores = check_finite("what score returned", score(images), 1)
    if len(scores) != len(images):
        raise ValueError(
            f"score returned {len(scores)} numbers for {len(images)} images."
        )
    return scores
