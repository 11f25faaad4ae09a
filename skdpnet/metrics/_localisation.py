"""How well regions agree with known parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from skdpnet.metrics._validation import finite, mask
from skdpnet.utils.validation import check_whole

__all__ = [
    "resize_boxes",
    "part_hits",
    "part_purity",
    "pointing_game",
]


def pointing_game(boxes: ArrayLike, targets: Sequence[ArrayLike]) -> np.ndarray:
    """Tell for each image whether a box points at one of its targets.

    A box points at a target in which its centre lies.

    Parameters
    ----------
    boxes : array-like of shape (n, 4)
        (left, top, right, bottom), one an image.
    targets : sequence of n array-likes of shape (k_i, 4)
        True boxes of each image, in the same pixels; there may be none.

    Returns
    -------
    bool ndarray of shape (n,)
        Its mean is the pointing game's score. By chance: that of `random_regions`,
        about the share of the image that the targets cover.

    Raises
    ------
    ValueError
        If the numbers of boxes and of images differ.

    References
    ----------
    J. Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016,
    section 4.1.

    Examples
    --------
    >>> from skdpnet.metrics import pointing_game
    >>> pointing_game([[0, 0, 4, 4], [0, 0, 4, 4]], [[[1, 1, 3, 3]], [[5, 5, 9, 9]]])
    array([ True, False])
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if len(boxes) != len(targets):
        raise ValueError(f"{len(boxes)} boxes but targets of {len(targets)} images.")
    hits = np.zeros(len(boxes), dtype=bool)
    for i, (left, top, right, bottom) in enumerate(boxes):
        x, y = (left + right) / 2, (top + bottom) / 2
        true = np.asarray(targets[i], dtype=np.float64).reshape(-1, 4)
        across = (true[:, 0] <= x) & (x <= true[:, 2])
        hits[i] = (across & (true[:, 1] <= y) & (y <= true[:, 3])).any()
    return hits


def part_hits(boxes: ArrayLike, truths: ArrayLike) -> np.ndarray:
    """Tell which known parts lie in the box of which part, in each image.

    The base of `part_purity`, `consistency` and `stability`.

    Parameters
    ----------
    boxes : array-like of shape (n, P, 4)
        (left, top, right, bottom) of each part's region in each image.
    truths : array-like of shape (n, K, 2) or (n, K, 4)
        Points (x, y) or boxes of K true parts, in the same pixels; of a box its
        centre counts. NaN in all numbers of a true part that is not visible.

    Returns
    -------
    bool ndarray of shape (n, P, K)
        Whether the true part's point is in the box, edges included; False where it
        is not visible.

    Raises
    ------
    ValueError
        If the shapes do not fit, a box has NaN or a true part has some.

    Notes
    -----
    A larger box hits more. The papers therefore give all boxes one size, see
    `resize_boxes`; the comparison with `random_regions` of the same sizes needs none.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.metrics import part_hits
    >>> part_hits([[[0, 0, 4, 4]]], [[[1, 3], [5, 3], [np.nan, np.nan]]])
    array([[[ True, False, False]]])
    """
    boxes = _boxes(boxes, 3)
    truths = np.asarray(truths, dtype=np.float64)
    if truths.ndim != 3 or truths.shape[2] not in (2, 4):
        raise ValueError(
            "truths must have the shape (n, K, 2), points, or (n, K, 4), boxes, got "
            f"{truths.shape}."
        )
    if len(boxes) != len(truths):
        raise ValueError(f"boxes of {len(boxes)} images but truths of {len(truths)}.")
    known = np.isfinite(truths)
    unclear = np.argwhere(~known.all(2) & ~np.isnan(truths).all(2))
    if len(unclear):
        i, k = unclear[0].tolist()
        raise ValueError(
            f"true part {k} of image {i} is {truths[i, k].tolist()}: its numbers "
            "must be finite or, where it is not visible, all be NaN."
        )
    x, y = np.moveaxis(truths.reshape(*truths.shape[:2], -1, 2).mean(2), 2, 0)
    x, y = x[:, None], y[:, None]
    left, top, right, bottom = (edge[..., None] for edge in np.moveaxis(boxes, 2, 0))
    # Comparisons with NaN are False.
    return (left <= x) & (x <= right) & (top <= y) & (y <= bottom)


def part_purity(
    hits: ArrayLike, visible: ArrayLike, responses: ArrayLike, n_top: int = 10
) -> np.ndarray:
    """Measure how far each part means one true part.

    Of the images that a part responds to most, the share in which a true part is
    in its box, of those in which that true part is visible; for the true part of
    which it is largest.

    Parameters
    ----------
    hits : bool array-like of shape (n, P, K)
        See `part_hits`.
    visible : bool array-like of shape (n, K)
    responses : array-like of shape (n, P)
        Largest response of each part in each image.
    n_top : int, default=10
        How many images of each part count; all, where there are fewer. Of equal
        responses, the first images'.

    Returns
    -------
    float64 ndarray of shape (P,)
        0 where the images of a part show no true part. By chance: that of the same
        responses with the hits of `random_regions`. It is well above the share of one
        true part's hits, as the best of K counts.

    Raises
    ------
    ValueError
        If the shapes do not fit, or n_top is no number above 0.

    References
    ----------
    M. Nauta et al., "PIP-Net: Patch-Based Intuitive Prototypes for Interpretable Image
    Classification", CVPR 2023. There boxes have 32×32 of 224×224 pixels, see
    `resize_boxes`.

    Examples
    --------
    >>> from skdpnet.metrics import part_purity
    >>> hits = [[[True, False]], [[False, True]], [[True, True]]]
    >>> part_purity(hits, [[True, True]] * 3, [[0.9], [0.2], [0.5]], n_top=2)
    array([1.])
    """
    hits = mask("hits", hits, (None, None, None))
    n, n_parts, n_true = hits.shape
    visible = mask("visible", visible, (n, n_true))
    responses = finite("responses", responses, 2)
    if responses.shape != (n, n_parts):
        raise ValueError(
            f"responses must have the shape ({n}, {n_parts}), got {responses.shape}."
        )
    n_top = check_whole("n_top", n_top, 1)
    top = np.argsort(-responses, axis=0, kind="stable")[:n_top]
    seen = visible[top]  # (n_top, P, K)
    found = seen & hits[top, np.arange(n_parts)]
    return (found.sum(0) / np.maximum(1, seen.sum(0))).max(axis=1, initial=0.0)


def resize_boxes(boxes: ArrayLike, side: ArrayLike) -> np.ndarray:
    """Give boxes one size, around their centres.

    For measures that larger boxes would win: `part_purity` in its paper has boxes of
    32/224, `consistency` of 72/224 of the network's square.

    Parameters
    ----------
    boxes : array-like of shape (..., 4)
        (left, top, right, bottom).
    side : float, or array-like that broadcasts to the boxes' leading axes
        In units of the boxes; one number an image has the shape (n, 1).

    Returns
    -------
    float64 ndarray of shape (..., 4)
        They may reach over the image's edges.

    Examples
    --------
    >>> from skdpnet.metrics import resize_boxes
    >>> resize_boxes([[10, 10, 30, 50]], 8)
    array([[16., 26., 24., 34.]])
    """
    boxes = _boxes(boxes, np.ndim(boxes))
    half = np.asarray(side, dtype=np.float64) / 2
    if not np.isfinite(half).all() or (half <= 0).any():
        raise ValueError(f"side must be above 0, got {side!r}.")
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    half = np.broadcast_to(half, boxes.shape[:-1])[..., None]
    return np.concatenate([centres - half, centres + half], axis=-1)


def _boxes(values: ArrayLike, ndim: int) -> np.ndarray:
    boxes = finite("boxes", values, ndim)
    if ndim == 0 or boxes.shape[-1] != 4:
        raise ValueError(
            "boxes need a last axis of length 4 (left, top, right, bottom), got the "
            f"shape {boxes.shape}."
        )
    inside_out = np.argwhere((boxes[..., 2:] < boxes[..., :2]).any(-1))
    if len(inside_out):
        where = tuple(inside_out[0].tolist())
        raise ValueError(
            f"the box {boxes[where].tolist()} at {where} ends before it begins: boxes "
            "are (left, top, right, bottom)."
        )
    return boxes
