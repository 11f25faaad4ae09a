"""Latent SVM: rounds of placing the positives and fitting the weights."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from skdpnet.parts.deformable.convex_fit import Penalty, Rows, fit_weights

__all__ = ["LatentFit", "LatentModel", "Placements", "fit_latent_svm"]

# Rounds end where the objective falls by a smaller share.
_LEAST_GAIN = 1e-3
# A convex step ends where the places of negatives that it knows explain all but this
# share of its objective.
_GAP = 0.05
_TINY = 1e-6


class Placements(NamedTuple):
    """The best component and place of each of n images.

    Attributes
    ----------
    scores : float ndarray of shape (n,)
    components : int ndarray of shape (n,)
    places : ndarray of shape (n, ...)
        Whatever the model needs for the features of an image at its place.
    """

    scores: np.ndarray
    components: np.ndarray
    places: np.ndarray


class LatentModel(Protocol):
    """A score that is the maximum of linear scores over components and places."""

    def place(self, weights: np.ndarray) -> Placements:
        """Find the best component and place of each image, for weights (M, d)."""

    def features(self, images: np.ndarray, placements: Placements) -> np.ndarray:
        """Return the features (m, d) of images of these numbers where they are placed.

        The placements are those of all images.
        """


class LatentFit(NamedTuple):
    """What `fit_latent_svm` returns.

    Attributes
    ----------
    weights : ndarray of shape (M, d)
    placements : Placements
        Of all images, for these weights.
    objectives : list of float
        The objective after each round, with positives at their best places.
    """

    weights: np.ndarray
    placements: Placements
    objectives: list[float]


def fit_latent_svm(
    model: LatentModel,
    is_positive: np.ndarray,
    start: np.ndarray,
    penalty: Penalty,
    *,
    first: Placements | None = None,
    n_rounds: int = 4,
    n_cuts: int = 12,
    max_iter: int = 100,
) -> LatentFit:
    """Minimise ``Σ λ w² / 2 + C Σ loss(±f(x))``, where f is a maximum over places.

    In a round, positives stay where they are, which makes the objective convex. It is
    minimised over a list of places of the negatives, to which their best places are
    added until the list explains the objective. Then positives are placed anew, which
    only lowers their losses. So the objective never rises.

    Parameters
    ----------
    model : LatentModel
    is_positive : bool ndarray of shape (n,)
    start : float ndarray of shape (M, d)
        First weights.
    penalty : Penalty
    first : Placements, default=None
        Where the positives are in the first round. None: at the best places for
        `start`.
    n_rounds : int, default=4
        Maximal number of rounds.
    n_cuts : int, default=12
        How often negatives are placed in a round, at most.
    max_iter : int, default=100
        Maximal number of iterations of each fit of weights.

    Returns
    -------
    LatentFit
    """
    positives, negatives = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
    weights, placements = start, model.place(start)
    fixed_at = placements if first is None else first
    known = _rows(model, negatives, placements)
    objectives: list[float] = []
    for _ in range(n_rounds):
        fixed = _rows(model, positives, fixed_at)

        def value(
            weights: np.ndarray, placements: Placements, fixed: Rows = fixed
        ) -> float:
            margins = np.append(fixed.scores(weights), -placements.scores[negatives])
            return penalty.of(weights) + penalty.losses(margins)

        best = value(weights, placements), weights, placements
        trial = weights
        for _ in range(n_cuts):
            trial, lower = fit_weights(trial, fixed, known, penalty, max_iter)
            placements = model.place(trial)
            reached = value(trial, placements)
            best = min(best, (reached, trial, placements), key=lambda found: found[0])
            if reached - lower <= _GAP * reached:
                break
            known = _add_cuts(model, known, negatives, trial, placements)
        _, weights, placements = best
        fixed_at = placements
        margins = np.where(is_positive, placements.scores, -placements.scores)
        objectives.append(penalty.of(weights) + penalty.losses(margins))
        if len(objectives) > 1 and _is_settled(*objectives[-2:]):
            break
        known = _without_easy(known, weights)
    return LatentFit(weights, placements, objectives)


def _rows(model: LatentModel, images: np.ndarray, placements: Placements) -> Rows:
    features = model.features(images, placements)
    return Rows(images, placements.components[images], features)


def _add_cuts(
    model: LatentModel,
    known: Rows,
    negatives: np.ndarray,
    weights: np.ndarray,
    placements: Placements,
) -> Rows:
    """Add the places of negatives that violate the margin more than known ones do."""
    highest = np.full(len(placements.scores), -1.0)
    np.maximum.at(highest, known.images, known.scores(weights))
    gains = placements.scores[negatives] - highest[negatives]
    return known.and_also(_rows(model, negatives[gains > _TINY], placements))


def _without_easy(known: Rows, weights: np.ndarray) -> Rows:
    """Leave places out whose loss is zero."""
    return known[known.scores(weights) > -1]


def _is_settled(before: float, after: float) -> bool:
    return before - after < _LEAST_GAIN * before
