"""The linear classifier V on given descriptors: convex fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar

__all__ = ["Penalty", "fit_logistic", "fit_svm"]

Penalty = Callable[[torch.Tensor], torch.Tensor]

_MAX_ITERATIONS = 200
# Beyond this factor, scores of images told apart with a margin are certain anyway.
_LARGEST_SCALE = 20.0


def fit_logistic(
    descriptor: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    n_classes: int,
    ridge: float,
    penalty: Penalty | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise cross-entropy + ridge·‖V‖² + penalty(V) by L-BFGS.

    scikit-learn's `LogisticRegression` for a penalty of one's own.

    Parameters
    ----------
    descriptor : float ndarray of shape (n, P)
    labels : int ndarray of shape (n,)
        In 0 … n_classes - 1; classes may be absent.
    weights : float ndarray of shape (n,)
        Weights of the images; the cross-entropy is their weighted sum over n.
    n_classes : int
    ridge : float > 0
        ``1 / (2 C n)`` in scikit-learn's terms.
    penalty : callable, optional
        V (C, P) -> scalar tensor.

    Returns
    -------
    coef : float32 ndarray of shape (C, P)
    intercept : float32 ndarray of shape (C,)
    """
    y = torch.from_numpy(labels)

    def entropies(logits: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, y, reduction="none")

    return _minimise(entropies, descriptor, weights, n_classes, ridge, penalty)


def fit_svm(
    descriptor: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    n_classes: int,
    ridge: float,
    label_smoothing: float,
    penalty: Penalty | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise squared hinges, one class against the rest, + ridge·‖V‖² + penalty(V).

    scikit-learn's `LinearSVC` for a penalty of one's own, with an intercept that is
    not penalised. Its scores are then multiplied by the one number that makes them the
    best logits, by cross-entropy on the same images, so that their softmax is a
    probability: no decision changes.

    Parameters
    ----------
    descriptor, labels, weights, n_classes, penalty
        As in `fit_logistic`.
    ridge : float > 0
        ``1 / (2 C n)`` in scikit-learn's terms.
    label_smoothing : float
        Of that cross-entropy. Scores of images that were learned from would pass for
        certain without it.

    Returns
    -------
    coef : float32 ndarray of shape (C, P)
    intercept : float32 ndarray of shape (C,)
    """
    y = torch.from_numpy(labels)
    side = 2 * F.one_hot(y, n_classes).double() - 1

    def hinges(scores: torch.Tensor) -> torch.Tensor:
        return F.relu(1 - side * scores).square().sum(dim=1)

    coef, intercept = _minimise(hinges, descriptor, weights, n_classes, ridge, penalty)
    scores = torch.from_numpy(descriptor @ coef.T + intercept).double()
    w = torch.from_numpy(weights.astype(np.float64))

    def entropy(log_scale: float) -> float:
        entropies = F.cross_entropy(
            np.exp(log_scale) * scores,
            y,
            reduction="none",
            label_smoothing=label_smoothing,
        )
        return float((w * entropies).mean())

    limit = float(np.log(_LARGEST_SCALE))
    found = minimize_scalar(entropy, bounds=(-limit, limit), method="bounded")
    scale = np.float32(np.exp(found.x))
    return scale * coef, scale * intercept


def _minimise(
    losses: Callable[[torch.Tensor], torch.Tensor],
    descriptor: np.ndarray,
    weights: np.ndarray,
    n_classes: int,
    ridge: float,
    penalty: Penalty | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the weighted mean of losses (n,) of scores (n, C), ridge and penalty."""
    # In double precision: line searches stall on float32's rounding.
    b = torch.from_numpy(descriptor.astype(np.float64))
    w = torch.from_numpy(weights.astype(np.float64))
    coef = torch.zeros(n_classes, b.shape[1], dtype=b.dtype, requires_grad=True)
    intercept = torch.zeros(n_classes, dtype=b.dtype, requires_grad=True)
    solver = torch.optim.LBFGS(
        [coef, intercept],
        max_iter=_MAX_ITERATIONS,
        history_size=20,
        tolerance_grad=1e-6,
        line_search_fn="strong_wolfe",
    )

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = (w * losses(b @ coef.T + intercept)).mean()
        value = value + ridge * coef.square().sum()
        if penalty is not None:
            value = value + penalty(coef)
        value.backward()
        return value

    solver.step(loss)
    return (
        coef.detach().float().numpy(),
        intercept.detach().float().numpy(),
    )
