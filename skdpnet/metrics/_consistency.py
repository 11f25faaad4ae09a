"""Whether a part shows the same true part in all images, and under noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from skdpnet.metrics._validation import check_mask

__all__ = ["add_noise", "consistency", "stability"]

# Standard deviations of red, green and blue over ImageNet, for a range from 0 to 1:
# the normalisation that networks for ImageNet expect divides by them.
_IMAGENET_STD = (0.229, 0.224, 0.225)


def consistency(
    hits: ArrayLike,
    visible: ArrayLike,
    *,
    active: ArrayLike | None = None,
    threshold: float = 0.8,
) -> np.ndarray:
    """Return which parts show the same true part in most images.

    A part is consistent if there is a true part that lies in its box in at least
    `threshold` of the images in which that true part is visible.

    Parameters
    ----------
    hits : bool array-like of shape (n, P, K)
        Which of the K true parts each part's box contains, see `part_hits`.
    visible : bool array-like of shape (n, K)
        Which true parts are visible in each image.
    active : bool array-like of shape (n, P), default=None
        Which images count for which part; None: all. See the notes.
    threshold : float in (0, 1], default=0.8

    Returns
    -------
    bool ndarray of shape (P,)
        Its mean is the score. A part for which no image counts is not consistent. For
        the chance level, pass the hits of `random_regions`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the threshold is outside (0, 1].

    See Also
    --------
    stability : Whether parts keep their true parts when images get noise.
    part_purity : A graded measure, on the images of largest response.

    Notes
    -----
    In [1]_ each part belongs to one class, and only that class's test images count:
    ``active = y[:, None] == part_classes``, with boxes of 72×72 of 224×224 pixels
    (`resize_boxes`). Parts that several classes share belong to none of them. For such
    parts, count the images in which a part is present, such as ``transform(X) > 0``.
    This depends on the model's output instead of the labels, so such scores cannot be
    compared with those of the paper.

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
    hits = check_mask("hits", hits, (None, None, None))
    n, n_parts, n_true = hits.shape
    visible = check_mask("visible", visible, (n, n_true))
    counts = _check_active(active, (n, n_parts))
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold!r}.")
    n_hits = (hits & visible[:, None] & counts[:, :, None]).sum(0)
    n_visible = counts.T.astype(np.intp) @ visible.astype(np.intp)
    often = n_hits / np.maximum(1, n_visible) >= threshold
    return ((n_visible > 0) & often).any(1)


def stability(
    hits: ArrayLike, hits_again: ArrayLike, *, active: ArrayLike | None = None
) -> float:
    """Measure how often parts show the same true parts after images get noise.

    A part's stability is the share of its images in which its box contains the same
    true parts with and without noise.

    Parameters
    ----------
    hits : bool array-like of shape (n, P, K)
        Which of the K true parts each part's box contains, see `part_hits`.
    hits_again : bool array-like of shape (n, P, K)
        The hits in the same images with noise, see `add_noise`.
    active : bool array-like of shape (n, P), default=None
        Which images count for which part, as in `consistency`; None: all.

    Returns
    -------
    float
        The mean of the parts' stabilities. All parts have the same weight, however
        many images count for each [1]_; a part for which no image counts is left out.
        A part without any hit in an image counts as stable if it has none again, so
        boxes on the background are stable: report it together with `consistency`. For
        the chance level, pass the hits of two draws of `random_regions`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or no image counts for any part.

    See Also
    --------
    consistency : Whether parts show the same true part in all images.

    References
    ----------
    .. [1] Q. Huang et al., "Evaluation and Improvement of Interpretability for
       Self-Explainable Part-Prototype Networks", ICCV 2023, and its code,
       https://github.com/hqhQAQ/EvalProtoPNet. There only the parts of an image's own
       class count, see `consistency`.

    Examples
    --------
    >>> from skdpnet.metrics import stability
    >>> stability([[[True, False]], [[True, True]]], [[[True, False]], [[True, False]]])
    0.5
    """
    hits = check_mask("hits", hits, (None, None, None))
    again = check_mask("hits_again", hits_again, hits.shape)
    counts = _check_active(active, hits.shape[:2])
    if not counts.any():
        raise ValueError("no pair of image and part counts: none is active.")
    n_same = ((hits == again).all(2) & counts).sum(0)
    n_images = counts.sum(0)
    has_images = n_images > 0
    return float((n_same[has_images] / n_images[has_images]).mean())


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
        deviations over ImageNet (0.229, 0.224 and 0.225 of the range), which is the
        scale of the normalised images that networks take.
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
        If the images do not have that shape and dtype, or sigma or clip is negative.

    See Also
    --------
    stability : The measure that compares the parts with and without noise.

    References
    ----------
    Q. Huang et al., as in `stability`, who do not round.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.metrics import add_noise
    >>> grey = np.full((1, 2, 3), 128, np.uint8)
    >>> noisy = add_noise(grey, random_state=0)
    >>> noisy.shape, bool(abs(noisy.astype(int) - 128).max() <= 15)
    ((1, 2, 3), True)
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
    noisy_pixels = np.empty(pixels.shape, np.uint8)
    # The noise is drawn image by image: that of all images at once would take eight
    # times their memory.
    batch = pixels.reshape(-1, *pixels.shape[-3:])
    noisy_batch = noisy_pixels.reshape(batch.shape)
    for image, noisy in zip(batch, noisy_batch, strict=True):
        noise = random.normal(scale=sigma, size=image.shape).clip(-clip, clip)
        noisy[:] = np.rint(image + noise * unit).clip(0, 255)
    return noisy_pixels


def _check_active(active: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray:
    if active is None:
        return np.ones(shape, bool)
    return check_mask("active", active, shape)
