"""The benchmarks' lines of JSON, the harness for choosing settings, and its table."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC

from skdpnet import DPNetClassifier, DPNetTransformer

# --- Lines of JSON -------------------------------------------------------------------


def test_a_torn_line_is_dropped(script, tmp_path):
    records = script("records")
    file = tmp_path / "new" / "some.jsonl"
    assert records.read_lines(file) == records.resume(file, lambda line: {}) == []
    for seed in (0, 1):
        records.append_line(file, {"seed": seed, "settings": {}})
    whole = file.read_bytes()
    # Killed in the middle of a line, and even of a letter.
    file.write_bytes(whole + '{"seed": 2, "data": "ä'.encode()[:-1])
    assert [line["seed"] for line in records.read_lines(file)] == [0, 1]
    assert [line["seed"] for line in records.resume(file, lambda line: {})] == [0, 1]
    assert file.read_bytes() == whole
    records.append_line(file, {"seed": 3})
    assert [line["seed"] for line in records.read_lines(file)] == [0, 1, 3]


def test_a_line_torn_before_the_first_end(script, tmp_path):
    file = tmp_path / "some.jsonl"
    file.write_text('{"seed"')
    assert script("records").resume(file, lambda line: {}) == []
    assert file.read_bytes() == b""


@pytest.mark.parametrize("text", ["nonsense", "3"])
def test_a_broken_line_is_named(script, tmp_path, text):
    file = tmp_path / "some.jsonl"
    file.write_text('{"seed": 0}\n' + text + '\n{"seed": 1}\n')
    with pytest.raises(SystemExit, match="line 2 of .*some.jsonl is no JSON object"):
        script("records").read_lines(file)


def test_a_line_is_found_whatever_its_settings_order_and_kind(script):
    has_line = script("records").has_line
    lines = [{"seed": 0, "changes": {"a": [1, 2], "b": 3.0}, "accuracy": 1}]
    assert has_line(lines, {"seed": 0, "changes": {"b": 3, "a": (1, 2)}})
    assert not has_line(lines, {"seed": 1, "changes": {"b": 3, "a": (1, 2)}})
    assert not has_line(lines, {"seed": 0, "changes": {"b": 3}})


# --- Lists of settings ---------------------------------------------------------------


def test_the_constraints_are_all_eight_choices(script):
    settings = script("suites").constraints(1.5, 0.2, 0.3)
    of = {"⊥": "orthogonality_weight", "A": "assignment_weight",
          "CS": "specificity_weight"}  # fmt: skip
    weights = {"⊥": 1.5, "A": 0.2, "CS": 0.3}
    assert len(settings) == len({json.dumps(s) for s in settings.values()}) == 8
    assert settings["without"] == {}
    assert settings["all"] == {of[key]: weights[key] for key in of}
    assert settings["CS + ⊥"] == {"specificity_weight": 0.3,
                                  "orthogonality_weight": 1.5}  # fmt: skip
    assert settings["A"] == {"assignment_weight": 0.2}


def test_the_ablation_changes_settings_that_there_are(script):
    experiment = script("recipe").experiment
    listed = [experiment(*one) for one in script("suites").ablation()]
    assert ("parts", {}) in listed and ("global", {}) in listed
    assert ("global", {"strides": DPNetTransformer().strides}) in listed
    assert ("parts", {"max_epochs": 0}) in listed


def test_a_change_to_the_default_is_none(script):
    experiment = script("recipe").experiment
    default = DPNetClassifier()
    changes = {"beta": default.beta, "strides": list(default.strides), "lr": 0.5}
    assert experiment("parts", changes).changes == {"lr": 0.5}


# --- Measuring -----------------------------------------------------------------------


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


def test_changed_settings_reach_the_estimator(script, maps):
    recipe = script("recipe")
    X, y = maps
    trial = recipe.experiment("parts", {**CHANGES, "strides": (8, 16)})
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
    assert learned.shape == (40, 12)
    assert list(measured["svm"]) == ["0.1", "0.3", "1", "3", "10"]
    for C, found in measured["svm"].items():
        svm = LinearSVC(C=float(C), max_iter=100_000, random_state=3)
        expected = svm.fit(learned, y[seen]).score(parts.transform(X[held]), y[held])
        assert found == pytest.approx(expected)
    assert measured["fit_seconds"] > 0
    # Accuracies that any settings give would show nothing.
    plain = recipe.measure_once(recipe.experiment("parts", {}), X, y, 3)
    assert (plain["classifier"], plain["svm"]) != (accuracy, measured["svm"])


def test_the_global_descriptor(script, maps):
    recipe = script("recipe")
    X, y = maps
    measured = recipe.measure_once(recipe.experiment("global", {}), X, y, 0)
    assert measured["classifier"] is None
    seen, held = recipe.hold_out(y, 0)
    pooled = [X[name].astype(float).mean(axis=(1, 2)) for name in X.dtype.names]
    flat = np.hstack([one / np.linalg.norm(one, axis=1)[:, None] for one in pooled])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    svm = LinearSVC(C=1, max_iter=100_000, random_state=0).fit(flat[seen], y[seen])
    assert measured["svm"]["1"] == pytest.approx(svm.score(flat[held], y[held]))


@pytest.fixture
def small(script, maps, monkeypatch, tmp_path):
    """Return a run on the small maps; it tells which extractors were asked."""
    recipe = script("recipe")
    asked: list[dict] = []

    def extract(extractor, images):
        asked.append(extractor.get_params())
        return maps[0]

    monkeypatch.setattr(recipe, "extract", extract)
    pool = recipe.Pool("noise", [f"{k}.png" for k in range(60)], maps[1])

    def run(*trials, seeds=(0, 1)) -> list[dict]:
        asked.clear()
        listed = [recipe.experiment(*one) for one in trials]
        recipe.run(pool, listed, list(seeds), tmp_path, tmp_path / "lines.jsonl")
        return script("records").read_lines(tmp_path / "lines.jsonl")

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
    assert [one["strides"] for one in small.asked] == [DPNetClassifier().strides, None]


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


# --- The table -----------------------------------------------------------------------


def line(seed: int, classifier: float | None, svm: tuple[float, float], **changes):
    return {
        "data": "pond", "seed": seed, "changes": changes,
        "method": "global" if classifier is None else "parts",
        "classifier": classifier, "svm": {"1": svm[0], "3": svm[1]},
        "fit_seconds": 2.0 + 2 * seed,
    }  # fmt: skip


def test_the_cells_of_the_table(script):
    lines = [
        line(0, 0.90, (0.80, 0.70)),
        line(1, 0.94, (0.84, 0.90)),
        line(2, 0.10, (0.10, 0.10)),
        # Better by 3 and by 1 points on the splits that both have.
        line(0, 0.93, (0.80, 0.70), beta=None, region_scales=[0.15]),
        line(1, 0.95, (0.84, 0.80), beta=None, region_scales=[0.15]),
        line(1, None, (0.74, 0.94), strides=[16, 32]),
    ]
    table = script("recipe_table").markdown(lines)
    assert table.startswith("pond\n")
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[4:-2]]
    assert rows[0] == [
        "defaults", "3", "64.7 ± 47.4", "", "58.0 ± 41.6", "", "58.0 ± 41.6 (C = 1)",
        "4.0",
    ]  # fmt: skip
    assert rows[1] == [
        "`beta=None, region_scales=(0.15,)`", "2", "94.0 ± 1.4", "+2.0 ± 1.4",
        "82.0 ± 2.8", "+0.0 ± 0.0", "82.0 ± 2.8 (C = 1)", "3.0",
    ]  # fmt: skip
    assert rows[2] == [
        "global descriptor, `strides=(16, 32)`", "1", "–", "", "74.0", "-10.0",
        "94.0 (C = 3)", "4.0",
    ]  # fmt: skip


def test_a_table_without_the_defaults_has_no_differences(script):
    table = script("recipe_table").markdown([line(0, 0.5, (0.5, 0.5), beta=5)])
    assert "| `beta=5` | 1 | 50.0 |  | 50.0 |  |" in table


# --- The command line ----------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--data with --train, or --made alone"),
        (["--made", "20", "--data", "x"], "--data with --train, or --made alone"),
        (["--data", "x"], "--data with --train, or --made alone"),
        (["--data", "/nowhere", "--train", "train"], "no folder 'train'"),
        (["--made", "9"], "too few members"),
        (["--made", "24", "--set", "betta=3"], "no setting 'betta'; it has"),
        (["--made", "24", "--set", "beta"], "'beta' is not NAME=VALUE"),
        (["--made", "24", "--set", "backbone=vgg19"], "quotes included"),
        (["--made", "24", "--set", "random_state=3"], "no setting 'random_state'"),
        (["--made", "24", "--method", "global", "--set", "beta=3"], "no setting"),
        (["--made", "24", "--suite", "ablation", "--set", "beta=3"], "has its own"),
        (["--table"], "holds no measurements"),
    ],
)
def test_command_line_errors(script, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        script("recipe").main([*arguments, "--output", str(tmp_path / "none.jsonl")])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_one_command(script, tmp_path, capsys):
    main, output = script("recipe").main, tmp_path / "results" / "recipe.jsonl"
    given = ["--made", "24", "--memory", str(tmp_path), "--output", str(output)]
    main([*given, "--set", "image_size=64", "strides=(32,)", "max_epochs=1",
          "n_parts_per_class=2", "--seeds", "5"])  # fmt: skip
    printed = capsys.readouterr().out
    (measured,) = script("records").read_lines(output)
    assert measured["data"] == "made24" and measured["seed"] == 5
    assert measured["maps"][0][:2] == [2, 2]
    assert f"| {100 * measured['classifier']:.1f} |" in printed
    main(["--table", "--output", str(output)])
    assert capsys.readouterr().out == printed
