"""Vocabularies of local descriptors: a sample, its principal axes, and visual words."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import torch
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize
from torch.nn.functional import normalize as normalise_rows

from skdpnet.regions.whitening import Whitening

__all__ = ["DescriptorSample", "learn_words", "principal_axes", "project"]

# Added to each variance before descriptors are divided by their square roots, as a
# share of the largest variance.
_REGULARISATION = 0.01
# Directions below this share of the largest variance, or below the second number, are
# rounding of the arithmetic.
_RANK_TOLERANCE = 1e-6
_TINY = 1e-12
_MAX_ITERATIONS = 100
# Arrays that a sample is kept in before they are joined.
_MOST_PIECES = 64


class DescriptorSample:
    """A sample of descriptors that come some at a time, each with the same chance.

    What is in memory does not grow with the number of descriptors.

    Parameters
    ----------
    size : int
        The most descriptors that are kept.
    random_state : RandomState
        Draws a number for each descriptor; those of the smallest numbers are kept.
    """

    def __init__(self, size: int, random_state: np.random.RandomState):
        self._size, self._random = size, random_state
        self._rows: list[np.ndarray] = []
        self._draws: list[np.ndarray] = []
        self._n_kept = 0
        self._largest = np.inf

    def add(self, descriptors: np.ndarray) -> None:
        """Show the sample some descriptors.

        Parameters
        ----------
        descriptors : ndarray of shape (m, D)
            Those that are zero are left out.
        """
        draws = self._random.random_sample(len(descriptors))
        few = np.flatnonzero(draws < self._largest)
        few = few[descriptors[few].any(axis=1)]
        self._rows.append(descriptors[few])
        self._draws.append(draws[few])
        self._n_kept += len(few)
        # Small arrays between large ones that come and go keep memory from being
        # returned to the system: 500 MB after 4,485 images.
        if self._n_kept > 2 * self._size or len(self._rows) > _MOST_PIECES:
            self._drop()

    def _drop(self) -> None:
        rows, draws = np.concatenate(self._rows), np.concatenate(self._draws)
        if len(draws) > self._size:
            # In their order, so that the sample does not depend on when this happens.
            kept = np.sort(np.argpartition(draws, self._size - 1)[: self._size])
            rows, draws = rows[kept], draws[kept]
            self._largest = draws.max()
        self._rows, self._draws, self._n_kept = [rows], [draws], len(draws)

    def descriptors(self) -> np.ndarray:
        """Return the sample, l2-normalised.

        Returns
        -------
        float32 ndarray of shape (m, D)
            At most `size` rows, in the order in which they came.

        Raises
        ------
        ValueError
            If there are none.
        """
        self._drop()
        (rows,) = self._rows
        if len(rows) == 0:
            raise ValueError(
                "all local descriptors of X are zero: its images show no contrast, so "
                "that there are no visual words to learn."
            )
        return normalize(rows.astype(np.float32))


def principal_axes(
    sample: np.ndarray, n_components: int | None, *, whiten: bool
) -> Whitening:
    """Learn the projection of descriptors to their principal axes.

    Parameters
    ----------
    sample : float32 ndarray of shape (m, D)
    n_components : int or None
        The axes that are kept, fewer where the sample spans fewer. None: nothing is
        projected or scaled.
    whiten : bool
        Whether axis i, of variance λ_i, is divided by √(λ_i + 0.01 λ_1), which gives
        the axes nearly equal variances.

    Returns
    -------
    Whitening
    """
    depth = sample.shape[1]
    if n_components is None:
        return Whitening(np.zeros(depth, np.float32), np.eye(depth, dtype=np.float32))
    mean = sample.mean(axis=0, dtype=np.float64)
    centred = sample - mean.astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / len(sample)
    kept = [max(0, depth - n_components), depth - 1]
    variances, axes = scipy.linalg.eigh(covariance, subset_by_index=kept)
    variances, axes = variances[::-1], axes[:, ::-1]
    rank = int((variances > max(_RANK_TOLERANCE * variances[0], _TINY)).sum())
    if rank == 0:
        # All descriptors are equal: they become zero, and stay so.
        return Whitening(mean.astype(np.float32), np.zeros((depth, 1), np.float32))
    variances, axes = variances[:rank], axes[:, :rank]
    # The sign of an axis is arbitrary; a fixed choice gives the same model everywhere.
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.sign(axes[largest, np.arange(rank)])
    if whiten:
        axes = axes / np.sqrt(variances + _REGULARISATION * variances[0])
    # In one layout: that of the memory decides how products are rounded.
    return Whitening(mean.astype(np.float32), np.ascontiguousarray(axes, np.float32))


def learn_words(
    sample: np.ndarray, n_words: int, random_state: np.random.RandomState
) -> np.ndarray:
    """Cluster descriptors into visual words by k-means.

    Parameters
    ----------
    sample : float32 ndarray of shape (m, K)
    n_words : int
    random_state : RandomState

    Returns
    -------
    float32 ndarray of shape (n, K)
        The clusters' centres; n is `n_words`, or the number of distinct descriptors
        where that is smaller.
    """
    n_distinct = len(np.unique(sample.round(4), axis=0))
    clustering = KMeans(
        min(n_words, n_distinct),
        n_init=1,
        max_iter=_MAX_ITERATIONS,
        random_state=random_state.randint(np.iinfo(np.int32).max),
    )
    return clustering.fit(sample).cluster_centers_.astype(np.float32)


def project(
    descriptors: torch.Tensor, whitening: Whitening, *, renormalise: bool = True
) -> torch.Tensor:
    """Project unit descriptors, and normalise them again.

    Parameters
    ----------
    descriptors : float32 tensor of shape (…, D)
    whitening : Whitening
    renormalise : bool, default=True
        Whether the projected descriptors get unit length again.

    Returns
    -------
    tensor of shape (…, K)
    """
    mean = torch.from_numpy(whitening.mean).to(descriptors.device)
    projection = torch.from_numpy(whitening.projection).to(descriptors.device)
    projected = (descriptors - mean) @ projection
    return normalise_rows(projected, dim=-1) if renormalise else projected
