"""How a fitted model turns its parts' descriptor into scores of classes."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.part_estimator import PartEstimator

__all__ = [
    "EstimatorReadout",
    "LinearReadout",
    "Readout",
    "find_parts",
    "linear_readout",
    "read_model",
]


class Readout(ABC):
    """The scores that a model gives classes, and what each part contributes to them.

    Attributes
    ----------
    classes : ndarray of shape (C,)
        Labels.
    """

    classes: np.ndarray

    @abstractmethod
    def scores(self, descriptors: np.ndarray) -> np.ndarray:
        """Score each class.

        Parameters
        ----------
        descriptors : float64 ndarray of shape (n, P)
            As the parts' `transform` returns them.

        Returns
        -------
        float64 ndarray of shape (n, C)
            The predicted class has the largest score.
        """

    @abstractmethod
    def contributions(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return what each part contributes to the score of a class.

        Parameters
        ----------
        descriptors : float64 ndarray of shape (n, P)
        class_number : int
            An index into `classes`.

        Returns
        -------
        float64 ndarray of shape (n, P)
            The part of the score that they do not add up to is the bias.
        """

    def biases(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return the part of a class's score that no part contributes, (n,)."""
        total = self.contributions(descriptors, class_number).sum(axis=1)
        return self.scores(descriptors)[:, class_number] - total

    def weights(self, class_number: int) -> np.ndarray | None:
        """Return what one unit of each part adds to a class's score, (P,).

        None where the contributions are not proportional to the descriptor.
        """
        return None


@dataclass(frozen=True, eq=False)
class LinearReadout(Readout):
    """A linear classifier on the descriptor, ``descriptor @ coef.T + intercept``.

    The contributions of the parts and the intercept add up to the score.

    Attributes
    ----------
    classes : ndarray of shape (C,)
    coef : float64 ndarray of shape (C, P)
    intercept : float64 ndarray of shape (C,)
    """

    classes: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray

    def scores(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the logits, (n, C)."""
        return descriptors @ self.coef.T + self.intercept

    def contributions(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return ``V_cp · b_p`` for each part p of each image, (n, P)."""
        return descriptors * self.coef[class_number]

    def biases(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return the class's intercept, (n,)."""
        return np.full(len(descriptors), self.intercept[class_number])

    def weights(self, class_number: int) -> np.ndarray:
        """Return the class's row of V, (P,)."""
        return self.coef[class_number]


@dataclass(frozen=True, eq=False)
class EstimatorReadout(Readout):
    """The decision of an estimator that gives its contributions itself.

    Attributes
    ----------
    classes : ndarray of shape (C,)
    estimator : fitted classifier
        Has ``class_scores(descriptors)``, of shape (n, C), and
        ``contributions(descriptors, class_number)``, of shape (n, P); its docstring
        says what they conserve.
    """

    classes: np.ndarray
    estimator: Any

    def scores(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the estimator's `class_scores`, (n, C)."""
        return np.asarray(self.estimator.class_scores(descriptors), np.float64)

    def contributions(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return the estimator's `contributions`, (n, P)."""
        return np.asarray(
            self.estimator.contributions(descriptors, class_number), np.float64
        )


def read_model(estimator) -> tuple[PartEstimator, Readout]:
    """Split a fitted model into its parts and its decision on their descriptor.

    Parameters
    ----------
    estimator : fitted classifier
        See `skdpnet.explain`. One that has methods `class_scores` and `contributions`
        is read by them (`EstimatorReadout`), any other as a linear classifier
        (`linear_readout`).

    Returns
    -------
    parts : fitted PartEstimator
    readout : Readout

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If it has no parts, or if its decision is neither linear nor its own to explain.
    """
    parts, steps = find_parts(estimator)
    final = steps[-1] if steps else parts
    if hasattr(final, "contributions") and hasattr(final, "class_scores"):
        check_is_fitted(final)
        if len(steps) > 1:
            raise ValueError(
                f"{type(final).__name__} explains its decision on the parts' own "
                f"descriptor; leave {type(steps[0]).__name__} between them out."
            )
        return parts, EstimatorReadout(final.classes_, final)
    return parts, _read_linear(parts, steps)


def linear_readout(estimator) -> LinearReadout:
    """Read a fitted model's decision as one linear classifier on the descriptor.

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
    sklearn.exceptions.NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If it has no parts, or if what follows them is not linear.
    """
    return _read_linear(*find_parts(estimator))


def find_parts(estimator) -> tuple[PartEstimator, list]:
    """Split a fitted model into its parts and the steps that follow them.

    Parameters
    ----------
    estimator : PartEstimator, Pipeline that starts with one, or fitted search of such

    Returns
    -------
    parts : fitted PartEstimator
    steps : list of estimators
        Pipelines and searches in the pipeline are split likewise.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If a search, or the parts, are not fitted.
    ValueError
        If there are no parts, or if they are not the first step.
    """
    first, *steps = [*_leaves(estimator)] or [estimator]
    if not isinstance(first, PartEstimator):
        kind = type(first).__name__
        if any(isinstance(step, PartEstimator) for step in steps):
            raise ValueError(
                f"{kind} comes before the parts. Pass the steps from the parts on, "
                "estimator[1:], with the output of the steps before them as the data."
            )
        raise ValueError(
            f"{type(estimator).__name__} has no parts. Pass a DPNetClassifier, or a "
            "Pipeline of DPNetTransformer or SoftAssignParts and a linear classifier."
        )
    check_is_fitted(first)
    return first, steps


def _leaves(estimator) -> Iterator:
    """Yield the estimators that data pass through, in order."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from _leaves(step)
    elif _is_search(estimator):
        check_is_fitted(estimator)
        if not hasattr(estimator, "best_estimator_"):
            raise ValueError(
                f"{type(estimator).__name__} was fitted with refit=False, which leaves "
                "no model that could be explained."
            )
        yield from _leaves(estimator.best_estimator_)
    elif estimator is not None and not isinstance(estimator, str):  # "passthrough"
        yield estimator


def _is_search(estimator) -> bool:
    """Return whether an estimator is a search over parameters (GridSearchCV)."""
    # scikit-learn has no public base class of its searches and of those of other
    # packages, and attributes such as `refit` are those of LogisticRegressionCV too.
    return any(cls.__name__ == "BaseSearchCV" for cls in type(estimator).__mro__)


def _read_linear(parts: PartEstimator, steps: list) -> LinearReadout:
    *between, final = steps or [parts]
    if not is_classifier(final):
        raise ValueError(
            f"{type(final).__name__} names no class, so there is no decision to "
            "explain; put parts and a linear classifier into a Pipeline."
        )
    check_is_fitted(final)
    needed = ("coef_", "intercept_", "classes_", "decision_function")
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
    return LinearReadout(final.classes_, coef, intercept)


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
    """Refuse a classifier whose decision is not the one of its coefficients."""
    # SVC has coefficients for pairs of classes, in the same shape where there are three
    # classes: only a comparison of decisions shows which they are.
    probe = np.random.default_rng(0).normal(size=(1, coef.shape[1]))
    n_rows = 1 if len(final.classes_) == 2 else len(final.classes_)
    if len(coef) not in (n_rows, len(final.classes_)):
        raise _not_linear(final)
    with warnings.catch_warnings():
        # It may have been fitted with names of the parts, which the probe lacks.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        decided = np.ravel(final.decision_function(probe))
    expected = np.ravel(probe @ coef.T + intercept)
    tolerance = 1e-4 * np.abs(expected).max(initial=1e-30)
    if decided.shape != expected.shape or np.abs(decided - expected).max() > tolerance:
        raise _not_linear(final)


def _not_linear(final) -> ValueError:
    return ValueError(
        f"the decision of {type(final).__name__} is no sum of one contribution a part; "
        "take a linear classifier, such as LinearSVC or LogisticRegression."
    )
