"""The speed benchmark: every way runs, and what is kept and printed is what was found.

Times are never compared: only what is done with them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from skdpnet import DPNetClassifier

CPU = torch.device("cpu")
linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux"
)


@pytest.fixture(scope="module")
def folder(photographs, tmp_path_factory) -> Path:
    """Class folders of a few photographs."""
    root = tmp_path_factory.mktemp("speed") / "photographs" / "train"
    for path, label in zip(*photographs, strict=True):
        target = root / label / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return root


@pytest.fixture
def quick(script, monkeypatch):
    """The module that measures, its references made small."""
    machine = script("speed_machine")
    monkeypatch.setattr(machine, "_SIDE", 16)
    monkeypatch.setattr(machine, "_COPIED", 2**12)
    monkeypatch.setattr(script("speed_timing"), "_LEAST_SECONDS", 0.0)
    return script("speed_run")


@pytest.fixture
def command(script, quick, monkeypatch, tmp_path):
    """Run the script on this process; return what it printed and what it wrote."""
    speed = script("speed")
    measured = []

    def measure(key, local, repeats, memory):
        measured.append(key)
        found = quick._times({**key, **local}, repeats, False)
        return {"key": key, "repeats": repeats, **found}

    monkeypatch.setattr(speed, "measure", measure)
    monkeypatch.setattr(speed, "_SECONDS_OF_OTHERS", 0.01)
    describe = quick._describe
    monkeypatch.setattr(speed, "describe_machine", lambda device: describe(device))

    def run(*words):
        lines: list[str] = []
        monkeypatch.setattr(speed, "print", lines.append, raising=False)
        output = tmp_path / "speed.json"
        words = [*words, "--repeats", "2", "--quick", "--output", str(output)]
        measured.clear()
        speed.main(words)
        result = json.loads(output.read_text(encoding="utf-8"))
        return "\n".join(lines), result, list(measured)

    return run


@pytest.mark.parametrize(
    "stage", ["whitening", "responses", "training", "skorch", "explanation"]
)
def test_every_way_on_maps_runs_and_is_set_against_its_floor(command, stage):
    _, result, _ = command("--stages", stage, "--sizes", "flowers")
    assert {row["key"]["components"] for row in result["rows"]} == {80, None}
    for row in result["rows"]:
        assert len(row["ways"]) >= 2
        assert row["ratios"]
        for way in row["ways"].values():
            assert len(way["seconds"]) == 2
            rates, work = row["rates"], way["work"]
            assert way["floor"] == max(
                work["products"] / rates[way["dtype"]], work["bytes"] / rates["copy"]
            )
        for name, off in row["notes"].get("largest_difference", {}).items():
            assert off < (5e-3 if "bfloat16" in name else 1e-5), name
        if stage == "responses":
            assert row["notes"]["largest_difference"].keys() == row["ways"].keys()


def test_images_are_read_and_described_in_every_way(command, folder):
    text, result, _ = command(
        "--stages", "reading", "backbone", "--data", str(folder), "--images", "3",
        "--backbones", "efficientnet_lite0", "--precisions", "float32",
    )  # fmt: skip
    reading, backbone = result["rows"]
    assert reading["key"]["data"] == "photographs/train"
    assert {"decoding", "plain", "decoder alone"} <= reading["ways"].keys()
    ways = backbone["ways"]
    assert {"bare network", "maps", "transform", "plain", "explain one"} <= ways.keys()
    assert backbone["notes"]["parts"] == 1000
    assert "### Reading and decoding" in text
    # Nothing tells where the images are on this machine.
    assert str(folder.parent.parent) not in json.dumps(result)


def test_the_plain_way_from_files_gives_the_model_s_maxima(script, folder):
    images = script("speed_images")
    key = {
        "data": str(folder), "images": 2, "backbone": "efficientnet_lite0",
        "precision": "float32", "parts": 20,
    }  # fmt: skip
    ways = images.prepare_backbone(key, CPU).ways
    found = ways["transform"].run()
    maxima = ways["plain"].run().numpy()
    model = images._fitted(*(key[k] for k in ("data", "backbone", "precision")),
                             20, "cpu")  # fmt: skip
    module = model.net_.module_
    expected = (maxima - module.shift.numpy()) * module.scale.numpy()
    # torchvision's crop and number of places of the filter differ a little.
    np.testing.assert_allclose(found, expected, atol=0.15 * np.abs(found).max())


def test_a_stopped_run_goes_on_where_it_was(command):
    words = ["--stages", "whitening", "--sizes", "flowers"]
    _, first, measured = command(*words, "--components", "64")
    assert len(measured) == 1
    _, second, measured = command(*words, "--components", "64", "None")
    assert [key["components"] for key in measured] == [None]
    assert second["rows"][0] == first["rows"][0]
    _, third, measured = command(*words, "--components", "64", "--again")
    assert len(measured) == 1
    assert len(third["rows"]) == 2
    # The third is the first again.
    assert len(third["commands"]) == 2


def test_measurements_of_another_machine_are_not_mixed(script, tmp_path):
    results = script("speed_results")
    path = tmp_path / "speed.json"
    result = results.start_result(path, {"processor": "a", "cpus": 2}, "first")
    results.put_row(path, result, {"key": {"scales": (1, 2)}, "value": 1})
    results.put_row(path, result, {"key": {"scales": [1, 2]}, "value": 2})
    again = results.start_result(path, {"processor": "a", "cpus": 2}, "second")
    assert again["commands"] == ["first", "second"]
    assert results.find_row(again, {"scales": (1, 2)})["value"] == 2
    assert len(again["rows"]) == 1
    with pytest.raises(SystemExit, match="another processor"):
        results.start_result(path, {"processor": "b", "cpus": 2}, "third")


def test_one_size_grows_at_a_time(command):
    text, result, _ = command("--stages", "growth")
    grown: dict[tuple, list] = {}
    for row in result["rows"]:
        key = row["key"]
        grown.setdefault((key["of"], key["axis"]), []).append(key)
    assert len(grown) == 6
    for (_, axis), own in grown.items():
        numbers = {
            "images": [key["images"] for key in own],
            "parts": [key["parts"] for key in own],
            "regions": [len(key["scales"]) for key in own],
        }
        changed = [name for name, found in numbers.items() if len(set(found)) > 1]
        assert changed == [axis]
        if axis != "regions":
            assert [n / numbers[axis][0] for n in numbers[axis]] == [1, 2, 4, 8]
    assert "169, 290, 371" in text


def test_the_exponent_of_a_power_is_found(script):
    table = script("speed_table")
    x = np.array([1.0, 2, 4, 8])
    assert table.exponent(x, 3 * x**1.5) == pytest.approx(1.5)


def test_a_table_tells_what_the_file_says(script):
    table = script("speed_table")
    way = {
        "dtype": "float32", "work": {}, "floor": 0.5, "in_turn": 1.0, "median": 2.0,
        "seconds": [2.0], "rate": 25e9, "peak_bytes": 3 * 2**20,
    }  # fmt: skip
    slow = {**way, "median": 8.0, "seconds": [8.0], "peak_bytes": 30 * 2**20}
    key = {"stage": "responses", "size": "birds", "components": 256, "depth": 2048,
           "beta": 40.0, "images": 64}  # fmt: skip
    environment = {
        "processor": "P", "cpus": 2, "torch_threads": 2, "memory_gib": 8, "gpu": None,
        "device": "cpu", "multiplies_bfloat16": True, "python": "3",
        "versions": {"torch": "2", "scikit-learn": "1", "skorch": "1"},
    }  # fmt: skip
    row = {
        "key": key, "rates": {"float32": 100e9}, "notes": {},
        "ways": {"parts": way, "plain": slow, "plain too": {"error": "no room"}},
        "ratios": {"plain / parts": 4.0},
    }  # fmt: skip
    text = table.markdown({"environment": environment, "rows": [row]})
    label = "birds, K 256, β 40"
    assert f"| {label} | parts (float32) | 2 | 32 | 25 | 25 | 50 | 3 |" in text
    assert f"| {label} | plain too | no room |" in text
    assert f"| {label} | plain / parts | 4.00 | 10.00 |" in text


def test_ways_take_turns_and_ratios_are_of_rounds(script, monkeypatch):
    timing = script("speed_timing")
    monkeypatch.setattr(timing, "_LEAST_SECONDS", 0.0)
    called: list[str] = []
    ways = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    found = timing.alternate(ways, 3, CPU)
    assert called == ["a", "b"] * 4
    assert [len(own) for own in found.values()] == [3, 3]
    # Not the ratio of the medians, which is 2.
    assert timing.ratio([1.0, 4.0, 6.0], [1.0, 2.0, 2.0]) == 2.0
    assert timing.ratio([1.0, 4.0, 9.0], [2.0, 1.0, 3.0]) == 3.0


@linux
def test_the_peak_is_found_though_it_is_over(script):
    folder = Path(script("speed_timing").__file__).parent
    mib = 2**20
    program = f"""
import numpy, torch, speed_timing
def way():
    numpy.ones({64 * mib}, numpy.uint8)
    numpy.ones({32 * mib}, numpy.uint8)
print(speed_timing.peak_bytes(way, torch.device("cpu")))
"""
    # Alone: threads that other tests left take and give memory, too.
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, text=True, stdout=subprocess.PIPE,
        check=True,
    )  # fmt: skip
    # The system counts by the page, and not at once.
    assert 62 * mib < int(done.stdout) < 80 * mib


@linux
def test_memory_is_followed_through_the_quarters(script, monkeypatch):
    memory = script("speed_memory")
    monkeypatch.setattr(memory, "_SECONDS_A_SAMPLE", 0.001)
    mib = 2**20

    def way() -> np.ndarray:
        held = np.ones(64 * mib, np.uint8)
        until = memory.time.perf_counter() + 0.3
        while memory.time.perf_counter() < until:
            held.sum()
        return held[:5]

    found = memory._Watch().run(way)
    assert 60 * mib <= found["anonymous"] < 80 * mib
    assert found["quarters"][2] > 60 * mib
    assert found["output"] == 5


def test_images_come_again_under_other_names(script, folder, tmp_path):
    memory = script("speed_memory")
    links, labels = memory.many_images(tmp_path, folder, 30, differ=False)
    assert len(set(links)) == 30
    assert all(Path(path).is_symlink() for path in links)
    assert {Path(path).resolve().parent.name for path in links[:12]} == {
        "cat", "coffee",
    }  # fmt: skip
    assert (labels[:12] == labels[12:24]).all()
    copies = tmp_path / "copies"
    copies.mkdir()
    paths, _ = memory.many_images(copies, folder, 24, differ=True)
    assert len({Path(path).read_bytes() for path in paths}) == 24


def test_every_stage_of_a_fit_is_found(script):
    fit = script("speed_fit")
    X, y = load_iris(return_X_y=True)
    with fit.timed(fit.STAGES) as seconds:
        DPNetClassifier("precomputed", max_epochs=1, random_state=0).fit(X, y)
    assert seconds.keys() == {*fit.STAGES, fit.OTHER}
    # Stages within others are counted once.
    names: list[str] = []

    class Nested:
        def outer(self):
            names.append("outer")
            self.inner()

        def inner(self):
            names.append("inner")

    stages = {"outer": [(Nested, "outer")], "inner": [(Nested, "inner")]}
    with fit.timed(stages) as seconds:
        Nested().outer()
    assert names == ["outer", "inner"]
    assert seconds.keys() == {"outer", "inner", fit.OTHER}
    assert not hasattr(Nested.inner, "__wrapped__")


def test_quick_measurements_never_replace_real_ones(script):
    with pytest.raises(SystemExit):
        script("speed").main(["--quick", "--stages", "whitening"])
