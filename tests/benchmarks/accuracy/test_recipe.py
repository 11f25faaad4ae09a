"""The benchmark that chooses settings on training images."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC

from benchmarks import records
from benchmarks.accuracy import recipe
from skdpnet import DPNetClassifier, DPNetTransformer


def test_a_change_to_the_default_is_none():
    default = DPNetClassifier()
    changes = {"beta": default.beta, "strides": list(default.strides), "lr": 0.5}
    assert recipe.make_experiment("parts", changes).changes == {"lr": 0.5}


@pytest.fixture(scope="module")
def maps() -> tuple[np.ndarray, np.ndarray]:
    """Two noisy maps an image, structured, and labels of three classes."""
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 20)
    dtype = [("map0", "f4", (4, 4, 6)), ("map1", "f4", (2, 2, 8))]
    images = np.empty(60, dtype)
    for name in images.dtype.names:
        values = random.normal(size=images[name].shape) + 1
        values[np.arange(60), 1, 1, y] += 1.5
        images[name] = values
    return images, y


CHANGES = {"n_parts_per_class": 4, "beta": None, "max_epochs": 3, "ridge": 0.01}


def test_changed_settings_reach_the_estimator(maps):
    X, y = maps
    trial = recipe.make_experiment("parts", {**CHANGES, "strides": (8, 16)})
    measured = recipe.measure_once(trial, X, y, 3)
    seen, held = train_test_split(
        np.arange(60), test_size=1 / 3, stratify=y, random_state=3
    )
    seen, held = np.sort(seen), np.sort(held)
    assert len(held) == 20
    model = DPNetClassifier("precomputed", **CHANGES, random_state=3)
    accuracy = model.fit(X[seen], y[seen]).score(X[held], y[held])
    assert measured["classifier"] == pytest.approx(accuracy)
    parts = DPNetTransformer("precomputed", **CHANGES, random_state=3)
    learned = parts.fit_transform(X[seen], y[seen])
    assert learned.shape == (40, 3 * (4 + 1))  # with a context for each class
    assert list(measured["svm"]) == ["0.1", "0.3", "1", "3", "10"]
    for C, accuracy_of_svm in measured["svm"].items():
        svm = LinearSVC(C=float(C), max_iter=100_000, random_state=3)
        expected = svm.fit(learned, y[seen]).score(parts.transform(X[held]), y[held])
        assert accuracy_of_svm == pytest.approx(expected)
    assert measured["fit_seconds"] > 0
    # Accuracies that any settings give would show nothing.
    plain = recipe.measure_once(recipe.make_experiment("parts", {}), X, y, 3)
    assert (plain["classifier"], plain["svm"]) != (accuracy, measured["svm"])


def test_the_global_descriptor(maps):
    X, y = maps
    measured = recipe.measure_once(recipe.make_experiment("global", {}), X, y, 0)
    assert measured["classifier"] is None
    seen, held = recipe.hold_out(y, 0)
    pooled = [X[name].astype(float).mean(axis=(1, 2)) for name in X.dtype.names]
    flat = np.hstack([x / np.linalg.norm(x, axis=1)[:, None] for x in pooled])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    svm = LinearSVC(C=1, max_iter=100_000, random_state=0).fit(flat[seen], y[seen])
    assert measured["svm"]["1"] == pytest.approx(svm.score(flat[held], y[held]))


@pytest.fixture
def small(maps, monkeypatch, tmp_path):
    """Return a run on the small maps, which records the extractors that it used."""
    asked: list[dict] = []

    def extract(extractor, images):
        asked.append(extractor.get_params())
        return maps[0]

    monkeypatch.setattr(recipe, "extract", extract)
    pool = recipe.Pool("noise", [f"{k}.png" for k in range(60)], maps[1])

    def run(*trials, seeds=(0, 1)) -> list[dict]:
        asked.clear()
        listed = [recipe.make_experiment(*trial) for trial in trials]
        recipe.run(pool, listed, list(seeds), tmp_path, tmp_path / "lines.jsonl")
        return records.read_lines(tmp_path / "lines.jsonl")

    run.asked = asked
    run.file = tmp_path / "lines.jsonl"
    return run


QUICK = {"max_epochs": 0, "n_parts_per_class": 2}


def test_a_line_says_what_was_measured(small):
    lines = small(("parts", {**QUICK, "strides": (8, 16), "image_size": 64}))
    assert [line["seed"] for line in lines] == [0, 1]
    changes = {**QUICK, "strides": [8, 16], "image_size": 64}
    for line in lines:
        assert line["data"] == "noise" and line["method"] == "parts"
        assert line["changes"] == changes
        assert line["maps"] == [[4, 4, 6], [2, 2, 8]]
        defaults = DPNetClassifier().get_params()
        assert line["settings"]["lr"] == defaults["lr"]
        assert line["settings"].items() >= changes.items()
    # What chooses the maps goes to their extractor, once for both seeds.
    (asked,) = small.asked
    assert asked["strides"] == (8, 16)
    assert asked["image_size"] == 64


def test_the_same_maps_are_extracted_once(small):
    other = {**QUICK, "strides": None}
    small(("parts", QUICK), ("parts", other), ("parts", {**QUICK, "beta": 5}))
    assert [params["strides"] for params in small.asked] == [
        DPNetClassifier().strides,
        None,
    ]


def test_a_resumed_run_adds_what_is_missing_alone(small):
    first = small(("parts", QUICK))
    text = small.file.read_text()
    assert small(("parts", QUICK)) == first
    assert small.file.read_text() == text and not small.asked
    # The second line was being written when the run was killed.
    small.file.write_text(text[:-40])
    again = small(("parts", QUICK), ("global", {}))
    assert [(line["method"], line["seed"]) for line in again] == [
        ("parts", 0), ("parts", 1), ("global", 0), ("global", 1)
    ]  # fmt: skip
    assert again[0] == first[0]
    assert again[1]["svm"] == first[1]["svm"]


def test_lines_of_other_defaults_are_refused(small):
    (line,) = small(("parts", QUICK), seeds=[0])
    line["settings"]["lr"] = 0.123
    small.file.write_text(json.dumps(line) + "\n")
    with pytest.raises(
        SystemExit, match=r"line 1 .* other defaults of lr than .*--out"
    ):
        small(("parts", QUICK))


def test_a_value_that_the_estimator_refuses(small):
    with pytest.raises(SystemExit, match=r"'beta': -1.*beta"):
        small(("parts", {"beta": -1}))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--data with --train, or --made alone"),
        (["--made", "20", "--data", "x"], "--data with --train, or --made alone"),
        (["--data", "x"], "--data with --train, or --made alone"),
        (["--data", "/nowhere", "--train", "train"], "no folder 'train'"),
        (["--made", "9"], "only 1 member, which is too few"),
        (["--made", "24", "--set", "betta=3"], "no setting 'betta'; it has"),
        (["--made", "24", "--set", "beta"], "'beta' is not NAME=VALUE"),
        (["--made", "24", "--set", "backbone=vgg19"], "quotes included"),
        (["--made", "24", "--set", "random_state=3"], "no setting 'random_state'"),
        (["--made", "24", "--method", "global", "--set", "beta=3"], "no setting"),
        (["--made", "24", "--suite", "ablation", "--set", "beta=3"], "has its own"),
        (["--table"], "holds no measurements"),
    ],
)
def test_command_line_errors(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        recipe.main([*arguments, "--output", str(tmp_path / "none.jsonl")])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_one_command(tmp_path, capsys):
    output = tmp_path / "results" / "recipe.jsonl"
    arguments = ["--made", "24", "--memory", str(tmp_path), "--output", str(output)]
    recipe.main([*arguments, "--set", "image_size=64", "framing='crop'",
          "strides=(32,)", "max_epochs=1", "n_parts_per_class=2",
          "--seeds", "5"])  # fmt: skip
    printed = capsys.readouterr().out
    (measured,) = records.read_lines(output)
    assert measured["data"] == "made24" and measured["seed"] == 5
    assert measured["maps"][0][:2] == [2, 2]
    assert f"| {100 * measured['classifier']:.1f} |" in printed
    recipe.main(["--table", "--output", str(output)])
    assert capsys.readouterr().out == printed
