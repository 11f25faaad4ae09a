"""Names that users give to parts, and where they go."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import skdpnet
from skdpnet import SoftAssignParts, explain, part_gallery
from skdpnet.base.part_names import named_parts, renamed
from skdpnet.exceptions import ModelFileError
from skdpnet.persistence.model_file import read, write
from tests.estimators import all_estimators

NAMES = np.array(["a_part0", "a_part1", "b_part0"], dtype=object)


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    X, y = random.normal(size=(40, 3, 3, 6)).astype(np.float32), np.arange(40) % 2
    X[y == 1, 1, 1, 0] += 9
    return X, y


@pytest.mark.parametrize(
    ("parts", "numbers"),
    [
        (2, [2]),
        ("b_part0", [2]),
        ([0, "b_part0"], [0, 2]),
        (np.array([1, 0]), [1, 0]),
        ([True, False, True], [0, 2]),
        ([np.str_("a_part1")], [1]),
        ([], []),
    ],
)
def test_parts_are_named_by_number_name_or_mask(parts, numbers):
    assert named_parts(parts, NAMES).tolist() == numbers


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ("beak", ValueError, "no part 'beak'.*'a_part0'"),
        ([3], IndexError, "no part 3"),
        ([-1], IndexError, "no part -1"),
        ([0.5], TypeError, "whole numbers"),
        ([0.5, "a_part0"], TypeError, "whole numbers"),
        (None, TypeError, "got None"),
        ([True], IndexError, "mask"),
    ],
)
def test_parts_that_do_not_exist(parts, error, message):
    with pytest.raises(error, match=message):
        named_parts(parts, NAMES)


def test_a_name_of_several_parts_is_refused():
    with pytest.raises(ValueError, match=r"2 parts are called 'x'.*\[0, 2\]"):
        named_parts("x", np.array(["x", "y", "x"], dtype=object))


def test_names_can_be_exchanged():
    new = {"a_part0": "a_part1", 1: "a_part0"}
    assert renamed(new, NAMES).tolist() == ["a_part1", "a_part0", "b_part0"]


@pytest.mark.parametrize(
    ("new", "error", "message"),
    [
        ({0: "a_part1"}, ValueError, r"called 'a_part1', parts \[0, 1\]"),
        ({0: "wing", 1: "wing"}, ValueError, "called 'wing'"),
        ({0: "wing", "a_part0": "beak"}, ValueError, "part 0, 'a_part0', is renamed"),
        ({0: " "}, ValueError, "part 0 is blank"),
        ({0: 1}, TypeError, "part 0 must be text, got int"),
        (["wing"], TypeError, "got list"),
        ({9: "wing"}, IndexError, "no part 9"),
        ({"tail": "wing"}, ValueError, "no part 'tail'"),
    ],
)
def test_names_that_parts_cannot_have(new, error, message):
    before = NAMES.copy()
    with pytest.raises(error, match=message):
        renamed(new, NAMES)
    assert (NAMES == before).all()


def test_every_part_estimator_keeps_its_names(data, tmp_path):
    X, y = data
    for estimator in all_estimators():
        if not hasattr(estimator, "rename_parts"):
            continue
        with pytest.raises(NotFittedError):
            estimator.rename_parts({0: "beak"})
        before = estimator.fit(X, y).get_feature_names_out()
        assert estimator.rename_parts({0: "beak"}) is estimator
        expected = ["beak", *before[1:]]
        assert estimator.get_feature_names_out().tolist() == expected
        estimator.save(tmp_path / "model")
        loaded = skdpnet.load(tmp_path / "model")
        assert loaded.get_feature_names_out().tolist() == expected


def test_fit_forgets_the_names_and_partial_fit_keeps_them(data):
    X, y = data
    model = skdpnet.DPNetClassifier("precomputed", n_parts_per_class=2, max_epochs=1)
    before = model.fit(X, y).get_feature_names_out()
    assert before.tolist() == [
        *("0_part0", "0_part1", "1_part0", "1_part1", "0_context", "1_context"),
    ]
    model.rename_parts({4: "scene"}).partial_fit(X, y)
    assert model.get_feature_names_out()[4] == "scene"
    assert model.fit(X, y).get_feature_names_out().tolist() == before.tolist()


def test_names_are_those_of_frames_explanations_and_galleries(data):
    pytest.importorskip("pandas")
    X, y = data
    model = skdpnet.DPNetClassifier("precomputed", n_parts_per_class=2, random_state=0)
    model.fit(X, y).set_output(transform="pandas").rename_parts({1: "beak"})
    assert model.transform(X).columns[1] == "beak"
    assert explain(model, X[0]).part_names[1] == "beak"
    assert skdpnet.explain_class(model, 0, X).part_names[1] == "beak"
    assert part_gallery(model, 1, X).name == "beak"


def test_the_names_that_an_estimator_returns_are_a_copy(data):
    parts = SoftAssignParts("precomputed", n_parts_per_class=1).fit(*data)
    parts.rename_parts({0: "beak"}).get_feature_names_out()[0] = "tail"
    assert parts.get_feature_names_out()[0] == "beak"


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ('["beak"]', "a name for each part"),
        ('["beak", "beak"]', "a name twice"),
        ('["beak", " "]', "a blank"),
        (f'["beak", "{"x" * 2000}"]', "2000 characters"),
    ],
)
def test_forged_names_are_refused(data, tmp_path, stored, message):
    path = tmp_path / "model"
    SoftAssignParts("precomputed", n_parts_per_class=1).fit(*data).rename_parts(
        {0: "beak"}
    ).save(path)
    metadata, tensors = read(path)
    forged = re.sub(r'\["beak", "[^"]*"\]', stored, metadata["fitted"])
    assert forged != metadata["fitted"]
    write(path, {**metadata, "fitted": forged}, tensors)
    with pytest.raises(ModelFileError, match=message):
        skdpnet.load(path)
