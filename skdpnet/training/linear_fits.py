"""Convex fits of the linear classifier V on fixed descriptors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import Bounds, minimize
from scipy.special import expit

from skdpnet.utils.indicators import memberships

__all__ = [
    "ClassifierPenalty",
    "fit_logistic",
    "fit_sigmoids",
    "fit_svm",
    "minimise",
]

_MAX_ITERATIONS = 500
_N_CORRECTIONS = 20  # of L-BFGS; scipy's 10 need more iterations
# Of the final fits, and of those in training, after which the parts move on anyway: the
# weights differ by 4e-4 and 4e-3 from the minimum, and the latter take half the time.
_TOLERANCE, _TRAINING_TOLERANCE = 1e-5, 1e-4
# It ends fits whose gradient cannot become smaller for rounding.
_LOSS_TOLERANCE = 1e-13

Classifier = tuple[np.ndarray, np.ndarray]
# Function of V and the intercepts, which returns its value and both gradients.
LossFunction = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class ClassifierPenalty:
    """A convex penalty on the weights V of the linear classifier.

    Parameters
    ----------
    function : callable
        Takes V (C, P) as a float64 tensor and returns a scalar tensor.
    sparse : bool
        Whether it is a weighted sum of absolute values, which makes weights exactly 0.
    """

    function: Callable[[torch.Tensor], torch.Tensor]
    sparse: bool = False


def fit_logistic(
    descriptor: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    n_classes: int,
    ridge: float,
    penalty: ClassifierPenalty | None = None,
    label_smoothing: float = 0.0,
    start: Classifier | None = None,
    positive: bool = False,
    n_free: int = 0,
    fit_intercept: bool = True,
) -> Classifier:
    """Minimise cross-entropy + ridge·‖V‖² + penalty(V).

    It is scikit-learn's `LogisticRegression` with a further penalty on V, to the
    precision that training needs.

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
    penalty : ClassifierPenalty, default=None
    label_smoothing : float in [0, 1), default=0.0
        Label smoothing of the cross-entropy.
    start : tuple of two ndarrays, default=None
        Coefficients (C, P) and intercepts (C,) that the search starts from. None:
        zeros.
    positive : bool, default=False
        Whether all weights are at least 0.
    n_free : int, default=0
        Number of the last columns of V that may be negative nevertheless.
    fit_intercept : bool, default=True
        Whether there are intercepts; if not, they stay those of `start`.

    Returns
    -------
    coef : float32 ndarray of shape (C, P)
    intercept : float32 ndarray of shape (C,)
    """
    targets = (1 - label_smoothing) * memberships(labels, n_classes)
    targets += label_smoothing / n_classes

    def entropies(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        below = logits - logits.max(axis=1, keepdims=True)
        p = np.exp(below)
        sums = p.sum(axis=1, keepdims=True)
        p /= sums
        # The targets of an image sum to 1.
        of_images = np.log(sums[:, 0]) - np.einsum("nc,nc->n", targets, below)
        return of_images, p - targets

    mean_loss = _mean_loss(entropies, descriptor, weights, fit_intercept)
    shape = n_classes, descriptor.shape[1]
    return minimise(
        mean_loss, shape, ridge, penalty, start, positive, n_free, _TRAINING_TOLERANCE
    )


def fit_sigmoids(
    descriptor: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    n_classes: int,
    ridge: float,
    penalty: ClassifierPenalty | None = None,
    label_smoothing: float = 0.0,
    start: Classifier | None = None,
    positive: bool = False,
    n_free: int = 0,
) -> Classifier:
    """Minimise the classes' binary cross-entropies + ridge·‖V‖² + penalty(V).

    Without a penalty, it is scikit-learn's `LogisticRegression` for each class by
    itself, to the precision that training needs.

    Parameters
    ----------
    descriptor, weights, n_classes, ridge, penalty, start, positive, n_free
        As in `fit_logistic`.
    labels : int ndarray of shape (n, C)
        An indicator matrix.
    label_smoothing : float in [0, 1), default=0.0
        The share of each target that is spread over presence and absence.

    Returns
    -------
    coef : float32 ndarray of shape (C, P)
    intercept : float32 ndarray of shape (C,)
    """
    targets = (1 - label_smoothing) * memberships(labels, n_classes)
    targets += label_smoothing / 2

    def entropies(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of_images = (np.logaddexp(0, logits) - targets * logits).sum(axis=1)
        return of_images, expit(logits) - targets

    mean_loss = _mean_loss(entropies, descriptor, weights)
    shape = n_classes, descriptor.shape[1]
    return minimise(
        mean_loss, shape, ridge, penalty, start, positive, n_free, _TRAINING_TOLERANCE
    )


def fit_svm(
    descriptor: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    n_classes: int,
    ridge: float,
    penalty: ClassifierPenalty | None = None,
    positive: bool = False,
    n_free: int = 0,
) -> Classifier:
    """Minimise one-versus-rest squared hinge loss + ridge·‖V‖² + penalty(V).

    It is scikit-learn's `LinearSVC` with a further penalty on V, and with an intercept
    that is not penalised.

    Parameters
    ----------
    descriptor, weights, n_classes, ridge, penalty, positive, n_free
        As in `fit_logistic`.
    labels : int ndarray of shape (n,) or (n, C)
        The class of each image, or an indicator matrix.

    Returns
    -------
    coef : float32 ndarray of shape (C, P)
    intercept : float32 ndarray of shape (C,)
    """
    side = np.where(memberships(labels, n_classes), 1.0, -1.0)

    def hinges(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        margins = np.maximum(1 - side * scores, 0)
        return (margins**2).sum(axis=1), -2 * side * margins

    mean_loss = _mean_loss(hinges, descriptor, weights)
    shape = n_classes, descriptor.shape[1]
    return minimise(mean_loss, shape, ridge, penalty, positive=positive, n_free=n_free)


def _mean_loss(
    losses: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    descriptor: np.ndarray,
    weights: np.ndarray,
    fit_intercept: bool = True,
) -> LossFunction:
    """Return the weighted mean of losses as a function of V and the intercepts.

    `losses` returns the losses (n,) of scores (n, C) and their derivatives (n, C). With
    automatic differentiation a fit takes twice as long (150 images, 300 parts, 15
    classes: 14 ms instead of 7).
    """
    # In float64, because rounding in float32 makes the line search stall.
    b = descriptor.astype(np.float64)
    w = weights.astype(np.float64) / len(b)

    def mean_loss(coef: np.ndarray, intercept: np.ndarray):
        of_images, slopes = losses(b @ coef.T + intercept)
        slopes *= w[:, None]
        on_intercept = slopes.sum(axis=0) if fit_intercept else np.zeros_like(intercept)
        return float(w @ of_images), slopes.T @ b, on_intercept

    return mean_loss


def minimise(
    loss: LossFunction,
    shape: tuple[int, int],
    ridge: float,
    penalty: ClassifierPenalty | None = None,
    start: Classifier | None = None,
    positive: bool = False,
    n_free: int = 0,
    tolerance: float = _TOLERANCE,
) -> Classifier:
    """Minimise loss(V, intercept) + ridge·‖V‖² + penalty(V) by L-BFGS.

    A sparse penalty has kinks at 0. So V is then the difference of two matrices A and B
    that are not negative, with the penalty of A + B and the ridge ‖A‖² + ‖B‖². In the
    minimum one of A_ij and B_ij is 0, so that A + B is |V|; there are no kinks; and the
    bounds make weights exactly 0. If V must not be negative, it is A.

    Parameters
    ----------
    loss : callable
        Convex function of V (C, P) and intercepts (C,), float64 arrays. Returns its
        value, and the gradients with respect to both.
    shape : tuple of two ints
        C and P.
    ridge : float > 0
    penalty, start, positive, n_free
        As in `fit_logistic`.
    tolerance : float, default=1e-5
        Largest number of the gradient at the end.

    Returns
    -------
    coef : float32 ndarray of shape (C, P)
    intercept : float32 ndarray of shape (C,)
    """
    n_classes, n_parts = shape
    sparse = penalty is not None and penalty.sparse
    coef, intercept = start or (np.zeros(shape), np.zeros(n_classes))
    bounded = sparse or positive
    lowest = np.full(shape, 0.0 if bounded else -np.inf)
    if positive and n_free:
        lowest[:, -n_free:] = -np.inf
    factors = [np.maximum(coef, lowest)]
    if sparse and not positive:
        factors.append(np.maximum(-coef, 0))
    sizes = [coef.size] * len(factors)
    slopes = _slopes(penalty, shape) if penalty is not None and sparse else None

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        *parts, bias = np.split(flat, np.cumsum(sizes))
        halves = [part.reshape(shape) for part in parts]
        V = halves[0] if len(halves) == 1 else halves[0] - halves[1]
        value, on_V, on_bias = loss(V, bias)
        if penalty is not None and slopes is None:
            more, gradient = _value_and_gradient(penalty, V)
            value, on_V = value + more, on_V + gradient
        value += ridge * float(np.square(flat[: sum(sizes)]).sum())
        gradients = [
            sign * on_V + 2 * ridge * half
            for sign, half in zip((1, -1), halves, strict=False)
        ]
        if slopes is not None:
            value += float((slopes * sum(halves)).sum())
            gradients = [gradient + slopes for gradient in gradients]
        return value, np.concatenate([*(g.ravel() for g in gradients), on_bias])

    no_bounds = np.full(n_classes, -np.inf)
    least = np.concatenate([*[lowest.ravel()] * len(factors), no_bounds])
    result = minimize(
        objective,
        np.concatenate([*(f.ravel() for f in factors), intercept]).astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(least, np.inf) if bounded else None,
        options={
            "maxiter": _MAX_ITERATIONS,
            "maxfun": 2 * _MAX_ITERATIONS,
            "maxcor": _N_CORRECTIONS,
            "gtol": tolerance,
            "ftol": _LOSS_TOLERANCE,
        },
    )
    *parts, intercept = np.split(result.x, np.cumsum(sizes))
    coef = (parts[0] if len(parts) == 1 else parts[0] - parts[1]).reshape(shape)
    return coef.astype(np.float32), intercept.astype(np.float32)


def _slopes(penalty: ClassifierPenalty, shape: tuple[int, int]) -> np.ndarray:
    """Return the factors (C, P) of the absolute values in a sparse penalty.

    At V = 0, automatic differentiation gives 0 for the slope of an absolute value.
    """
    return _value_and_gradient(penalty, np.ones(shape))[1]


def _value_and_gradient(
    penalty: ClassifierPenalty, V: np.ndarray
) -> tuple[float, np.ndarray]:
    x = torch.from_numpy(V).requires_grad_()
    value = penalty.function(x)
    return value.item(), torch.autograd.grad(value, x)[0].numpy()
