"""The benchmark of explanations: the parts of CUB, resuming, table, command line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

# --- The parts of CUB-200-2011 --------------------------------------------------------


@pytest.fixture
def cub(tmp_path) -> Path:
    """Four images of 8 × 4 pixels, of which the last two are for testing."""
    names = ["001.Auk/A_1.jpg", "002.Wren/W_1.jpg", "001.Auk/A_2.jpg",
             "002.Wren/W_2.jpg"]  # fmt: skip
    for name in names:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 4)).save(path)
    lists = {
        "images.txt": [f"{k} {name}" for k, name in enumerate(names, 1)],
        "image_class_labels.txt": ["1 1", "2 2", "3 1", "4 2"],
        "train_test_split.txt": ["1 1", "2 1", "3 0", "4 0"],
        "classes.txt": ["1 001.Auk", "2 002.Wren"],
        "parts/parts.txt": ["1 beak", "2 left eye"],
        "parts/part_locs.txt": [
            "1 1 1.0 1.0 1", "1 2 1.0 1.0 1", "2 1 0.0 0.0 0", "2 2 3.0 2.0 1",
            "3 1 3.0 1.0 1", "3 2 5.5 4.0 1", "4 1 0.0 0.0 0", "4 2 7.0 2.0 1",
        ],
    }  # fmt: skip
    (tmp_path / "parts").mkdir()
    for name, lines in lists.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_the_points_of_parts(script, cub):
    paths = script("readers").read_cub(cub).test_paths
    points, names = script("cub_parts").read_part_points(cub, paths[::-1])
    assert names == ["beak", "left eye"]
    assert np.isnan(points[0, 0]).all()
    assert points[0, 1].tolist() == [7, 2]
    assert points[1].tolist() == [[3, 1], [5.5, 4]]


def test_points_in_the_square_that_the_network_sees(script, cub):
    data = script("explanations_data").photographs(cub, 32)
    assert data.targets is None and data.names == ["001.Auk", "002.Wren"]
    # The square is x from 2 to 6: a point at x = 7 is outside of it.
    assert data.truths[0].tolist() == [[0.25, 0.25], [0.875, 1]]
    assert np.isnan(data.truths[1]).all()


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("parts/parts.txt", None, "no file .*parts.txt;.*data.caltech.edu"),
        ("parts/part_locs.txt", None, "no file .*part_locs.txt"),
        ("images.txt", "1 other.jpg\n", "does not list .*A_2.jpg"),
        ("parts/parts.txt", "beak\n", "'beak', not a number and a name"),
        ("parts/part_locs.txt", "3 1 x 1 1\n", "part_locs.txt cannot be read"),
        ("parts/part_locs.txt", "3 1 2.5 1\n", "4 numbers a line, not the 5"),
        ("parts/part_locs.txt", "3 7 2.5 1 1\n", "part 7 that parts.txt has not"),
    ],
)
def test_wrong_lists_of_parts(script, cub, name, text, message):
    paths = [str(cub / "images/001.Auk/A_2.jpg")]
    if text is None:
        (cub / name).unlink()
    else:
        (cub / name).write_text(text)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        script("cub_parts").read_part_points(cub, paths)


# --- Running and resuming -------------------------------------------------------------


@pytest.fixture
def small(script, monkeypatch, tmp_path):
    """Return a run whose fits and measures are fast and made up."""
    explanations = script("explanations")
    pair = script("explanations_measures").Against
    asked = []

    def fit(estimator, data, seed):
        asked.append((data.name, estimator, seed))
        return estimator

    def measure(model, data, *, n_perturbed, n_steps, seed):
        return {"accuracy": pair(0.5 + seed / 4, 0.1)}

    monkeypatch.setattr(explanations, "fit_model", fit)
    monkeypatch.setattr(explanations, "measure", measure)
    data = SimpleNamespace(name="pond", image_size=64, train="abc", test="de")
    listed = explanations.trials({"beta": 5}, (1.0, 0.2, 0.3))

    def run(seeds=(0, 1), n_perturbed=40) -> list[dict]:
        asked.clear()
        return explanations.run(
            [data], listed, list(seeds), n_perturbed=n_perturbed, n_steps=7,
            memory=tmp_path, lines=tmp_path / "lines.jsonl",
        )  # fmt: skip

    run.asked, run.file = asked, tmp_path / "lines.jsonl"
    return run


def test_all_constraints_are_measured(script, small):
    lines = small(seeds=[3])
    assert len(lines) == len(small.asked) == 10
    described, staged, *dpnets = [estimator for _, estimator, _ in small.asked]
    assert described.precision == "float32" and described.strides is None
    assert staged.random_state == 3
    found = [
        (one.orthogonality_weight, one.assignment_weight, one.specificity_weight)
        for one in dpnets
    ]
    assert set(found) == {(a, b, c) for a in (0, 1) for b in (0, 0.2) for c in (0, 0.3)}
    assert all(one.beta == 5 and one.random_state == 3 for one in dpnets)
    assert all(one.image_size == 64 for one in (described, staged, *dpnets))
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


# --- The table ------------------------------------------------------------------------


def row(seed: int, method: str, constraints: str = "", changes=None, **measures):
    return {
        "data": "pond", "image_size": 64, "n_train": 6, "n_test": 4, "n_perturbed": 2,
        "n_steps": 5, "seed": seed, "method": method, "constraints": constraints,
        "changes": changes or {},
        "measures": {
            name.replace("_", " "): {"value": value, "chance": chance}
            for name, (value, chance) in measures.items()
        },
    }  # fmt: skip


def test_the_cells_of_the_table(script):
    rows = [
        row(0, "global", accuracy=(0.70, 0.1), deletion=(-0.04, 0.3)),
        row(0, "DP-Net", "without", accuracy=(0.80, 0.1), keep=(2, 9)),
        row(1, "DP-Net", "without", accuracy=(0.90, 0.1), keep=(3, 10)),
        row(0, "DP-Net", "CS + A", {"specificity_weight": 0.1, "beta": 9},
            accuracy=(0.5, 0.1), closest_pair=(0.986, 0.3)),
    ]  # fmt: skip
    caption, _, head, _, *cells = (
        script("explanations_table").markdown(rows).split("\n")
    )
    assert caption.startswith("pond: 6 training and 4 test images, 64 × 64 pixels")
    names = [name.strip() for name in head.split("|")[1:-1]]
    assert names == [
        "model", "accuracy, % ↑", "deletion, % ↓", "parts that keep ↓",
        "largest cosine ↓",
    ]  # fmt: skip
    assert cells[0] == "| global | 70.0 (10.0) | -4.0 (30.0) | – | – |"
    assert cells[1] == (
        "| DP-Net, without constraints | 85.0 ± 7.1 (10.0) | – | 2.5 ± 0.7 (9.5) | – |"
    )
    assert cells[2] == (
        "| DP-Net, CS + A, `beta=9` | 50.0 (10.0) | – | – | 0.99 (0.30) |"
    )


def test_a_table_for_each_data_set(script):
    rows = [row(0, "global", accuracy=(0.5, 0.1)) for _ in range(2)]
    rows[1]["data"] = "lake"
    table = script("explanations_table").markdown(rows)
    assert table.index("pond: ") < table.index("lake: ")
    assert table.count("| global | 50.0 (10.0) |") == 2


# --- The command line -----------------------------------------------------------------


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
def test_command_line_errors(script, tmp_path, capsys, arguments, message):
    pytest.importorskip("captum")
    with pytest.raises(SystemExit) as stop:
        script("explanations").main([*arguments, "--output", str(tmp_path / "none")])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_one_command(script, tmp_path, capsys, monkeypatch):
    pytest.importorskip("captum")
    explanations = script("explanations")
    listed = explanations.trials

    def some(changes, weights):
        # Of the ten, Grad-CAM and DP-Net with all constraints.
        return [listed(changes, weights)[k] for k in (0, -1)]

    monkeypatch.setattr(explanations, "trials", some)
    monkeypatch.setattr(script("measuring"), "C_GRID", (1,))
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
