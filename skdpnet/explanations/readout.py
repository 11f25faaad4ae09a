"""Readouts: how a fitted model computes the scores of classes from the descriptor."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier, is_regressor
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.explanations.model_steps import find_parts
from skdpnet.utils.validation import class_number

__all__ = [
    "EstimatorReadout",
    "LinearReadout",
    "PartSums",
    "Readout",
    "linear_readout",
    "read_model",
]


class Readout(ABC):
    """The scores of classes as a function of the descriptor, and their contributions.

    Attributes
    ----------
    classes : ndarray of shape (C,)
        The labels of the classes; of a regressor, the numbers of its targets.
    outcome : {"class", "labels", "target"}
        What scores decide: on one class of each image; for each class whether an image
        has it; or on nothing, because they are themselves the predicted targets.
    """

    classes: np.ndarray
    outcome: str = "class"

    @abstractmethod
    def scores(self, descriptors: np.ndarray) -> np.ndarray:
        """Compute the score of each class.

        Parameters
        ----------
        descriptors : float64 ndarray of shape (n, F)
            As from the `transform` of the parts.

        Returns
        -------
        float64 ndarray of shape (n, C)
            Whatever `outcome` says of them.
        """

    @abstractmethod
    def contributions(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Compute the contribution of each part to the score of a class.

        Parameters
        ----------
        descriptors : float64 ndarray of shape (n, F)
        class_number : int
            An index into `classes`.

        Returns
        -------
        float64 ndarray of shape (n, P)
            The difference between the score and their sum is the bias.
        """

    def biases(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return the score of a class minus the contributions of the parts, (n,)."""
        total = self.contributions(descriptors, class_number).sum(axis=1)
        return self.scores(descriptors)[:, class_number] - total

    def number_of(self, label) -> int:
        """Return the position of a class, or of a target, in `classes`.

        Raises
        ------
        ValueError
            If there is none of this label; the message names similar ones.
        """
        noun = "target" if self.outcome == "target" else "class"
        return class_number(self.classes, label, noun)

    def weights(self, class_number: int) -> np.ndarray | None:
        """Return the contribution of one unit of each part to a class's score, (P,).

        None if contributions are not proportional to the descriptor, or if it has
        several numbers for each part.
        """
        return None


@dataclass(frozen=True, eq=False)
class LinearReadout(Readout):
    """A linear classifier on the descriptor, ``descriptor @ coef.T + intercept``.

    The score is the sum of the contributions and the intercept.

    Attributes
    ----------
    classes : ndarray of shape (C,)
        The labels of the classes.
    coef : float64 ndarray of shape (C, P)
    intercept : float64 ndarray of shape (C,)
    outcome : {"class", "labels", "target"}, default="class"
        See `Readout`.
    """

    classes: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray
    outcome: str = "class"

    def scores(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the logits, (n, C)."""
        return descriptors @ self.coef.T + self.intercept

    def contributions(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return ``V_cp · b_p`` for each part p and each image, (n, P)."""
        return descriptors * self.coef[class_number]

    def biases(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return the class's intercept, (n,)."""
        return np.full(len(descriptors), self.intercept[class_number])

    def weights(self, class_number: int) -> np.ndarray:
        """Return the class's row of V, (P,)."""
        return self.coef[class_number]


@dataclass(frozen=True, eq=False)
class EstimatorReadout(Readout):
    """The decision of an estimator that computes contributions itself.

    Attributes
    ----------
    classes : ndarray of shape (C,)
        The labels of the classes.
    estimator : fitted classifier
        It has methods ``class_scores(descriptors)``, which returns an array (n, C), and
        ``contributions(descriptors, class_number)``, which returns an array (n, P). Its
        docstring says how contributions and scores are related.
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


class PartSums(Readout):
    """The decision on a descriptor that has several numbers for each part.

    Parameters
    ----------
    columns : Readout
        The decision, whose contributions are those of the descriptor's numbers.
    column_parts : int ndarray of shape (F,)
        The part of each number, ascending; each part has one at least.
    """

    def __init__(self, columns: Readout, column_parts: np.ndarray):
        self.columns, self.outcome = columns, columns.outcome
        self.classes = columns.classes
        self._n_columns = len(column_parts)
        self._starts = np.flatnonzero(np.diff(column_parts, prepend=-1))

    def scores(self, descriptors: np.ndarray) -> np.ndarray:
        """Return the scores of the decision, (n, C)."""
        return self.columns.scores(descriptors)

    def contributions(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return the sums of the contributions of each part's numbers, (n, P)."""
        of_columns = self.columns.contributions(descriptors, class_number)
        if of_columns.shape[1] != self._n_columns:
            raise ValueError(
                f"the classifier returned {of_columns.shape[1]} contributions of each "
                f"image, and the descriptor has {self._n_columns} numbers: it should "
                "return one for each, and those of a part are added up."
            )
        return np.add.reduceat(of_columns, self._starts, axis=1)

    def biases(self, descriptors: np.ndarray, class_number: int) -> np.ndarray:
        """Return the biases of the decision, (n,)."""
        return self.columns.biases(descriptors, class_number)


def read_model(estimator) -> tuple[PartEstimator, Readout]:
    """Split a fitted model into its parts and its decision on their descriptor.

    Parameters
    ----------
    estimator : fitted classifier
        As in `skdpnet.explain`. If the classifier has the methods `class_scores` and
        `contributions`, the readout is an `EstimatorReadout`, otherwise a
        `LinearReadout`. Where the descriptor has several numbers for each part, it is
        in a `PartSums`.

    Returns
    -------
    parts : fitted PartEstimator
    readout : Readout

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If it has no parts, or if its classifier is neither linear nor has those
        methods.
    """
    parts, steps = find_parts(estimator)
    readout = _read_decision(parts, steps)
    if parts.describes_by_responses_:
        return parts, readout
    return parts, PartSums(readout, parts.column_parts_)


def _read_decision(parts: PartEstimator, steps: list) -> Readout:
    """Read the decision on the numbers of the descriptor."""
    final = steps[-1] if steps else parts
    if hasattr(final, "contributions") and hasattr(final, "class_scores"):
        check_is_fitted(final)
        if len(steps) > 1:
            raise ValueError(
                f"{type(final).__name__} computes contributions from the descriptor of "
                f"the parts; leave out {type(steps[0]).__name__}, which changes it."
            )
        return EstimatorReadout(final.classes_, final)
    return _read_linear(parts, steps)


def linear_readout(estimator) -> LinearReadout:
    """Read a fitted model's decision as one linear classifier on the descriptor.

    It has a coefficient for each number of the descriptor, also where parts have
    several. A standardisation between parts and classifier is included in the
    coefficients and intercepts, which changes no score. If a classifier of two classes
    has one row of coefficients, the row of the first class is its negative.

    Parameters
    ----------
    estimator : fitted classifier
        As in `skdpnet.explain`.

    Returns
    -------
    LinearReadout

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If it has no parts, or if the steps after them are not linear.
    """
    return _read_linear(*find_parts(estimator))


def _read_linear(parts: PartEstimator, steps: list) -> LinearReadout:
    """Read the parts' classifier, or the steps after them, as a linear classifier."""
    *between, final = steps or [parts]
    if final is parts and is_regressor(parts):
        return LinearReadout(
            np.arange(len(parts.coef_)), parts.coef_, parts.intercept_, "target"
        )
    if not is_classifier(final):
        raise ValueError(
            f"{type(final).__name__} is not a classifier, so there is no decision to "
            "explain; put parts and a linear classifier into a Pipeline."
        )
    check_is_fitted(final)
    needed = ("coef_", "intercept_", "classes_", "decision_function")
    if not all(hasattr(final, name) for name in needed):
        raise _not_linear(final)
    coef = final.coef_.toarray() if issparse(final.coef_) else final.coef_
    coef = np.atleast_2d(np.asarray(coef, np.float64))
    intercept = np.broadcast_to(np.asarray(final.intercept_, np.float64), len(coef))
    is_multilabel = getattr(final, "multilabel_", False)
    if final is not parts:
        is_multilabel = _check_linear(final, coef, intercept)
    scale, shift = _standardisation(between, coef.shape[1])
    intercept = intercept + coef @ shift
    coef = coef * scale
    if len(coef) == 1:
        coef, intercept = np.vstack([-coef, coef]), np.append(-intercept, intercept)
    return LinearReadout(
        final.classes_, coef, intercept, "labels" if is_multilabel else "class"
    )


def _standardisation(steps: Sequence, n_parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Combine scalers into the scale and shift of ``scale * x + shift``."""
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


def _check_linear(final, coef: np.ndarray, intercept: np.ndarray) -> bool:
    """Raise a ValueError if a classifier does not decide by its coefficients.

    Return whether it predicts an indicator matrix.
    """
    # SVC has coefficients for pairs of classes. With three classes they have the same
    # shape as coefficients for classes, and only the decisions differ.
    probe = np.random.default_rng(0).normal(size=(1, coef.shape[1]))
    n_rows = 1 if len(final.classes_) == 2 else len(final.classes_)
    if len(coef) not in (n_rows, len(final.classes_)):
        raise _not_linear(final)
    with warnings.catch_warnings():
        # If the classifier was fitted on a data frame, the probe lacks the names.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        actual = np.ravel(final.decision_function(probe))
        is_multilabel = np.ndim(final.predict(probe)) == 2
    expected = np.ravel(probe @ coef.T + intercept)
    tolerance = 1e-4 * np.abs(expected).max(initial=1e-30)
    if actual.shape != expected.shape or np.abs(actual - expected).max() > tolerance:
        raise _not_linear(final)
    return is_multilabel


def _not_linear(final) -> ValueError:
    return ValueError(
        f"the decision of {type(final).__name__} is not a sum of contributions of the "
        "parts; take a linear classifier, such as LinearSVC or LogisticRegression."
    )
