"""The benchmark of explanations: what is run, resuming, and the command line."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from benchmarks.accuracy import methods
from benchmarks.explanations import __main__ as explanations
from benchmarks.explanations import measures
from skdpnet.images.framing import Framing


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Return a run whose fits and measures are fast and made up."""
    asked = []

    def fit(estimator, data, seed):
        asked.append((data.name, estimator, seed))
        return estimator

    def measure(model, data, *, n_perturbed, n_steps, seed):
        return {"accuracy": measures.Measurement(0.5 + seed / 4, 0.1)}

    monkeypatch.setattr(explanations, "fit_model", fit)
    monkeypatch.setattr(explanations, "measure", measure)
    framing = Framing(64, "pad")
    data = SimpleNamespace(name="pond", framing=framing, train="abc", test="de")
    listed = explanations.trials({"beta": 5}, (1.0, 0.2, 0.3))

    def run(seeds=(0, 1), n_perturbed=40) -> list[dict]:
        asked.clear()
        return explanations.run(
            [data], listed, list(seeds), n_perturbed=n_perturbed, n_steps=7,
            memory=tmp_path, lines=tmp_path / "lines.jsonl",
        )  # fmt: skip

    run.asked, run.file = asked, tmp_path / "lines.jsonl"
    return run


def test_all_constraints_are_measured(small):
    lines = small(seeds=[3])
    assert len(lines) == len(small.asked) == 10
    described, staged, *dpnets = [estimator for _, estimator, _ in small.asked]
    assert described.precision == "float32" and described.strides is None
    assert staged.random_state == 3
    weights = [
        (dpnet.orthogonality_weight, dpnet.assignment_weight, dpnet.specificity_weight)
        for dpnet in dpnets
    ]
    assert set(weights) == {
        (a, b, c) for a in (0, 1) for b in (0, 0.2) for c in (0, 0.3)
    }
    assert all(dpnet.beta == 5 and dpnet.random_state == 3 for dpnet in dpnets)
    for estimator in (described, staged, *dpnets):
        assert (estimator.image_size, estimator.framing) == (64, "pad")
    assert (lines[0]["image_size"], lines[0]["framing"]) == (64, "pad")
    assert lines[-1]["constraints"] == "all" and lines[-1]["settings"]["beta"] == 5
    # There are but two test images.
    assert lines[0]["n_perturbed"] == 2 and lines[0]["n_steps"] == 7


def test_a_resumed_run_adds_what_is_missing_alone(small):
    first = small()
    assert len(first) == 20
    assert small() == first and not small.asked
    # The last line was being written when the run was killed.
    small.file.write_text(small.file.read_text()[:-30])
    again = small()
    assert [(line["method"], line["seed"]) for line in again] == [
        (line["method"], line["seed"]) for line in first
    ]
    assert [seed for _, _, seed in small.asked] == [1]
    # Fewer changed images are another measurement.
    assert len(small(seeds=[0], n_perturbed=1)) == 30


def test_lines_of_other_defaults_are_refused(small):
    line = small(seeds=[0])[-1]
    line["settings"]["lr"] = 0.123
    small.file.write_text(json.dumps(line) + "\n")
    with pytest.raises(SystemExit, match="line 1 .* other defaults of lr than"):
        small()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "give --data and --lines"),
        (["--data", "made"], "give --data and --lines"),
        (["--data", "/nowhere", "--lines", "x"], "no folder 'train'"),
        (["--data", "made", "--lines", "x", "--n-steps", "0"], "--n-steps must be"),
        (["--data", "made", "--lines", "x", "--set", "beta"], "is not NAME=VALUE"),
        (["--data", "made", "--lines", "x", "--set", "betta=3"], "no setting 'betta'"),
        (["--data", "made", "--lines", "x", "--set", "image_size=3"], "the same for"),
        (["--table"], "there is no file"),
    ],
)
def test_command_line_errors(tmp_path, capsys, arguments, message):
    pytest.importorskip("captum")
    with pytest.raises(SystemExit) as stop:
        explanations.main([*arguments, "--output", str(tmp_path / "none")])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_one_command(tmp_path, capsys, monkeypatch):
    pytest.importorskip("captum")
    listed = explanations.trials

    def some(changes, weights):
        # Of the ten, Grad-CAM and DP-Net with all constraints.
        return [listed(changes, weights)[k] for k in (0, -1)]

    monkeypatch.setattr(explanations, "trials", some)
    monkeypatch.setattr(methods, "C_GRID", (1,))
    output = tmp_path / "results" / "explanations.json"
    explanations.main([
        "--data", "made", "--n-train", "24", "--n-test", "8", "--image-size", "64",
        "--seeds", "5", "--set", "max_epochs=1", "n_parts_per_class=2",
        "--n-perturbed", "2", "--n-steps", "2",
        "--lines", str(tmp_path / "lines.jsonl"), "--output", str(output),
    ])  # fmt: skip
    printed = capsys.readouterr().out
    result = json.loads(output.read_text(encoding="utf-8"))
    cam, dpnet = result["rows"]
    assert set(cam["measures"]) == {
        "accuracy", "peak", "deletion", "insertion", "deletion, kept",
        "insertion, kept",
    }  # fmt: skip
    assert dpnet["changes"]["n_parts_per_class"] == 2 and dpnet["seed"] == 5
    assert result["environment"]["versions"]["captum"]
    assert result["settings"]["DP-Net"]["max_epochs"] > 1
    share = 100 * dpnet["measures"]["accuracy"]["value"]
    assert f"| DP-Net, all, `max_epochs=1 n_parts_per_class=2` | {share:.1f}" in printed
    explanations.main(["--table", "--output", str(output)])
    assert capsys.readouterr().out == printed
