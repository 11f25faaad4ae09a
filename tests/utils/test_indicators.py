"""Which targets are indicator matrices, and what is wrong with those that are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from skdpnet import DPNetClassifier
from skdpnet.utils.indicators import check_indicators, is_matrix, memberships

Y = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]])
X = np.zeros((4, 2))
MODEL = DPNetClassifier()


@pytest.mark.parametrize(
    "y",
    [
        Y,
        Y.astype(bool),
        Y.astype(float),
        Y.astype(object),
        Y.tolist(),
        list(Y),
        sparse.csr_matrix(Y),
        sparse.coo_array(Y),
        pd.DataFrame(Y, columns=["ash", "beech", "oak"]),
    ],
)
def test_all_forms_of_a_matrix_are_the_same(y):
    assert is_matrix(y)
    indicators = check_indicators(MODEL, X, y)
    assert indicators.dtype == np.int64
    np.testing.assert_array_equal(indicators, Y)


@pytest.mark.parametrize(
    "y",
    [
        [0, 1, 2],
        ["ash", "beech"],
        np.array([[0], [1]]),
        [[0], [1]],
        pd.DataFrame({"y": [0, 1]}),
        pd.Series(["ash", "beech"]),
        np.array(["ash", None], object),
        None,
        "ab",
    ],
)
def test_one_label_of_each_image_is_no_matrix(y):
    assert not is_matrix(y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.where(Y, 2, 0), r"y holds 2 for image 0 in column 0, which is neither"),
        (np.where(Y, 1.0, np.nan), r"y holds nan for image 0 in column 1"),
        (Y.astype(str), "y holds '1' for image 0 in column 0"),
        (Y + 0.5, "y holds 1.5 for image 0 in column 0"),
        ([["ash"], ["ash", "oak"], [], []], "MultiLabelBinarizer"),
        (Y[:3], "inconsistent numbers of samples"),
        (np.zeros((4, 0)), r"y has shape \(4, 0\)"),
        (np.ma.masked_equal(Y, 1), "y holds .* for image 0 in column 0"),
    ],
)
def test_what_is_wrong_with_a_matrix_is_named(y, message):
    assert is_matrix(y)
    with pytest.raises(ValueError, match=message):
        check_indicators(MODEL, X, y)


def test_the_number_of_columns_is_that_of_the_fit():
    with pytest.raises(ValueError, match=r"y has 3 columns, but DPNetClassifier .* 4"):
        check_indicators(MODEL, X, Y, n_classes=4)


def test_a_class_that_no_image_has_is_named():
    with pytest.warns(UserWarning, match="no image has the class of column 1 of y"):
        check_indicators(MODEL, X, np.delete(Y, 2, axis=0)[[0, 1, 2, 2]], warn=True)


def test_memberships_of_labels_and_of_indicators():
    labels = np.array([2, 0, 2])
    np.testing.assert_array_equal(memberships(labels, 3), np.eye(3)[labels])
    np.testing.assert_array_equal(memberships(Y, 3), Y.astype(bool))
