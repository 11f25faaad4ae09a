"""Joint optimisation of shared parts and of the classifier on their maxima."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from tqdm.auto import tqdm

from skdpnet.parts.maxima import part_maxima
from skdpnet.parts.random_selected.convex_bound import (
    bounded_hinges,
    bounded_loss,
    placements,
)

__all__ = ["JointModel", "fit_classifier", "optimise_jointly"]

# Of L-BFGS on a bound. After more of them the maxima have other regions anyway.
_STEPS_PER_ROUND = 15
_MAX_ITERATIONS = 5_000
_TINY = 1e-12


@dataclass(frozen=True)
class JointModel:
    """Parts and the multiclass classifier on their shifted maxima.

    The score of class c is ``u_c · (b - shift) + a_c``, where b are the maxima.

    Parameters
    ----------
    parts : list of tensor of shape (P', K)
        Those of each feature map. Their lengths count.
    shift : tensor of shape (P,)
    weights : tensor of shape (C, P)
        u.
    intercepts : tensor of shape (C,)
        a.
    """

    parts: list[torch.Tensor]
    shift: torch.Tensor
    weights: torch.Tensor
    intercepts: torch.Tensor

    def intercepts_of_maxima(self) -> torch.Tensor:
        """Return the intercepts (C,) of scores of the maxima that are not shifted."""
        return self.intercepts - self.weights @ self.shift

    def size(self) -> float:
        """Return half the squared length of weights and intercepts."""
        return float((self.weights**2).sum() + (self.intercepts**2).sum()) / 2

    def size_of_parts(self) -> float:
        """Return half the squared length of the parts."""
        return float(sum((of_map**2).sum() for of_map in self.parts)) / 2


def fit_classifier(
    values: np.ndarray, labels: np.ndarray, C: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the multiclass support vector machine of Crammer and Singer.

    Parameters
    ----------
    values : float ndarray of shape (n, P)
    labels : int ndarray of shape (n,)
        In 0 … C' - 1, where each class has images.
    C : float > 0
        Weight of the sum of the hinge losses.
    seed : int
        Of the order in which the solver takes the images.

    Returns
    -------
    weights : float64 ndarray of shape (C', P)
    intercepts : float64 ndarray of shape (C',)
        They are regularised as the weights are.
    """
    machine = LinearSVC(
        C=C,
        multi_class="crammer_singer",
        max_iter=_MAX_ITERATIONS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # A fit that is short of the minimum is a step all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(values, labels)
    weights, intercepts = machine.coef_, machine.intercept_
    if len(machine.classes_) == 2:
        # scikit-learn gives the difference of the two rows, which add up to zero.
        weights = np.concatenate([-weights, weights]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    return weights, intercepts


def optimise_jointly(
    parts: Sequence[torch.Tensor],
    regions: Sequence[torch.Tensor],
    shift: torch.Tensor,
    labels: np.ndarray,
    C: float,
    n_rounds: int,
    seed: int,
    verbose: int = 0,
) -> tuple[JointModel, list[float]]:
    """Improve parts and classifier in turn.

    The objective is ``½ (‖U‖² + ‖a‖²) + ½ μ ‖W‖² + C Σ_i hinge_i``, with the hinge loss
    of Crammer and Singer. A round lowers the bound of `bounded_loss` that touches the
    objective at the present parts W, and then fits U and a, which is convex. A step is
    kept only if it lowers the objective, which therefore never rises.

    Parameters
    ----------
    parts : sequence of tensor of shape (P', K)
        The first parts of each map. With lengths that give their maxima equal variance,
        none is favoured by the penalty.
    regions : sequence of tensor of shape (n, R, K)
        The regions of each map.
    shift : tensor of shape (P,)
        Means of the maxima.
    labels : int ndarray of shape (n,)
        In 0 … C' - 1, where each class has images.
    C : float > 0
    n_rounds : int
    seed : int
        As in `fit_classifier`.
    verbose : int, default=0
        Whether a progress bar shows the rounds.

    Returns
    -------
    model : JointModel
    objectives : list of float
        Of the first parts with the classifier that was fitted on them, and after each
        round. μ is such that at first both penalties are equal, as they are at the
        minimum over the scale of U and W.
    """
    targets = torch.from_numpy(labels)

    def fitted(parts: list[torch.Tensor], maxima: torch.Tensor) -> JointModel:
        values = (maxima - shift).numpy()
        weights, intercepts = fit_classifier(values, labels, C, seed)
        return JointModel(
            parts,
            shift,
            torch.from_numpy(weights).to(shift.dtype),
            torch.from_numpy(intercepts).to(shift.dtype),
        )

    def objective(model: JointModel, maxima: torch.Tensor) -> float:
        hinges, _, _ = bounded_hinges(
            maxima, maxima, targets, model.weights, model.intercepts_of_maxima()
        )
        penalty = model.size() + parts_weight * model.size_of_parts()
        return penalty + C * float(hinges.double().sum())

    maxima = _maxima(parts, regions)
    model = fitted(list(parts), maxima)
    parts_weight = model.size() / max(model.size_of_parts(), _TINY)
    objectives = [objective(model, maxima)]
    for _ in tqdm(
        range(n_rounds), desc="joint rounds", unit="round", disable=not verbose
    ):
        lowest = objectives[-1]
        moved = _move_parts(model, regions, targets, C, parts_weight)
        of_moved = _maxima(moved.parts, regions)
        if (value := objective(moved, of_moved)) < lowest:
            model, maxima, lowest = moved, of_moved, value
        refitted = fitted(model.parts, maxima)
        if (value := objective(refitted, maxima)) < lowest:
            model, lowest = refitted, value
        objectives.append(lowest)
    return model, objectives


def _maxima(
    parts: Sequence[torch.Tensor], regions: Sequence[torch.Tensor]
) -> torch.Tensor:
    each = zip(regions, parts, strict=True)
    return torch.hstack(
        [part_maxima(on_map, of_map, beta=None)[0] for on_map, of_map in each]
    )


def _move_parts(
    model: JointModel,
    regions: Sequence[torch.Tensor],
    labels: torch.Tensor,
    C: float,
    parts_weight: float,
) -> JointModel:
    """Lower the convex bound that touches the objective at the parts of the model."""
    each = zip(model.parts, regions, strict=True)
    fixed = [placements(of_map, on_map) for of_map, on_map in each]
    intercepts = model.intercepts_of_maxima()

    def bound(flat: np.ndarray) -> tuple[float, np.ndarray]:
        moved = _unflatten(flat, model.parts)
        loss, slopes = bounded_loss(
            moved, regions, fixed, labels, model.weights, intercepts
        )
        slope = C * _flatten(slopes) + parts_weight * flat
        return C * loss + parts_weight * float(flat @ flat) / 2, slope

    # The bound has kinks, at which the method may end early. Its line search lowers the
    # bound in every step even so, which is all that is asked of it.
    found = minimize(
        bound,
        _flatten(model.parts),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS_PER_ROUND},
    )
    return replace(model, parts=_unflatten(found.x, model.parts))


def _flatten(parts: Sequence[torch.Tensor]) -> np.ndarray:
    return np.concatenate([of_map.double().flatten().numpy() for of_map in parts])


def _unflatten(flat: np.ndarray, like: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    pieces = torch.from_numpy(flat).split([of_map.numel() for of_map in like])
    return [
        piece.view(of_map.shape).to(of_map.dtype)
        for piece, of_map in zip(pieces, like, strict=True)
    ]
