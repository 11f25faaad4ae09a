"""What a fitted model makes of its parts: the linear classifier that decides."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.map_estimator import PartEstimator

__all__ = [
    "LinearReadout",
    "find_parts",
    "linear_readout",
]


@dataclass(frozen=True, eq=False)
class LinearReadout:
    """Parts, and the linear classifier on the descriptor that they give.

    Attributes
    ----------
    parts : fitted PartEstimator
    classes : ndarray of shape (C,)
        Labels.
    coef : float64 ndarray of shape (C, P)
    intercept : float64 ndarray of shape (C,)
        The logits are ``parts.transform(X) @ coef.T + intercept``.
    """

    parts: Any
    classes: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray


def linear_readout(estimator) -> LinearReadout:
    """Read a fitted model as parts and one linear classifier on their descriptor.

    Standardisation between parts and classifier is folded into the classifier, which
    changes no logit. Where a classifier of two classes has one row of coefficients,
    the first class gets that row with its sign turned.

    Parameters
    ----------
    estimator : fitted classifier
        See `skdpnet.explain`.

    Returns
    -------
    LinearReadout

    Raises
    ------
    NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If it has no parts, or if what follows them is not linear.
    """
    parts, rest = find_parts(estimator)
    *between, final = rest or [parts]
    needed = ("coef_", "intercept_", "classes_", "decision_function")
    if not is_classifier(final):
        raise ValueError(
            f"{type(final).__name__} names no class, so there is no decision to "
            "explain; put parts and a linear classifier into a Pipeline."
        )
    check_is_fitted(final)
    if not all(hasattr(final, name) for name in needed):
        raise _not_linear(final)
    coef = final.coef_.toarray() if issparse(final.coef_) else final.coef_
    coef = np.atleast_2d(np.asarray(coef, np.float64))
    intercept = np.broadcast_to(np.asarray(final.intercept_, np.float64), len(coef))
    if final is not parts:
        _check_linear(final, coef, intercept)
    scale, shift = _standardisation(between, coef.shape[1])
    intercept = intercept + coef @ shift
    coef = coef * scale
    if len(coef) == 1:
        coef, intercept = np.vstack([-coef, coef]), np.append(-intercept, intercept)
    return LinearReadout(parts, final.classes_, coef, intercept)


def find_parts(estimator) -> tuple[Any, list]:
    """Take a fitted model apart into its parts and the steps that follow them.

    Parameters
    ----------
    estimator : PartEstimator, Pipeline that starts with one, or fitted search of such

    Returns
    -------
    parts : fitted PartEstimator
    rest : list of estimators
        Pipelines and searches in the pipeline are taken apart likewise.

    Raises
    ------
    NotFittedError
        If a search, or the parts, are not fitted.
    ValueError
        If there are no parts, or if they are not the first step.
    """
    first, *rest = [*_leaves(estimator)] or [estimator]
    if not isinstance(first, PartEstimator):
        kind = type(first).__name__
        if any(isinstance(step, PartEstimator) for step in rest):
            raise ValueError(
                f"{kind} comes before the parts. Pass the steps from the parts on, "
                "estimator[1:], with the output of the steps before them as the data."
            )
        raise ValueError(
            f"{type(estimator).__name__} has no parts. Pass a DPNetClassifier, or a "
            "Pipeline of DPNetTransformer or SoftAssignParts and a linear classifier."
        )
    check_is_fitted(first)
    return first, rest


def _leaves(estimator) -> Iterator:
    """Yield the estimators that data pass through, in order."""
    if isinstance(estimator, BaseSearchCV):
        check_is_fitted(estimator)
        if not hasattr(estimator, "best_estimator_"):
            raise ValueError(
                f"{type(estimator).__name__} was fitted with refit=False, which leaves "
                "no model that could be explained."
            )
        yield from _leaves(estimator.best_estimator_)
    elif isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from _leaves(step)
    elif estimator is not None and not isinstance(estimator, str):  # "passthrough"
        yield estimator


def _standardisation(steps: Sequence, n_parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Fold scalers into one: the (scale, shift) of ``scale * x + shift``."""
    scale, shift = np.ones(n_parts), np.zeros(n_parts)
    for step in steps:
        if not isinstance(step, StandardScaler):
            raise ValueError(
                "between parts and classifier only StandardScaler keeps each number "
                f"the response of one part; leave {type(step).__name__} out."
            )
        check_is_fitted(step)
        mean = step.mean_ if step.with_mean else 0.0
        deviation = step.scale_ if step.with_std else 1.0
        scale, shift = scale / deviation, (shift - mean) / deviation
    return scale, shift


def _check_linear(final, coef: np.ndarray, intercept: np.ndarray) -> None:
    """Refuse a classifier whose coefficients do not tell its decision."""
    # Some have coefficients of pairs of classes (SVC), in the same shape where there
    # are three classes: only the decision itself tells.
    probe = np.random.default_rng(0).normal(size=(1, coef.shape[1]))
    n_rows = 1 if len(final.classes_) == 2 else len(final.classes_)
    if len(coef) not in (n_rows, len(final.classes_)):
        raise _not_linear(final)
    with warnings.catch_warnings():
        # It may have been fitted with names of the parts, which the probe lacks.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        decided = np.ravel(final.decision_function(probe))
    expected = np.ravel(probe @ coef.T + intercept)
    scale = 1e-4 * np.abs(expected).max(initial=1e-30)
    if decided.shape != expected.shape or np.abs(decided - expected).max() > scale:
        raise _not_linear(final)


def _not_linear(final) -> ValueError:
    return ValueError(
        f"the decision of {type(final).__name__} is no sum of one contribution a part; "
        "take a linear classifier, such as LinearSVC or LogisticRegression."
    )
