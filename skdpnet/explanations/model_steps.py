"""The parts of a fitted model, and the steps that follow them."""

from __future__ import annotations

from collections.abc import Iterator

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skdpnet.base.part_estimator import PartEstimator

__all__ = ["find_parts"]


def find_parts(estimator) -> tuple[PartEstimator, list]:
    """Split a fitted model into its parts and the steps that follow them.

    Parameters
    ----------
    estimator : fitted PartEstimator
        Or a Pipeline that starts with one, or a fitted search of these; any of them
        may be in a FrozenEstimator.

    Returns
    -------
    parts : fitted PartEstimator
    steps : list of estimators
        The steps after the parts, where pipelines, searches and frozen estimators among
        them are replaced by their steps, best estimators, and what they hold.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the parts, or a search, are not fitted.
    ValueError
        If there are no parts, or if they are not the first step.
    """
    first, *steps = [*_iter_steps(estimator)] or [estimator]
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


def _iter_steps(estimator) -> Iterator:
    """Iterate over the estimators that data pass through, in their order."""
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            yield from _iter_steps(step)
    elif isinstance(estimator, FrozenEstimator):
        yield from _iter_steps(estimator.estimator)
    elif _is_search(estimator):
        check_is_fitted(estimator)
        if not hasattr(estimator, "best_estimator_"):
            raise ValueError(
                f"{type(estimator).__name__} was fitted with refit=False, which leaves "
                "no model that could be explained."
            )
        yield from _iter_steps(estimator.best_estimator_)
    elif estimator is not None and not isinstance(estimator, str):  # "passthrough"
        yield estimator


def _is_search(estimator) -> bool:
    """Return whether an estimator searches over parameters, as GridSearchCV does."""
    # Searches of scikit-learn and of other packages have no public base class, and
    # LogisticRegressionCV has attributes such as `refit` too.
    return any(cls.__name__ == "BaseSearchCV" for cls in type(estimator).__mro__)
