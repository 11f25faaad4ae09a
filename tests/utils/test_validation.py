"""What the checks accept, what they refuse, and what their messages say.

Checks of labels are tested in `tests/utils/test_labels.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

from skdpnet.utils.validation import (
    Number,
    OneOf,
    SequenceOf,
    check_parameters,
    check_whole,
    class_number,
    part_numbers,
)


@pytest.mark.parametrize(
    "constraint, allowed, refused",
    [
        (Number(0), [0, 0.5, 10**9, np.float32(1)], [-1e-9, float("inf")]),
        (Number(0, above=True), [1e-9, 3], [0, -1]),
        (Number(0, below=1), [0, 0.99], [1, 1.5]),
        (Number(0, at_most=1), [0, 1], [1.01]),
        (Number(1, whole=True), [1, np.int8(5)], [0, 1.0, 2.5]),
    ],
    ids=str,
)
def test_numbers_within_their_bounds_are_accepted(constraint, allowed, refused):
    assert all(constraint.accepts(value) for value in allowed)
    refused = [*refused, float("nan"), True, np.True_, "1", None, [1], 1j]
    assert not any(constraint.accepts(value) for value in refused)


def test_numbers_describe_their_bounds():
    assert str(Number(0)) == "a number of at least 0"
    assert str(Number(0, above=True, below=1)) == "a number above 0 and below 1"
    limited = Number(1, at_most=9, whole=True)
    assert str(limited) == "a whole number of at least 1 and at most 9"


def test_one_of_accepts_its_options_only():
    constraint = OneOf(("auto", "float32"))
    assert constraint.accepts("auto")
    assert not any(constraint.accepts(value) for value in ("AUTO", "", None, 1))
    assert str(constraint) == "one of ('auto', 'float32')"


def test_sequences_need_numbers_within_their_bounds():
    constraint = SequenceOf(Number(1, whole=True), "whole numbers of at least 1")
    for value in ([16], (16, 32), np.array([8, 16])):
        assert constraint.accepts(value)
    for value in ([], (0,), (1.5,), "16", 16, {16}, None, [[16]]):
        assert not constraint.accepts(value)
    assert str(constraint) == "a sequence of whole numbers of at least 1"


class Estimator:
    _parameter_constraints = {
        "rate": [Number(0, above=True)],
        "size": [Number(1, whole=True), None],
        "mode": [OneOf(("fast", "exact")), Number(0)],
    }

    def __init__(self, rate=0.1, size=None, mode="fast"):
        self.rate, self.size, self.mode = rate, size, mode


def test_parameters_are_checked_against_the_table_of_the_class():
    check_parameters(Estimator())
    check_parameters(Estimator(size=3, mode=0.5))


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"rate": 0}, "rate must be a number above 0, got 0."),
        ({"rate": None}, "rate must be a number above 0, got None."),
        ({"size": 0}, "size must be a whole number of at least 1, or None, got 0."),
        (
            {"mode": "slow"},
            "mode must be one of ('fast', 'exact') or a number of at least 0, "
            "got 'slow'.",
        ),
    ],
)
def test_messages_name_the_parameter_and_what_is_allowed(parameters, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_parameters(Estimator(**parameters))
    assert str(caught.value) == message


def test_whole_numbers_within_their_bounds_are_accepted():
    for value in (1, np.int64(5), 9):
        whole = check_whole("n", value, 1, 9)
        assert type(whole) is int
        assert whole == value
    for value in (0, 10, 2.0, True, "3", None):
        with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
            check_whole("n", value, 1, 9)


def test_a_class_has_the_number_of_its_label():
    classes = np.array(["heron", "sparrow", "swallow"])
    assert class_number(classes, "sparrow") == 1
    with pytest.raises(ValueError, match="did you mean 'swallow'"):
        class_number(classes, "swalow")
    with pytest.raises(ValueError, match="none of the 3 classes; they are 'heron', "):
        class_number(classes, 7)
    with pytest.raises(ValueError, match="a class must be one label"):
        class_number(classes, ["heron"])
    with pytest.raises(ValueError, match=r"none of the 20 classes; .* 8, 9, …$"):
        class_number(np.arange(20), "heron")


def test_a_class_is_found_in_another_unicode_form():
    composed, decomposed = "\u00e9tourneau", "e\u0301tourneau"
    assert class_number(np.array(["crow", composed]), decomposed) == 1
    assert class_number(np.array(["crow", decomposed]), composed) == 1
    both = np.array([composed, decomposed])
    assert class_number(both, decomposed) == 1, "an equal label comes first"
    with pytest.raises(ValueError, match="did you mean 1"):
        class_number(np.array([1, 2]), "1")


def test_parts_are_numbers_or_a_mask():
    assert part_numbers(None, 3).tolist() == [0, 1, 2]
    assert part_numbers(2, 3).tolist() == [2]
    assert part_numbers([2, 0, 2], 3).tolist() == [2, 0, 2]
    assert part_numbers([], 3).tolist() == []
    assert part_numbers(np.array([True, False, True]), 3).tolist() == [0, 2]


@pytest.mark.parametrize("parts", [3, -1, [0, 3], np.ones(2, bool)])
def test_missing_parts_and_masks_of_another_length_are_refused(parts):
    with pytest.raises(IndexError, match=r"no part|does not fit 3 parts"):
        part_numbers(parts, 3)


@pytest.mark.parametrize("parts", [1.0, "part0", [0, None]])
def test_parts_that_are_not_whole_numbers_are_refused(parts):
    with pytest.raises(TypeError, match="parts are named by whole numbers"):
        part_numbers(parts, 3)
