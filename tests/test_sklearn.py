"""scikit-learn's own checks, all of them, on every estimator."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdpnet import (
    DPNetClassifier,
    DPNetRegressor,
    DPNetTransformer,
    LayoutGraphClassifier,
)
from skdpnet.prototypes.base import PrototypeClassifier
from tests.estimators import ARGUMENTS, all_estimators

ESTIMATORS = [
    *all_estimators(),
    DPNetClassifier("precomputed", context=True, **ARGUMENTS["DPNetClassifier"]),
]


def _expected_failures(estimator) -> dict[str, str]:
    if isinstance(estimator, (DPNetClassifier, DPNetRegressor, DPNetTransformer)):
        return {
            "check_sample_weight_equivalence_on_dense_data": (
                "a repeated sample meets other mini-batches than a weighted one, and "
                "counts twice among the regions that the first parts are clusters of"
            )
        }
    if isinstance(estimator, PrototypeClassifier):
        return {
            "check_sample_weight_equivalence_on_dense_data": (
                "a repeated sample meets other mini-batches than a weighted one, and "
                "counts twice among the regions that the whitening and the initial "
                "prototypes are learned from"
            )
        }
    if isinstance(estimator, LayoutGraphClassifier):
        return {
            "check_sample_weight_equivalence_on_dense_data": (
                "a repeated sample meets other mini-batches than a weighted one, and "
                "counts twice among the regions that the whitening is learned from"
            )
        }
    return {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=_expected_failures)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_at_most_one_check_is_expected_to_fail(estimator):
    assert len(_expected_failures(estimator)) <= 1


def test_the_table_of_arguments_names_estimators():
    assert ARGUMENTS.keys() <= {type(estimator).__name__ for estimator in ESTIMATORS}
