"""Labels: none is missing, none is two at once, and unknown ones are named."""

from __future__ import annotations

import decimal
import enum
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from skdpnet import DPNetClassifier, DPNetTransformer, SoftAssignParts
from skdpnet.utils.labels import as_labels, check_classes

TEXT = ["owl", "owl", "wren", "wren"]
NUMBERS = [0, 0, 1, 1]
X = np.random.default_rng(0).normal(size=(5, 3))

# All lack the label of item 4.
MISSING = {
    "None in a list": [*TEXT, None],
    "NaN in a list": [*TEXT, float("nan")],
    "NaN in a tuple": (*TEXT, np.nan),
    "NaN of 32 bits": [*TEXT, np.float32("nan")],
    "NaN among numbers": np.array([*NUMBERS, np.nan]),
    "infinity": [*NUMBERS, np.inf],
    "Decimal": [*NUMBERS, decimal.Decimal("nan")],
    "signalling Decimal": [*NUMBERS, decimal.Decimal("snan")],
    "NA in a list": [*TEXT, pd.NA],
    "NaT in a list": [*TEXT, pd.NaT],
    "NumPy's NaT": [*TEXT, np.datetime64("NaT")],
    "array of dates": np.array(["2020-01-01"] * 4 + ["NaT"], "M8[D]"),
    "array of objects": np.array([*TEXT, pd.NA], dtype=object),
    "NaN turned to text": np.array([*TEXT, np.nan]),
    "NaN turned to bytes": np.array([b"owl"] * 4 + [b"nan"]),
    "column as str": pd.Series([*NUMBERS, np.nan]).map(str).tolist(),
    "column of .tolist()": pd.DataFrame({"y": [*TEXT, None]})["y"].tolist(),
    "NumPy's strings": np.array(
        [*TEXT, np.nan], dtype=np.dtypes.StringDType(na_object=np.nan)
    ),
    "Series": pd.Series([*TEXT, None]),
    "Series with another index": pd.Series([*TEXT, None], index=[9, 8, 7, 6, 5]),
    "Series of strings": pd.Series([*TEXT, None], dtype="string"),
    "Series of categories": pd.Series([*TEXT, None], dtype="category"),
    "Categorical": pd.Categorical([*TEXT, None]),
    "Index": pd.Index([*TEXT, None]),
    "Int64": pd.Series([*NUMBERS, None], dtype="Int64"),
    "boolean": pd.Series([True, True, False, False, None], dtype="boolean"),
    "frame": pd.DataFrame({"y": [*TEXT, None]}),
    "masked array": np.ma.array([*NUMBERS, 1], mask=[0, 0, 0, 0, 1]),
    "masked text": np.ma.array([*TEXT, "owl"], mask=[0, 0, 0, 0, 1]),
    "masked constant": [*NUMBERS, np.ma.masked],
}


@pytest.mark.parametrize("y", MISSING.values(), ids=MISSING)
def test_a_missing_label_is_named_with_its_item(y):
    with pytest.raises(ValueError, match=r"y has no label for item 4 \([^)]+(\)\)|\))"):
        as_labels(y)


def test_all_missing_labels_are_named_up_to_ten():
    with pytest.raises(ValueError, match=r"for item 1 \(None\), item 3 \(nan\): label"):
        as_labels(["owl", None, "owl", np.nan])
    with pytest.raises(ValueError, match=r"item 9 \(None\) and 3 more: label"):
        as_labels([None] * 13)


def test_a_class_cannot_be_called_as_text_of_a_missing_label():
    with pytest.raises(ValueError, match=r"\('nan'\).* a class needs another name"):
        as_labels(["owl", "nan"])
    # These are words as well.
    assert as_labels(["None", "NA", "null", "nano"]).tolist()[0] == "None"


@pytest.mark.parametrize("method", [DPNetClassifier.fit, DPNetClassifier.partial_fit])
@pytest.mark.parametrize("name", ["NaN in a list", "Int64", "masked text"])
def test_the_classifier_refuses_missing_labels(method, name):
    with pytest.raises(ValueError, match="y has no label for item 4"):
        method(DPNetClassifier("precomputed", max_epochs=0), X, MISSING[name])


@pytest.mark.parametrize("estimator", [DPNetTransformer, SoftAssignParts])
@pytest.mark.parametrize("name", ["NA in a list", "Categorical"])
def test_transformers_refuse_missing_labels(estimator, name):
    with pytest.raises(ValueError, match="y has no label for item 4"):
        estimator("precomputed", n_parts_per_class=1).fit(X, MISSING[name])


@pytest.mark.parametrize(
    "y",
    [
        ["1", 1, 1],
        ("owl", True),
        np.array(["1", 1], dtype=object),
        pd.Series([1, "1"]),
        ["owl", b"owl"],
    ],
    ids=["list", "tuple", "array", "Series", "bytes"],
)
def test_text_is_not_mixed_with_other_labels(y):
    with pytest.raises(ValueError, match=r"y mixes .* item 0 is .* and item 1 is "):
        as_labels(y)


@pytest.mark.parametrize(
    "y, remedy",
    [
        ({"a.jpg": 0}, "pass a list with the label of each image"),
        ({0, 1}, "has no order"),
        ({"a.jpg": 0}.values(), r"use list\(y\)"),
        (iter([0, 1]), r"use list\(y\)"),
        ("owl", "1d array"),
        (np.eye(3), "1d array"),
    ],
    ids=["dict", "set", "values", "iterator", "text", "one-hot"],
)
def test_what_is_no_list_of_labels_is_refused(y, remedy):
    with pytest.raises(ValueError, match=remedy):
        as_labels(y)


@pytest.mark.parametrize(
    "y, expected",
    [
        (TEXT, TEXT),
        (np.array(TEXT), TEXT),
        (np.array(TEXT, dtype=np.dtypes.StringDType()), TEXT),
        (pd.Series(TEXT, dtype="category"), TEXT),
        (pd.Series(NUMBERS, dtype="Int64"), NUMBERS),
        (torch.tensor(NUMBERS), NUMBERS),
        (np.ma.array(NUMBERS, mask=False), NUMBERS),
        ([True, False], [True, False]),
        ([], []),
    ],
)
def test_complete_labels_stay_what_they_are(y, expected):
    labels = as_labels(y)
    assert labels.ndim == 1
    assert labels.tolist() == expected


@pytest.mark.parametrize("blank", ["", " \n"])
def test_empty_labels_beside_others_are_told(blank):
    with pytest.warns(UserWarning, match=r"empty labels \(items 4\).* class of"):
        assert as_labels([*TEXT, blank]).tolist() == [*TEXT, blank]
    assert as_labels(["", " "]).tolist() == ["", " "], "names of classes on purpose"


class Bird(str, enum.Enum):  # noqa: UP042
    OWL = "owl"
    WREN = "wren"


@pytest.mark.parametrize(
    "y, expected",
    [
        ([Bird.OWL, Bird.WREN], ["owl", "wren"]),
        (np.array([2, 7], dtype=object), [2, 7]),
        (pd.Series([2, 7], dtype=object), [2, 7]),
        (np.array([True, False], dtype=object), [True, False]),
    ],
)
def test_objects_become_plain_labels(y, expected):
    model = DPNetClassifier("precomputed", max_epochs=0)
    model.fit(X[:2], y)
    assert model.classes_.tolist() == sorted(expected)
    assert {*map(type, model.classes_.tolist())} == {*map(type, expected)}


class Estimator:
    pass


def test_classes_are_sorted_labels():
    y = np.array(["wren", "owl", "wren"])
    classes, numbers = check_classes(Estimator(), y)
    assert classes.tolist() == ["owl", "wren"]
    assert numbers.tolist() == [1, 0, 1]


@pytest.mark.parametrize("y", [["owl", "owl"], []])
def test_fewer_than_two_classes_are_refused(y):
    message = f"Estimator needs labels of at least two .* y has {len({*y})} class"
    with pytest.raises(ValueError, match=message):
        check_classes(Estimator(), np.array(y))


@pytest.mark.parametrize(
    "y, classes, message",
    [
        (["1", "2"], [1, 2], r"not among the classes: \['1', '2'\]"),
        ([1, 2], ["1", "2"], r"not among the classes: \[1, 2\]"),
        ([1, 2], [1, 2, None], "classes has no label for item 2"),
        ([1, 2], [1, "2"], "classes mixes numbers and text"),
        ([1, 2], {1, 2}, "classes is of type set"),
    ],
)
def test_the_classes_of_partial_fit_are_checked_as_labels(y, classes, message):
    model = DPNetClassifier("precomputed")
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X[:2], y, classes=classes)


@pytest.fixture(scope="module")
def model():
    y = ["owl", "wren", "owl", "wren", "owl"]
    return DPNetClassifier("precomputed", max_epochs=0, random_state=0).fit(X, y)


def test_the_score_warns_of_labels_that_the_model_does_not_know(model):
    y = model.predict(X).tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.score(X, y) == 1
    y[3] = "crow"
    with pytest.warns(UserWarning, match="know: 'crow', the first at item 3.*'owl'"):
        assert model.score(X, y) == 0.8
    with pytest.warns(UserWarning, match="'crow'"):
        assert model.score(X, y, sample_weight=[1, 1, 1, 6, 1]) == pytest.approx(0.4)


def test_the_score_refuses_labels_that_cannot_be_those_of_the_model(model):
    with pytest.raises(ValueError, match=r"y holds 0 \(item 0\), but the classes"):
        model.score(X, [0, 1, 0, 1, 0])
    with pytest.raises(ValueError, match="no label for item 1"):
        model.score(X, ["owl", None, "owl", "owl", "owl"])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.score(X, ["owl"])
