"""The benchmark of settings for fine-grained photographs: what is run and printed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from benchmarks.explanations import fine_grained


@pytest.fixture
def asked(monkeypatch):
    """Collect what is measured, in place of measuring it."""
    calls = []

    def photographs(folder, framing):
        return SimpleNamespace(name=folder.name, framing=framing)

    def run(sets, listed, seeds, *, lines, **numbers):
        (data,), (trial,) = sets, listed
        calls.append((data.framing, trial, tuple(seeds)))
        return [
            {
                **trial._asdict(),
                "data": data.name,
                "image_size": data.framing.image_size,
                "framing": data.framing.name,
                "n_train": 3,
                "n_test": 2,
                "n_perturbed": 2,
                "n_steps": 1,
                "seed": 0,
                "settings": {},
                "measures": {
                    "accuracy": {"value": 0.625, "chance": 0.5},
                    "inside": {"value": 0.9, "chance": 0.25},
                },
            }
        ]

    monkeypatch.setattr(fine_grained, "photographs", photographs)
    monkeypatch.setattr(fine_grained, "run", run)
    return calls


def test_every_line_is_measured_and_the_global_descriptor_beside_them(
    asked, tmp_path, capsys
):
    output = tmp_path / "results.json"
    arguments = ["--data", str(tmp_path / "birds")]
    fine_grained.main(
        [*arguments, "--lines", str(tmp_path / "lines"), "--output", str(output)]
    )
    assert {seeds for *_, seeds in asked} == {(0, 1, 2)}
    listed = [(framing, trial) for framing, trial, _ in asked]
    assert listed == fine_grained.LADDER
    for framing in {framing for framing, _ in listed}:
        assert (framing, fine_grained.LADDER[0][1]) in listed
    printed = capsys.readouterr().out
    assert "| 62.5 (50.0) | 90.0 (25.0) |" in printed
    fine_grained.main(["--table", "--output", str(output)])
    assert capsys.readouterr().out == printed
    assert "settings" not in json.loads(output.read_text())["rows"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --data and --lines, or --table alone"),
        (["--table", "--output", "missing.json"], "there is no file missing.json"),
        (
            ["--data", "x", "--lines", "y", "--n-perturbed", "0"],
            "--n-perturbed must be",
        ),
    ],
)
def test_command_line_errors(capsys, arguments, message):
    with pytest.raises(SystemExit):
        fine_grained.main(arguments)
    assert message in capsys.readouterr().err
