"""Linear classifiers that use few parts: the group lasso and its path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigvalsh

__all__ = [
    "GroupLasso",
    "group_lasso_path",
    "kkt_residual",
    "largest_penalty",
    "solve_group_lasso",
]

# Convergence is looked at once in so many steps.
_STEPS_PER_CHECK = 10


@dataclass(frozen=True)
class GroupLasso:
    """A linear classifier, each class against the rest, in which a part is a group.

    Parameters
    ----------
    weights : float64 ndarray of shape (P * Q, C)
        The group of a part has all weights of its Q numbers, which are adjacent rows.
    intercepts : float64 ndarray of shape (C,)
    group_size : int
        Q.
    """

    weights: np.ndarray
    intercepts: np.ndarray
    group_size: int = 1

    @property
    def norms(self) -> np.ndarray:
        """The norm of the weights of each part, float64 ndarray (P,)."""
        return _norms(self.weights, self.group_size)

    def objective(self, values: np.ndarray, signs: np.ndarray, penalty: float) -> float:
        """Return what `solve_group_lasso` minimises.

        Parameters
        ----------
        values, signs, penalty
            As in `solve_group_lasso`.

        Returns
        -------
        float
        """
        excess = _excess(values @ self.weights + self.intercepts, signs)
        loss = float((excess**2).sum()) / (2 * len(values))
        return loss + penalty * float(self.norms.sum())


def solve_group_lasso(
    values: np.ndarray,
    signs: np.ndarray,
    penalty: float,
    group_size: int = 1,
    *,
    start: GroupLasso | None = None,
    tolerance: float = 1e-4,
    max_iterations: int = 5_000,
) -> GroupLasso:
    """Fit a linear classifier that uses few parts.

    It minimises ``1/(2n) Σ_i Σ_c max(0, 1 - s_ic f_ic)² + λ Σ_p ‖u_p‖``, where f are
    the scores, u_p all weights of part p, and the intercepts are free. With a large λ
    most u_p are exactly zero. The squared hinge is smooth, unlike the hinge, so that a
    gradient method converges to a minimum that can be verified.

    The method is the accelerated proximal gradient (FISTA, [1]_), begun anew where it
    does not descend [2]_, on a working set of parts. Those whose gradient is longer
    than λ are added until there are none.

    Parameters
    ----------
    values : float64 ndarray of shape (n, P * Q)
        Q adjacent numbers of each part.
    signs : float64 ndarray of shape (n, C)
        1 for the class of an image, −1 for the others.
    penalty : float > 0
        λ.
    group_size : int, default=1
        Q.
    start : GroupLasso, optional
        The solution for a similar λ.
    tolerance : float > 0, default=1e-4
        The `kkt_residual` of the result is at most this share of λ, unless
        `max_iterations` ended a fit.
    max_iterations : int, default=5000
        Steps on each working set.

    Returns
    -------
    GroupLasso

    References
    ----------
    .. [1] A. Beck, M. Teboulle, "A fast iterative shrinkage-thresholding algorithm for
       linear inverse problems", SIAM Journal on Imaging Sciences 2(1), 2009.
    .. [2] B. O'Donoghue, E. Candès, "Adaptive restart for accelerated gradient
       schemes", Foundations of Computational Mathematics 15(3), 2015.
    """
    model = _without_parts(values, signs, group_size) if start is None else start
    working, is_solved = model.norms > 0, False
    while True:
        lengths = _norms(_gradients(values, signs, model)[0], group_size)
        enters = ~working & (lengths > penalty * (1 + tolerance))
        if is_solved and not enters.any():
            return model
        working |= enters
        rows = np.repeat(working, group_size)
        solved = _descend(
            values[:, rows],
            signs,
            penalty,
            replace(model, weights=model.weights[rows]),
            tolerance,
            max_iterations,
        )
        weights = np.zeros_like(model.weights)
        weights[rows] = solved.weights
        model, is_solved = replace(solved, weights=weights), True


def largest_penalty(
    values: np.ndarray, signs: np.ndarray, group_size: int = 1
) -> float:
    """Return the least λ at which `solve_group_lasso` uses no part.

    Parameters
    ----------
    values, signs, group_size
        As in `solve_group_lasso`.

    Returns
    -------
    float
        The length of the longest gradient of a part's weights, where all are zero and
        the intercepts are the best ones.
    """
    model = _without_parts(values, signs, group_size)
    return float(_norms(_gradients(values, signs, model)[0], group_size).max())


def group_lasso_path(
    values: np.ndarray,
    signs: np.ndarray,
    group_size: int = 1,
    *,
    ratio: float = 0.85,
    least_share: float = 1e-3,
    tolerance: float = 1e-3,
) -> Iterator[tuple[float, GroupLasso]]:
    """Solve the group lasso for smaller and smaller λ, each from the one before.

    Parameters
    ----------
    values, signs, group_size
        As in `solve_group_lasso`.
    ratio : float in (0, 1), default=0.85
        From a λ to the next.
    least_share : float in (0, 1), default=1e-3
        The path ends before this share of `largest_penalty`.
    tolerance : float > 0, default=1e-3
        As in `solve_group_lasso`.

    Yields
    ------
    penalty : float
        λ; the first is `largest_penalty` times `ratio`.
    model : GroupLasso
    """
    largest = largest_penalty(values, signs, group_size)
    model, share = _without_parts(values, signs, group_size), ratio
    while largest > 0 and share >= least_share:
        penalty = largest * share
        model = solve_group_lasso(
            values, signs, penalty, group_size, start=model, tolerance=tolerance
        )
        yield penalty, model
        share *= ratio


def kkt_residual(
    values: np.ndarray, signs: np.ndarray, penalty: float, model: GroupLasso
) -> float:
    """Return how far a classifier is from the minimum of `solve_group_lasso`.

    Parameters
    ----------
    values, signs, penalty
        As in `solve_group_lasso`.
    model : GroupLasso

    Returns
    -------
    float
        The largest violation of the conditions of Karush, Kuhn and Tucker, which is 0
        at the minimum only: the gradient of the loss is ``-λ u_p / ‖u_p‖`` for parts in
        use, and at most λ long for the others; that of the intercepts is zero.
    """
    gradient, of_intercepts = _gradients(values, signs, model)
    size = model.group_size
    norms = np.repeat(model.norms, size)[:, None]
    toward_zero = gradient + penalty * model.weights / np.where(norms > 0, norms, 1.0)
    violation = np.where(
        model.norms > 0,
        _norms(toward_zero, size),
        np.maximum(0.0, _norms(gradient, size) - penalty),
    )
    return float(max(violation.max(initial=0.0), np.abs(of_intercepts).max()))


def _without_parts(
    values: np.ndarray, signs: np.ndarray, group_size: int
) -> GroupLasso:
    """Return the best classifier of intercepts alone.

    They are within [-1, 1], where the loss is that of least squares.
    """
    weights = np.zeros((values.shape[1], signs.shape[1]))
    return GroupLasso(weights, signs.mean(axis=0), group_size)


def _norms(weights: np.ndarray, group_size: int) -> np.ndarray:
    """Return the norm of each group (P,), of rows (P * Q, C)."""
    return np.linalg.norm(weights.reshape(-1, group_size * weights.shape[1]), axis=1)


def _excess(scores: np.ndarray, signs: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - signs * scores)


def _gradients(
    values: np.ndarray, signs: np.ndarray, model: GroupLasso
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of the loss, (P, C) and (C,)."""
    scores = values @ model.weights + model.intercepts
    of_scores = -signs * _excess(scores, signs) / len(values)
    return values.T @ of_scores, of_scores.sum(axis=0)


def _descend(
    values: np.ndarray,
    signs: np.ndarray,
    penalty: float,
    start: GroupLasso,
    tolerance: float,
    max_iterations: int,
) -> GroupLasso:
    """Minimise over the weights of all parts; see `solve_group_lasso`."""
    step = 1 / _largest_curvature(values)
    model = ahead = start
    momentum = 1.0
    for i in range(max_iterations):
        if (
            i % _STEPS_PER_CHECK == 0
            and kkt_residual(values, signs, penalty, model) <= tolerance * penalty
        ):
            break
        gradient, of_intercepts = _gradients(values, signs, ahead)
        moved = GroupLasso(
            _shrink(ahead.weights - step * gradient, step * penalty, start.group_size),
            ahead.intercepts - step * of_intercepts,
            start.group_size,
        )
        of_weights = moved.weights - model.weights
        of_constants = moved.intercepts - model.intercepts
        against = np.vdot(ahead.weights - moved.weights, of_weights) + np.vdot(
            ahead.intercepts - moved.intercepts, of_constants
        )
        if against > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        inertia = (momentum - 1) / following
        ahead = replace(
            moved,
            weights=moved.weights + inertia * of_weights,
            intercepts=moved.intercepts + inertia * of_constants,
        )
        model, momentum = moved, following
    return model


def _shrink(weights: np.ndarray, length: float, group_size: int) -> np.ndarray:
    """Make the weights of each part shorter by a length, or zero."""
    norms = np.repeat(_norms(weights, group_size), group_size)[:, None]
    return weights * np.maximum(0.0, 1 - length / np.maximum(norms, length))


def _largest_curvature(values: np.ndarray) -> float:
    """Return the largest eigenvalue of ``[X, 1]ᵀ [X, 1] / n``."""
    with_ones = np.column_stack([values, np.ones(len(values))])
    n, depth = with_ones.shape
    gram = with_ones @ with_ones.T if n < depth else with_ones.T @ with_ones
    last = len(gram) - 1
    return float(eigvalsh(gram, subset_by_index=[last, last])[0]) / n
