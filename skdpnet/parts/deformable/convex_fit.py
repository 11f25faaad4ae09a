"""The convex step of a latent SVM: weights for places that are fixed or listed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, minimize

__all__ = ["Penalty", "Rows", "fit_weights", "smooth_hinge"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Features of images at some of their places.

    Parameters
    ----------
    images : int ndarray of shape (m,)
        The number of the image of each row. It may have several rows.
    components : int ndarray of shape (m,)
        The number of the mixture component whose weights score the row.
    features : float ndarray of shape (m, d)
    """

    images: np.ndarray
    components: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: np.ndarray) -> Rows:
        return Rows(self.images[chosen], self.components[chosen], self.features[chosen])

    def and_also(self, others: Rows) -> Rows:
        """Return these rows and those of others."""
        pairs = (
            (self.images, others.images),
            (self.components, others.components),
            (self.features, others.features),
        )
        return Rows(*(np.concatenate(pair) for pair in pairs))

    def scores(self, weights: np.ndarray) -> np.ndarray:
        """Return the score (m,) of each row, for the weights (M, d) of components."""
        out = np.empty(len(self), weights.dtype)
        for number, of_component in enumerate(weights):
            chosen = self.components == number
            out[chosen] = self.features[chosen] @ of_component
        return out


@dataclass(frozen=True, eq=False)
class Penalty:
    """What an SVM's objective has besides, and between, its losses.

    Parameters
    ----------
    C : float
        The factor of the losses.
    factors : float ndarray of shape (d,)
        The factor of ``w² / 2`` of each weight of a component.
    least : float ndarray of shape (d,)
        The least value of each weight of a component, or −∞.
    smoothing : float > 0
        The width of the smooth part of the loss; see `smooth_hinge`.
    """

    C: float
    factors: np.ndarray
    least: np.ndarray
    smoothing: float

    def of(self, weights: np.ndarray) -> float:
        """Return the term of the weights (M, d) alone."""
        return float((self.factors * weights.astype(np.float64) ** 2).sum() / 2)

    def losses(self, margins: np.ndarray) -> float:
        """Return the term of images with these margins."""
        return self.C * float(smooth_hinge(margins, self.smoothing)[0].sum())


def smooth_hinge(margins: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute a hinge loss whose corner is a parabola, and its derivative.

    Parameters
    ----------
    margins : float ndarray
    width : float > 0
        The loss is quadratic for margins from 1 − width to 1, linear below.

    Returns
    -------
    losses : float64 ndarray
        They are below ``max(0, 1 - margin)`` by width / 2 at most.
    derivatives : float64 ndarray
    """
    short = np.maximum(1 - margins.astype(np.float64), 0)
    losses = np.where(short < width, short**2 / (2 * width), short - width / 2)
    return losses, -np.minimum(short / width, 1)


def fit_weights(
    start: np.ndarray,
    positives: Rows,
    negatives: Rows,
    penalty: Penalty,
    max_iter: int = 100,
) -> tuple[np.ndarray, float]:
    """Minimise a convex objective by L-BFGS with bounds.

    It is the penalty, plus the loss of each row of the positives, plus the loss of the
    highest row of each negative image.

    Parameters
    ----------
    start : float ndarray of shape (M, d)
        First weights, within the bounds.
    positives, negatives : Rows
    penalty : Penalty
    max_iter : int, default=100

    Returns
    -------
    weights : ndarray of shape (M, d)
        In the dtype of the start.
    objective : float
        It is not above that of the start.
    """
    n_positives, shape, dtype = len(positives), start.shape, start.dtype
    order = np.argsort(negatives.images, kind="stable")
    negatives = negatives[order]
    # The first row of each negative image.
    firsts = np.flatnonzero(np.diff(negatives.images, prepend=-1))
    rows = positives.and_also(negatives)
    by_component = [np.flatnonzero(rows.components == m) for m in range(shape[0])]
    features = [rows.features[chosen] for chosen in by_component]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(shape)
        scores = np.empty(len(rows))
        for of_component, chosen, block in zip(
            weights, by_component, features, strict=True
        ):
            scores[chosen] = block @ of_component.astype(dtype)
        highest = n_positives + _argmaxima(scores[n_positives:], firsts)
        margins = np.append(scores[:n_positives], -scores[highest])
        losses, derivatives = smooth_hinge(margins, penalty.smoothing)
        slopes = np.zeros(len(rows))
        slopes[:n_positives] = penalty.C * derivatives[:n_positives]
        slopes[highest] = -penalty.C * derivatives[n_positives:]
        gradient = penalty.factors * weights
        for number, (chosen, block) in enumerate(
            zip(by_component, features, strict=True)
        ):
            active = slopes[chosen] != 0
            if active.any():
                gradient[number] += slopes[chosen][active].astype(dtype) @ block[active]
        total = penalty.C * losses.sum() + (penalty.factors * weights**2).sum() / 2
        return float(total), gradient.ravel()

    least = np.tile(penalty.least, shape[0])
    result = minimize(
        objective,
        start.astype(np.float64).ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(least, np.inf),
        options={"maxiter": max_iter, "ftol": 1e-5, "gtol": 1e-8},
    )
    return result.x.reshape(shape).astype(dtype), float(result.fun)


def _argmaxima(scores: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Return the position of the largest score of each group, which begin at firsts."""
    if len(firsts) == 0:
        return firsts
    largest = np.maximum.reduceat(scores, firsts)
    groups = np.repeat(largest, np.diff(firsts, append=len(scores)))
    at_largest = np.flatnonzero(scores == groups)
    return at_largest[np.searchsorted(at_largest, firsts)]
