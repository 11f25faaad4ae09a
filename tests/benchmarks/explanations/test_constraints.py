"""The benchmark of constraints: what is run, resuming, and the command line."""

from __future__ import annotations

import json

import pytest

from benchmarks.accuracy import methods
from benchmarks.explanations import constraints
from benchmarks.explanations.trials import Trial


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command on small made images."""
    monkeypatch.setattr(methods, "C_GRID", (1,))
    lines = tmp_path / "results" / "constraints.jsonl"

    def run(*arguments) -> tuple[list[dict], str]:
        constraints.main([*arguments, "--lines", str(lines)])
        rows = [json.loads(line) for line in lines.read_text().splitlines()]
        return rows, capsys.readouterr().out

    run.lines = lines
    run.small = (
        "--data", "made", "--n-train", "24", "--n-test", "8", "--image-size", "64",
        "--n-perturbed", "2", "--set", "max_epochs=1", "n_parts_per_class=2",
        "--memory", str(tmp_path / "maps"),
    )  # fmt: skip
    return run


def test_one_command(command):
    weights = ("--orthogonality-weight", "0.2", "--specificity-weight", "0.3")
    rows, printed = command(*command.small, *weights, "--seeds", "5")
    assert [row["method"] for row in rows[:2]] == [
        methods.GLOBAL, methods.GLOBAL_SAME_MAPS
    ]  # fmt: skip
    assert rows[0]["C"] == 1 and set(rows[0]["measures"]) == {"accuracy"}
    names = [row["constraints"] for row in rows[2:]]
    assert names == ["without", "⊥", "A", "CS", "⊥ + A", "CS + ⊥", "CS + A", "all"]
    assert rows[5]["settings"]["specificity_weight"] == 0.3
    assert rows[5]["settings"]["max_epochs"] == 1 and rows[5]["seed"] == 5
    assert rows[5]["n_perturbed"] == 2
    zeros = [row["measures"]["zeros"]["value"] for row in rows[2:]]
    assert zeros[0] == 0 < zeros[3]
    assert "| DP-Net, CS + A, `max_epochs=1 n_parts_per_class=2` |" in printed
    # The table alone is the same, and a resumed run adds what is missing.
    assert command("--table") == (rows, printed)
    text = command.lines.read_text()
    command.lines.write_text(text[:-30])
    again, _ = command(*command.small, *weights, "--seeds", "5")
    assert again[:-1] == rows[:-1] and again[-1]["measures"] == rows[-1]["measures"]


def test_lines_of_other_defaults_are_refused(command):
    key = Trial("DP-Net", "", {})._asdict()
    line = {**key, "seed": 0, "settings": {"lr": 0.123}}
    command.lines.parent.mkdir()
    command.lines.write_text(json.dumps(line) + "\n")
    with pytest.raises(SystemExit, match="line 1 .* other defaults of .*lr"):
        command(*command.small)


def test_changed_strides_apply_to_the_descriptor_of_the_same_maps():
    listed = constraints.trials_of({"strides": (16,), "beta": 5}, (1.0, 0.2, 0.3))
    assert [trial.changes for trial in listed[:2]] == [{}, {"strides": (16,)}]
    without = {"strides": (16,), "beta": 5, "specificity_weight": 0}
    assert listed[2].changes == without
    assert len(listed) == 10


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "give --data, or --table alone"),
        (["--data", "/nowhere"], "no folder 'train'"),
        (["--data", "made", "--n-test", "0"], "--n-test must be"),
        (["--data", "made", "--set", "betta=3"], "no setting 'betta'"),
        (["--table"], "there are no lines in"),
    ],
)
def test_command_line_errors(command, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        command(*arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
