"""Soft assignment of regions to parts, and the detectors that follow from it."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp
from sklearn.preprocessing import normalize

from skdpnet.utils.batching import slices_within

__all__ = ["PIECE_BYTES", "anneal", "soft_assign"]

# A round is the last when it changes at most this share of the assignments.
_LEAST_CHANGE = 1e-3
# Normalisations by factors between two computations of exponentials.
_STEPS_BY_FACTORS = 10
# Responses, or region descriptors, of some images take at most this many bytes.
PIECE_BYTES = 128 * 2**20


def soft_assign(
    scores: np.ndarray, beta: float, *, n_iter: int = 50, tol: float = 1e-3
) -> np.ndarray:
    """Assign regions to parts softly, in each image separately.

    Rows and columns of ``exp(β C)`` are normalised alternately (Sinkhorn) [1]_. A slack
    row is added, to which the regions of no part are assigned. The limit is the
    assignment M that maximises ``β Σ M C`` plus the entropy of M and of the slack,
    among all assignments that obey the constraints. For β → ∞ it is the best one-to-one
    assignment, for β → 0 the uniform one.

    Parameters
    ----------
    scores : ndarray of shape (n, P, R)
        C: how well each of R regions of each of n images matches each of P parts.
    beta : float > 0
        Inverse temperature, in the inverse unit of the scores.
    n_iter : int, default=50
        Maximal number of normalisations of rows and columns. They converge more slowly
        for a larger β, and where more parts compete for the same regions.
    tol : float, default=1e-3
        The normalisations end when the sum of each column differs from 1 by at most
        this much.

    Returns
    -------
    float64 ndarray of shape (n, P, R), within [0, 1]
        M. The assignments of each part sum to 1, and those of each region to at most 1
        (up to `tol`, if `n_iter` is large enough). If there are fewer regions than
        parts, the roles are exchanged: the assignments of each region sum to 1, and
        those of each part to at most 1.

    References
    ----------
    .. [1] R. Sicre, J. Rabin, Y. Avrithis, T. Furon, F. Jurie, E. Kijak, "Automatic
       discovery of discriminative parts as a quadratic assignment problem", 2016,
       arXiv:1611.04413.

    Examples
    --------
    >>> import numpy as np
    >>> from skdpnet.parts.soft_assign.sinkhorn import soft_assign
    >>> scores = np.array([[[0.9, 0.5, 0.1], [0.9, 0.2, 0.0]]])
    >>> soft_assign(scores, beta=100.0, n_iter=1_000).round(1)
    array([[[0., 1., 0.],
            [1., 0., 0.]]])
    """
    n_parts, n_regions = scores.shape[1:]
    if n_regions < n_parts:
        transposed = soft_assign(scores.swapaxes(1, 2), beta, n_iter=n_iter, tol=tol)
        return transposed.swapaxes(1, 2)
    logits = beta * np.asarray(scores, np.float64)
    sums = np.ones((n_parts, 1))
    if n_regions > n_parts:
        # The slack row. Its logits may have any value, the same for all regions,
        # because normalisation gives the row its sum.
        logits = np.pad(logits, ((0, 0), (0, 1), (0, 0)))
        sums = np.append(sums, [[n_regions - n_parts]], axis=0)
    # The factors of rows and columns are kept as logarithms, because for a large β the
    # factors themselves overflow, and an entry that underflows would stay zero. After
    # these two steps all sums of rows and columns stay above 1/R, so that their
    # logarithms are finite, and a few normalisations change no factor by much: only
    # every tenth needs exponentials, which cost more than the sums.
    rows = np.log(sums) - logsumexp(logits, axis=2, keepdims=True)
    columns = -logsumexp(logits + rows, axis=1, keepdims=True)
    for done in range(n_iter):
        if done % _STEPS_BY_FACTORS == 0:
            kernel = np.exp(logits + rows + columns)
            column_factors = np.ones_like(columns)
        row_factors = sums / (kernel @ column_factors.swapaxes(1, 2))
        totals = row_factors.swapaxes(1, 2) @ kernel
        converged = np.abs(totals * column_factors - 1).max(initial=0) <= tol
        if converged or done == n_iter - 1:
            break
        column_factors = 1 / totals
        if (done + 1) % _STEPS_BY_FACTORS == 0:
            rows += np.log(row_factors)
            columns += np.log(column_factors)
    assigned = row_factors * kernel * column_factors
    return assigned[:, :n_parts]


def anneal(
    regions: np.ndarray, detectors: np.ndarray, betas: np.ndarray
) -> tuple[np.ndarray, int]:
    """Refine the detectors of a class by alternating assignments and averages.

    Parameters
    ----------
    regions : float32 ndarray of shape (n, R, K)
        Region descriptors of length 1, or 0, of the images of the class.
    detectors : float32 ndarray of shape (q, K)
        Unit rows.
    betas : ndarray
        β of the assignment in each round.

    Returns
    -------
    detectors : float32 ndarray of shape (q, K)
        Unit rows.
    n_rounds : int
        Number of rounds until the assignments hardly changed, at most ``len(betas)``.
    """
    n_images, n_regions, _ = regions.shape
    assigned = np.zeros((n_images, len(detectors), n_regions), np.float32)
    n_rounds = 0
    for beta in betas:
        n_rounds += 1
        sums = np.zeros_like(detectors)
        change = 0.0
        for images in slices_within(n_images, 4 * regions[0].size, PIECE_BYTES):
            scores = detectors @ regions[images].swapaxes(1, 2)
            shares = soft_assign(scores, beta).astype(np.float32)
            change += float(np.abs(shares - assigned[images]).sum()) / 2
            assigned[images] = shares
            sums += (shares @ regions[images]).sum(axis=0)
        mass = assigned.sum(axis=(0, 2))
        # If the assigned regions cancel, or if there are none, the detector stays.
        has_direction = np.linalg.norm(sums, axis=1) > 1e-6 * mass
        detectors = np.where(has_direction[:, None], normalize(sums), detectors)
        if change <= _LEAST_CHANGE * mass.sum():
            break
    return detectors, n_rounds
