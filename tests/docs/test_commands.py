"""docs/commands.md has a section for each command, whose command lines are valid."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from skdpnet.cli import _parser
from skdpnet.cli.methods import FITTED, METHODS

TEXT = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")


def subparsers():
    (commands,) = (a for a in _parser("x")._actions if isinstance(a.choices, dict))
    return commands.choices


def test_each_command_has_a_section():
    assert set(re.findall(r"^## (\w+)$", TEXT, re.M)) == set(subparsers())


def test_command_lines_are_valid():
    lines = re.findall(r"^ *python -m skdpnet (.*)$", TEXT, re.M)
    assert len(lines) >= 10
    for line in lines:
        words = shlex.split(line.split(" > ")[0])
        assert _parser("x").parse_args(words).command == words[0]


def test_the_options_that_are_named_exist():
    known = {
        option
        for parser in subparsers().values()
        for action in parser._actions
        for option in action.option_strings
    }
    named = set(re.findall(r"`(--[a-z-]+)", TEXT))
    assert len(named) > 10
    assert named <= known


def test_the_table_of_methods_is_complete():
    rows = re.findall(r"^\| `(\w+)`.*?\| `(\w+)` \|", TEXT, re.M)
    assert dict(rows) == {name: METHODS[name].estimator for name in FITTED}
