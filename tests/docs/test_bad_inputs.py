"""docs/bad_inputs.md lists the inputs of its script, with what is said of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.robustness import bad_inputs
from benchmarks.robustness.bad_encoding_cases import encoding_cases
from benchmarks.robustness.bad_file_cases import file_cases
from benchmarks.robustness.bad_image_cases import Case, image_cases
from benchmarks.robustness.bad_prototype_cases import prototype_cases

PAGE = (Path(__file__).parents[2] / "docs" / "bad_inputs.md").read_text("utf-8")
QUICK = "The cache (memory)"


def _rows() -> list[tuple[str, str, str]]:
    """Heading, input and outcome of each row of the page."""
    rows = []
    for section in PAGE.split("\n## ")[1:]:
        heading, _, table = section.partition("\n")
        for line in re.findall(r"^\| .*$", table, re.M)[2:]:
            given, what, _ = re.split(r"(?<!\\) \| ", line[2:], maxsplit=2)
            rows.append((heading, given, what))
    return rows


def test_the_page_lists_the_inputs_of_the_script():
    cases = [*image_cases(), *file_cases(), *encoding_cases(), *prototype_cases()]
    page = [(heading, given) for heading, given, _ in _rows()]
    assert page == [(case.kind, bad_inputs.cell(case.given)) for case in cases]
    assert len(page) >= 60


def test_the_page_names_no_place_on_a_computer():
    assert re.findall(r"(?<![\w:/.…])/[A-Za-z]\w*/", PAGE) == []
    assert "0x" not in PAGE.replace("0x…", "")


def test_outcomes_are_those_on_the_page():
    with bad_inputs.cases_in_a_folder() as cases:
        now = [
            (case.kind, bad_inputs.cell(case.given), bad_inputs.outcome(case)[0])
            for case in cases
            if case.kind == QUICK
        ]
    assert now == [row for row in _rows() if row[0] == QUICK]


@pytest.mark.parametrize(
    "act, what, said",
    [
        (lambda: int("a|b"), "error", "ValueError: invalid literal"),
        (lambda: None, "accepted", ""),
        (lambda: "error: no (status 1)", "error", "error: no (status 1)"),
        (lambda: " (status 0)", "accepted", "(status 0)"),
    ],
)
def test_an_outcome_is_what_happens(act, what, said):
    case = Case("kind", "given", act)
    outcome = bad_inputs.outcome(case)
    assert outcome[0] == what and outcome[1].startswith(said)
    row = bad_inputs.page([(case, *outcome)]).splitlines()[-1]
    assert row.startswith(f"| given | {what} | ")
    assert "|b" not in row.replace("\\|", "")
