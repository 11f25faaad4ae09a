"""Convex fits of the linear classifier V on fixed descriptors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar

__all__ = ["Penalty", "fit_logistic", "fit_svm"]

Penalty = Callable[[torch.Tensor], torch.Tensor]

_MAX_ITERATIONS = 200
# A larger factor would change nothing: the probabilities of images that are separated
# with a margin are already close to 0 and 1.
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

    It is scikit-learn's `LogisticRegression` with a further penalty on V.

    Parameters
    ----------
    descriptor : float ndarray of shape (n, P)
    labels : int ndarray of shape (n,)
        In 0 … n_classes - 1; some classes may have no images.
    weights : float ndarray of shape (n,)
        Weights of the images; the cross-entropy is the weighted sum over the images,
        divided by n.
    n_classes : int
    ridge : float > 0
        ``1 / (2 C n)``, where C is the parameter of scikit-learn's estimator.
    penalty : callable, default=None
        Takes V (C, P) as a float64 tensor and returns a scalar tensor.

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
    """Minimise one-versus-rest squared hinge loss + ridge·‖V‖² + penalty(V) by L-BFGS.

    It is scikit-learn's `LinearSVC` with a further penalty on V, and with an intercept
    that is not penalised. Coefficients and intercepts are then multiplied by the
    positive factor that minimises the cross-entropy of the same images, so that the
    softmax of the scores can serve as probabilities. The factor changes no decision.

    Parameters
    ----------
    descriptor, labels, weights, n_classes, penalty
        As in `fit_logistic`.
    ridge : float > 0
        As in `fit_logistic`.
    label_smoothing : float in [0, 1)
        Label smoothing of that cross-entropy. Without it, the factor would be chosen as
        if scores of new images were as certain as those of the training images.

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
    minimum = minimize_scalar(entropy, bounds=(-limit, limit), method="bounded")
    scale = np.float32(np.exp(minimum.x))
    return scale * coef, scale * intercept


def _minimise(
    losses: Callable[[torch.Tensor], torch.Tensor],
    descriptor: np.ndarray,
    weights: np.ndarray,
    n_classes: int,
    ridge: float,
    penalty: Penalty | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the weighted mean of losses(scores) (n,), plus ridge and penalty."""
    # In float64, because rounding in float32 makes the line search stall.
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
    return coef.detach().float().numpy(), intercept.detach().float().numpy()
