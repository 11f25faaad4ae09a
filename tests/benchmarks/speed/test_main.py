"""The speed benchmark: every way runs, and what is measured is kept."""

from __future__ import annotations

import json

import pytest
import torch

from benchmarks.speed import __main__ as speed
from benchmarks.speed import machine, measurement, timing

CPU = torch.device("cpu")


@pytest.fixture
def quick(monkeypatch):
    """The module that measures, its references made small."""
    monkeypatch.setattr(machine, "_SIDE", 16)
    monkeypatch.setattr(machine, "_COPIED", 2**12)
    monkeypatch.setattr(timing, "_LEAST_SECONDS", 0.0)
    return measurement


@pytest.fixture
def command(quick, monkeypatch, tmp_path):
    """Run the benchmark in this process; return what it printed and what it wrote."""
    measured = []

    def measure(key, local, repeats, memory):
        measured.append(key)
        times = quick._times({**key, **local}, repeats, False)
        return {"key": key, "repeats": repeats, **times}

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
    assert {row["key"]["components"] for row in result["rows"]} == {7, None}
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


@pytest.mark.parametrize(
    ("device", "precisions", "name"),
    [
        ("cpu", ["float32", "bfloat16"], "speed.json"),
        ("cuda", ["float32", "float16"], "speed_cuda.json"),
        ("cuda:1", ["float32", "float16"], "speed_cuda.json"),
    ],
)
def test_devices_have_their_own_precisions_and_results(device, precisions, name):
    parser = speed._parser()
    args = speed._with_defaults(parser.parse_args(["--device", device]))
    assert args.precisions == precisions
    assert args.output.name == name
    chosen = ["--device", device, "--precisions", "float16", "--output", "mine.json"]
    args = speed._with_defaults(parser.parse_args(chosen))
    assert args.precisions == ["float16"]
    assert args.output.name == "mine.json"


def test_images_are_read_and_described_in_every_way(command, class_folders):
    text, result, _ = command(
        "--stages", "reading", "backbone", "--data", str(class_folders),
        "--images", "3", "--backbones", "efficientnet_lite0", "--precisions", "float32",
    )  # fmt: skip
    reading, backbone = result["rows"]
    assert reading["key"]["data"] == "photographs/train"
    assert {"decoding", "plain", "decoder alone"} <= reading["ways"].keys()
    ways = backbone["ways"]
    assert {"bare network", "maps", "transform", "plain", "explain one"} <= ways.keys()
    assert backbone["notes"]["parts"] == 1000
    assert "### Reading and decoding" in text
    # The paths of images on this machine are not in the result.
    assert str(class_folders.parent.parent) not in json.dumps(result)


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


def test_one_size_grows_at_a_time(command):
    text, result, _ = command("--stages", "growth")
    grown: dict[tuple, list] = {}
    for row in result["rows"]:
        key = row["key"]
        grown.setdefault((key["of"], key["axis"]), []).append(key)
    assert len(grown) == 6
    for (_, axis), keys in grown.items():
        numbers = {
            "images": [key["images"] for key in keys],
            "parts": [key["parts"] for key in keys],
            "regions": [len(key["scales"]) for key in keys],
        }
        changed = [name for name, values in numbers.items() if len(set(values)) > 1]
        assert changed == [axis]
        if axis != "regions":
            assert [n / numbers[axis][0] for n in numbers[axis]] == [1, 2, 4, 8]
    assert "169, 290, 371" in text


def test_quick_measurements_never_replace_real_ones():
    with pytest.raises(SystemExit):
        speed.main(["--quick", "--stages", "whitening"])
