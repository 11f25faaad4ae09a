"""The linear classifier V on given descriptors: a convex fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

__all__ = ["Penalty", "fit_classifier"]

Penalty = Callable[[torch.Tensor], torch.Tensor]

_MAX_ITERATIONS = 200


def fit_classifier(
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
        Weights of the pictures; the cross-entropy is their weighted sum over n.
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
    # In double precision: line searches stall on float32's rounding.
    b = torch.from_numpy(descriptor.astype(np.float64))
    y = torch.from_numpy(labels)
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
        entropies = F.cross_entropy(b @ coef.T + intercept, y, reduction="none")
        value = (w * entropies).mean() + ridge * coef.square().sum()
        if penalty is not None:
            value = value + penalty(coef)
        value.backward()
        return value

    solver.step(loss)
    return (
        coef.detach().float().numpy(),
        intercept.detach().float().numpy(),
    )
