"""The files around the code agree with one another and with the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_names_the_paper():
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    (paper,) = CITATION["references"]
    # As the docstring of the estimator has it.
    from skdpnet import DPNetClassifier

    source = " ".join(DPNetClassifier.__doc__.split())
    names = [
        f"{each['given-names']} {each['family-names']}" for each in paper["authors"]
    ]
    assert f'{", ".join(names)}, "{paper["title"]}"' in source
    assert paper["identifiers"][0]["value"].removeprefix("arXiv:") in source
    assert PROJECT["urls"]["Paper"] == paper["url"]


def test_the_workflow_runs_the_versions_that_the_classifiers_name():
    named = [
        name.rpartition(" ")[2]
        for name in PROJECT["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", name)
    ]
    matrix = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"
    lowest = [job for job in matrix["include"] if job["versions"] == "lowest-direct"]
    assert {job["os"] for job in lowest} == {*matrix["os"]}
    assert {job["python"] for job in lowest} == {named[0]}


def test_the_source_distribution_has_what_the_root_has():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = config["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for name in included:
        assert (ROOT / name.lstrip("/")).exists(), name
    texts = {f"/{path.name}" for path in ROOT.glob("*.md")}
    assert texts <= {*included}


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CODE_OF_CONDUCT.md"])
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert targets
    for target in targets:
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_targets_of_make_that_are_named_exist():
    makefile = (ROOT / "Makefile").read_text()
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", text, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M), target
