"""How well regions agree with the true parts of the images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.metrics._validation import check_finite, check_mask
from skdpnet.utils.validation import check_whole

__all__ = [
    "part_hits",
    "part_purity",
    "pointing_game",
    "resize_boxes",
]

# PIP-Net leaves out parts whose weights in all classes are at most this.
_NO_WEIGHT = 1e-5


def pointing_game(
    boxes: ArrayLike, targets: Sequence[ArrayLike], *, tolerance: float = 0.0
) -> np.ndarray:
    """Return for each image whether a box points at one of its targets.

    A box points at a target if its centre lies in the target, on its edge, or no
    further from it than the tolerance.

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
        (left, top, right, bottom), a box for each image. An image without a box has
        four NaN, which point at nothing.
    targets : sequence of n array-likes of shape (k_i, 4)
        True boxes of each image, in the same pixels; k_i may be 0.
    tolerance : float, default=0.0
        Largest distance between a box's centre and a target, in the same pixels. See
        the notes.

    Returns
    -------
    bool ndarray of shape (n,)
        Its mean is the share of hits. For the chance level, pass boxes of
        `random_regions`: without a tolerance it is about the share of the image that
        the targets cover.

    Raises
    ------
    ValueError
        If the numbers of boxes and of images differ, or the tolerance is not a finite
        number of at least 0.

    See Also
    --------
    part_hits : Which true parts the boxes of many parts contain.
    random_regions : Boxes by chance.

    Notes
    -----
    The original [1]_ points with the maximum of a heat map, once for each category
    shown in an image, at the objects of that category. Its code [2]_ has a tolerance
    of 15 pixels of the stored image, and its score is the mean over the categories of
    the share of hits in each. For that score, pass a box and targets for each pair of
    an image and a category, ``tolerance=15``, and average as in the example. On MS COCO
    the original's targets are segments instead of boxes.

    References
    ----------
    .. [1] J. Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV
       2016, section 4.1.
    .. [2] https://github.com/jimmie33/Caffe-ExcitationBP,
       ``excitationBP/eval_coco.py``.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.metrics import pointing_game
    >>> boxes = [[0, 0, 4, 4], [0, 0, 4, 4], [6, 6, 8, 8]]
    >>> targets = [[[1, 1, 3, 3]], [[5, 5, 9, 9]], [[5, 5, 9, 9]]]
    >>> hits = pointing_game(boxes, targets)
    >>> hits
    array([ True, False,  True])
    >>> categories = np.array(["beak", "wing", "wing"])
    >>> float(np.mean([hits[categories == c].mean() for c in np.unique(categories)]))
    0.75
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if len(boxes) != len(targets):
        raise ValueError(f"{len(boxes)} boxes but targets of {len(targets)} images.")
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance must be 0 or more, got {tolerance!r}.")
    hits = np.zeros(len(boxes), dtype=bool)
    for i, (left, top, right, bottom) in enumerate(boxes):
        x, y = (left + right) / 2, (top + bottom) / 2
        true = np.asarray(targets[i], dtype=np.float64).reshape(-1, 4)
        across = np.maximum(np.maximum(true[:, 0] - x, x - true[:, 2]), 0)
        down = np.maximum(np.maximum(true[:, 1] - y, y - true[:, 3]), 0)
        # A distance that is NaN is not within the tolerance.
        hits[i] = (np.hypot(across, down) <= tolerance).any()
    return hits


def part_hits(boxes: ArrayLike, truths: ArrayLike) -> np.ndarray:
    """Return which true parts the box of each learned part contains, in each image.

    `part_purity`, `consistency` and `stability` are computed from these hits.

    Parameters
    ----------
    boxes : array-like of shape (n, P, 4)
        (left, top, right, bottom) of each part's region in each image.
    truths : array-like of shape (n, K, 2) or (n, K, 4)
        Points (x, y) or boxes of K true parts, in the same pixels; a box stands for
        its centre. All numbers of a true part that is not visible are NaN.

    Returns
    -------
    bool ndarray of shape (n, P, K)
        Whether the true part's point lies in the box or on its edge; False where the
        true part is not visible.

    Raises
    ------
    ValueError
        If the shapes do not fit, a box holds NaN, or only some numbers of a true part
        are NaN.

    See Also
    --------
    part_purity, consistency, stability : Measures on these hits.
    resize_boxes : Give all boxes the same size first.
    random_regions : Boxes by chance.

    Notes
    -----
    A larger box hits more. The papers therefore give all boxes the same size, see
    `resize_boxes`; a comparison with `random_regions` of the same sizes is fair
    without that.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.metrics import part_hits
    >>> part_hits([[[0, 0, 4, 4]]], [[[1, 3], [5, 3], [np.nan, np.nan]]])
    array([[[ True, False, False]]])
    """
    boxes = _check_boxes(boxes, 3)
    truths = np.asarray(truths, dtype=np.float64)
    if truths.ndim != 3 or truths.shape[2] not in (2, 4):
        raise ValueError(
            "truths must have the shape (n, K, 2), points, or (n, K, 4), boxes, got "
            f"{truths.shape}."
        )
    if len(boxes) != len(truths):
        raise ValueError(f"boxes of {len(boxes)} images but truths of {len(truths)}.")
    finite = np.isfinite(truths)
    unclear = np.argwhere(~finite.all(2) & ~np.isnan(truths).all(2))
    if len(unclear):
        i, k = unclear[0].tolist()
        raise ValueError(
            f"true part {k} of image {i} is {truths[i, k].tolist()}: its numbers "
            "must be finite or, where it is not visible, all be NaN."
        )
    x, y = np.moveaxis(truths.reshape(*truths.shape[:2], -1, 2).mean(2), 2, 0)
    x, y = x[:, None], y[:, None]
    left, top, right, bottom = (edge[..., None] for edge in np.moveaxis(boxes, 2, 0))
    # Comparisons with NaN are False, so what is not visible is never hit.
    return (left <= x) & (x <= right) & (top <= y) & (y <= bottom)


def part_purity(
    hits: ArrayLike,
    visible: ArrayLike,
    responses: ArrayLike,
    n_top: int = 10,
    *,
    pairs: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> np.ndarray:
    """Measure how exclusively each part stands for one true part.

    Take the images that a part responds to most and, for each true part, those of
    them in which it is visible: the share of these in which the part's box contains
    it. The purity is the largest of these shares over the true parts.

    Parameters
    ----------
    hits : bool array-like of shape (n, P, K)
        Which of the K true parts each part's box contains, see `part_hits`.
    visible : bool array-like of shape (n, K)
        Which true parts are visible in each image.
    responses : array-like of shape (n, P)
        Largest response of each part in each image.
    n_top : int, default=10
        How many images count for each part; if there are fewer, all of them do. Among
        equal responses the first images are taken.
    pairs : int array-like of shape (m, 2), default=None
        Numbers of true parts, from 0, that count as a single one, such as the left and
        the right wing. It is visible, or hit, where at least one of the two is. None:
        all true parts are separate.
    weights : array-like of shape (C, P), default=None
        Weights of the parts in the classes, such as ``coef_``. Parts whose weights are
        all within ±1e-5 are left out. None: all parts count.

    Returns
    -------
    float64 ndarray of shape (P,)
        0 for a part whose images show no true part, NaN for a part that is left out;
        the score is the mean, `numpy.nanmean` if there are weights. For the chance
        level, pass the hits of `random_regions` with the same responses. It is well
        above the share of images in which a single true part is hit, as the best of K
        counts.

    Raises
    ------
    ValueError
        If the shapes do not fit, a response or a weight is not finite, n_top is not a
        whole number of at least 1, or the pairs are not of different true parts.

    See Also
    --------
    consistency : Whether parts show the same true part in all images.

    Notes
    -----
    The code of PIP-Net [1]_ merges the left and right eyes, legs and wings of
    CUB-200-2011, which is ``pairs=[(6, 10), (7, 11), (8, 12)]``, and leaves out parts
    without a weight above 1e-5; there no weight is negative. Its boxes have 32×32 of
    224×224 pixels, see `resize_boxes`.

    References
    ----------
    .. [1] M. Nauta et al., "PIP-Net: Patch-Based Intuitive Prototypes for Interpretable
       Image Classification", CVPR 2023, and its code,
       https://github.com/M-Nauta/PIPNet, ``util/eval_cub_csv.py``.

    Examples
    --------
    >>> from skdpnet.metrics import part_purity
    >>> hits = [[[True, False]], [[False, True]], [[True, True]]]
    >>> part_purity(hits, [[True, True]] * 3, [[0.9], [0.2], [0.5]], n_top=2)
    array([1.])
    """
    hits = check_mask("hits", hits, (None, None, None))
    n, n_parts, n_true = hits.shape
    visible = check_mask("visible", visible, (n, n_true))
    responses = check_finite("responses", responses, 2)
    if responses.shape != (n, n_parts):
        raise ValueError(
            f"responses must have the shape ({n}, {n_parts}), got {responses.shape}."
        )
    n_top = check_whole("n_top", n_top, 1)
    if pairs is not None:
        hits, visible = _merge_pairs(hits, visible, pairs)
    top = np.argsort(-responses, axis=0, kind="stable")[:n_top]
    visible_in_top = visible[top]  # (n_top, P, K)
    hits_in_top = visible_in_top & hits[top, np.arange(n_parts)]
    shares = hits_in_top.sum(0) / np.maximum(1, visible_in_top.sum(0))
    purity = shares.max(axis=1, initial=0.0)
    if weights is not None:
        weights = check_finite("weights", weights, 2)
        if weights.shape[1] != n_parts:
            raise ValueError(
                f"weights must have the shape (C, {n_parts}), got {weights.shape}."
            )
        purity[(np.abs(weights) <= _NO_WEIGHT).all(axis=0)] = np.nan
    return purity


def _merge_pairs(
    hits: np.ndarray, visible: np.ndarray, pairs: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Replace each pair of true parts by one that is seen where either of them is."""
    numbers = np.asarray(pairs)
    if numbers.size == 0:
        return hits, visible
    n_true = visible.shape[1]
    if numbers.ndim != 2 or numbers.shape[1] != 2 or numbers.dtype.kind not in "iu":
        raise ValueError(
            "pairs must hold whole numbers and have the shape (m, 2), got "
            f"{numbers.dtype} of shape {numbers.shape}."
        )
    if not np.isin(numbers, np.arange(n_true)).all():
        raise ValueError(f"pairs must hold numbers from 0 to {n_true - 1}.")
    if len(np.unique(numbers)) < numbers.size:
        raise ValueError("pairs must not hold the same true part twice.")
    kept, merged = numbers.T
    hits, visible = hits & visible[:, None], visible.copy()
    hits[:, :, kept] |= hits[:, :, merged]
    visible[:, kept] |= visible[:, merged]
    return np.delete(hits, merged, axis=2), np.delete(visible, merged, axis=1)


def resize_boxes(boxes: ArrayLike, side: ArrayLike) -> np.ndarray:
    """Replace boxes by squares of a fixed size around their centres.

    For measures that larger boxes would win: the paper of `part_purity` has boxes of
    32/224 of the side of the network's square input, that of `consistency` of 72/224.

    Parameters
    ----------
    boxes : array-like of shape (..., 4)
        (left, top, right, bottom).
    side : float, or array-like that broadcasts to the boxes' leading axes
        In units of the boxes. A side for each image has the shape (n, 1).

    Returns
    -------
    float64 ndarray of shape (..., 4)
        They may extend beyond the image.

    Raises
    ------
    ValueError
        If the boxes have no last axis of length 4, are not finite or end before they
        begin, or a side is not a finite number above 0.

    See Also
    --------
    part_hits : Which true parts boxes contain.

    Examples
    --------
    >>> from skdpnet.metrics import resize_boxes
    >>> resize_boxes([[10, 10, 30, 50]], 8)
    array([[16., 26., 24., 34.]])
    """
    boxes = _check_boxes(boxes, np.ndim(boxes))
    half = np.asarray(side, dtype=np.float64) / 2
    if not np.isfinite(half).all() or (half <= 0).any():
        raise ValueError(f"side must be above 0, got {side!r}.")
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = np.broadcast_to(half, boxes.shape[:-1])[..., None]
    return np.concatenate([centres - half, centres + half], axis=-1)


def _check_boxes(values: ArrayLike, ndim: int) -> np.ndarray:
    boxes = check_finite("boxes", values, ndim)
    if ndim == 0 or boxes.shape[-1] != 4:
        raise ValueError(
            "boxes need a last axis of length 4 (left, top, right, bottom), got the "
            f"shape {boxes.shape}."
        )
    inverted = np.argwhere((boxes[..., 2:] < boxes[..., :2]).any(-1))
    if len(inverted):
        where = tuple(inverted[0].tolist())
        raise ValueError(
            f"the box {boxes[where].tolist()} at {where} ends before it begins: boxes "
            "are (left, top, right, bottom)."
        )
    return boxes
