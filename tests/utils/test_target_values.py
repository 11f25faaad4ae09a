"""Numbers as targets: what is accepted, and what the errors name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from skdpnet import DPNetRegressor
from skdpnet.utils.target_values import check_target_values

MODEL = DPNetRegressor()
X = np.zeros((3, 2))


@pytest.mark.parametrize(
    "y",
    [
        [1, 2, 3],
        np.array([1.0, 2, 3], np.float32),
        np.array([1, 2, 3], object),
        pd.Series([1, 2, 3]),
        pd.Series([1, 2, 3], dtype="Int64"),
    ],
)
def test_vectors_are_columns_of_numbers(y):
    values, is_vector = check_target_values(MODEL, X, y)
    assert values.dtype == np.float64 and is_vector
    np.testing.assert_array_equal(values, [[1], [2], [3]])


def test_matrices_stay_and_truth_is_a_number():
    values, is_vector = check_target_values(MODEL, X, [[True], [False], [True]])
    assert not is_vector
    np.testing.assert_array_equal(values, [[1], [0], [1]])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        ([1, np.nan, 3], r"Input y contains NaN \(item 1\)"),
        ([[1, 2], [3, np.inf], [4, 5]], r"contains inf \(item 1, target 1\)"),
        ([1, 2, 1e200], r"contains 1e\+200 \(item 2\)"),
        ([1, None, 3], r"Input y contains NaN \(item 1\)"),
        (pd.Series([1, pd.NA, 3], dtype="Int64"), r"contains NaN \(item 1\)"),
        (np.ma.masked_equal([1.0, 2, 3], 3), r"\(item 2\)"),
        (["ash", "oak", "ash"], r"y holds .*'ash'.* \(item 0\).*DPNetClassifier"),
        ([1, 2], "inconsistent numbers of samples"),
        (np.zeros((3, 2, 2)), r"has shape \(3, 2, 2\)"),
        (np.zeros((3, 0)), r"has shape \(3, 0\)"),
        ([1, 2j, 3], "Complex data not supported"),
        (pd.to_datetime(["2020", "2021", "2022"]), "predicts numbers"),
    ],
)
def test_what_is_no_number_is_named(y, message):
    with pytest.raises(ValueError, match=message):
        check_target_values(MODEL, X, y)
