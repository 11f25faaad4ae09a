"""Whether a part means the same in all images, and under noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skdpnet.metrics._validation import mask

__all__ = ["add_noise", "consistency", "stability"]

# Of red, green and blue, 0 to 1: what networks for ImageNet divide by.
_IMAGENET_STD = (0.229, 0.224, 0.225)


def consistency(
    hits: ArrayLike,
    visible: ArrayLike,
    *,
    active: ArrayLike | None = None,
    threshold: float = 0.8,
) -> np.ndarray:
    """Tell which parts show the same true part in most images.

    A part is consistent if there is a true part that lies in its box in at least
    `threshold` of the images in which that true part is visible.

    Parameters
    ----------
    hits : bool array-like of shape (n, P, K)
        See `part_hits`.
    visible : bool array-like of shape (n, K)
    active : bool array-like of shape (n, P), default=None
        Which images count for which part; None: all. See the notes.
    threshold : float in (0, 1], default=0.8

    Returns
    -------
    bool ndarray of shape (P,)
        Its mean is the score. False for a part that no image counts for. By chance:
        that of the hits of `random_regions`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the threshold is outside (0, 1].

    Notes
    -----
    In [1]_ a part belongs to one class, and the class's test images count:
    ``active = y[:, None] == part_classes``, with boxes of 72×72 of 224×224 pixels
    (`resize_boxes`). Parts that classes share have no class of their own. For those,
    let the images count in which a part is present, such as ``transform(X) > 0``.
    This conditions on what the model answers instead of on the truth: such scores are
    not to be put beside those of the paper.

    References
    ----------
    .. [1] Q. Huang et al., "Evaluation and Improvement of Interpretability for
       Self-Explainable Part-Prototype Networks", ICCV 2023.

    Examples
    --------
    >>> from skdpnet.metrics import consistency
    >>> hits = [[[True], [True]], [[True], [False]]]
    >>> consistency(hits, [[True], [True]])
    array([ True, False])
    """
    hits = mask("hits", hits, (None, None, None))
    n, n_parts, n_true = hits.shape
    visible = mask("visible", visible, (n, n_true))
    counts = _active(active, (n, n_parts))
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold!r}.")
    found = (hits & visible[:, None] & counts[:, :, None]).sum(0)
    seen = counts.T.astype(np.intp) @ visible.astype(np.intp)
    return ((seen > 0) & (found / np.maximum(1, seen) >= threshold)).any(1)


def stability(
    hits: ArrayLike, hits_again: ArrayLike, *, active: ArrayLike | None = None
) -> float:
    """Measure how often parts show the same true parts when images get noise.

    Parameters
    ----------
    hits : bool array-like of shape (n, P, K)
        See `part_hits`.
    hits_again : bool array-like of shape (n, P, K)
        Of the same images with noise, see `add_noise`.
    active : bool array-like of shape (n, P), default=None
        Which pairs of image and part count, as in `consistency`; None: all.

    Returns
    -------
    float
        Share of the pairs that hit the same of all K true parts. A pair that hits
        none counts as stable if it hits none again, so that boxes on the background
        are stable: see it beside `consistency`. By chance: that of two draws of
        `random_regions`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or no pair counts.

    References
    ----------
    Q. Huang et al., "Evaluation and Improvement of Interpretability for
    Self-Explainable Part-Prototype Networks", ICCV 2023. There a class's own
    parts count in its images, see `consistency`.

    Examples
    --------
    >>> from skdpnet.metrics import stability
    >>> stability([[[True, False]], [[True, True]]], [[[True, False]], [[True, False]]])
    0.5
    """
    hits = mask("hits", hits, (None, None, None))
    again = mask("hits_again", hits_again, hits.shape)
    counts = _active(active, hits.shape[:2])
    if not counts.any():
        raise ValueError("no pair of image and part counts: none is active.")
    return float((hits == again).all(2)[counts].mean())


def add_noise(
    images: ArrayLike,
    *,
    sigma: float = 0.2,
    clip: float = 0.25,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Add the noise under which `stability` is measured.

    Parameters
    ----------
    images : uint8 array-like of shape (..., h, w, 3)
        RGB.
    sigma : float, default=0.2
        Standard deviation of the normal noise, in units of the pixels' standard
        deviations over ImageNet (0.229, 0.224, 0.225 of the range): networks see it
        so, after normalisation.
    clip : float, default=0.25
        The noise is clipped to ±clip, in the same units.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    uint8 ndarray of the same shape
        Rounded, and clipped to 0 and 255.

    Raises
    ------
    ValueError
        If the images are not of that shape and dtype, or sigma or clip is negative.

    References
    ----------
    Q. Huang et al., as in `stability`, which has no rounding.
    """
    pixels = np.asarray(images)
    if pixels.dtype != np.uint8 or pixels.ndim < 3 or pixels.shape[-1] != 3:
        raise ValueError(
            "images must be uint8 RGB of shape (..., h, w, 3), got "
            f"{pixels.dtype} of shape {pixels.shape}."
        )
    for name, value in (("sigma", sigma), ("clip", clip)):
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} must be 0 or more, got {value!r}.")
    random = check_random_state(random_state)
    unit = 255 * np.array(_IMAGENET_STD)
    out = np.empty_like(pixels)
    # One image at a time: the noise of all would take eight times their memory.
    every = pixels.reshape(-1, *pixels.shape[-3:])
    for image, noisy in zip(every, out.reshape(every.shape), strict=True):
        noise = random.normal(scale=sigma, size=image.shape).clip(-clip, clip)
        noisy[:] = np.rint(image + noise * unit).clip(0, 255)
    return out


def _active(active: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape, bool) if active is None else mask("active", active, shape)
