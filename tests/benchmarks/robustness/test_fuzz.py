"""Some seconds of the fuzzers, and that they find what they look for."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
import time
from random import Random

import pytest

from benchmarks.robustness import fuzz
from benchmarks.robustness.mutations import (
    damage,
    forge_entry,
    forge_image,
    forge_model,
)
from benchmarks.robustness.targets import (
    TARGETS,
    Entries,
    Fault,
    Images,
    Models,
    Target,
)

SECONDS = 4


@pytest.mark.parametrize("name", TARGETS)
def test_bad_files_do_no_harm(name, tmp_path):
    pytest.importorskip("hypothesis")
    (tmp_path / "files").mkdir()
    run = fuzz.Run(TARGETS[name](tmp_path / "files"), tmp_path)
    fuzz.ENGINES["hypothesis"](run, SECONDS, 3)
    counts = run.summary()
    assert counts["faults"] == {}
    assert counts["used"] > 5 and counts["refused"] > 5


class Bad(Target):
    """Does what a file must not."""

    name = "bad"
    bound = 50 * 2**20

    def __init__(self, what):
        super().__init__(None)
        self.what = what

    def use(self, content):
        self.what()
        return "used"


def raises():
    raise KeyError("x")


def takes_memory():
    # Pages of its own: an array might get what this process has freed.
    with mmap.mmap(-1, 80 * 2**20) as pages:
        pages.write(b"x" * len(pages))


@pytest.mark.parametrize(
    "what, message",
    [
        (raises, "KeyError"),
        (lambda: time.sleep(5), "more than 0.2 s"),
        (takes_memory, "bytes of memory"),
        (lambda: subprocess.run([sys.executable, "-V"], check=True), "runs code"),
    ],
)
def test_the_fuzzer_notices_a_fault(what, message, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "_SECONDS_PER_FILE", 0.2 if "0.2" in message else 5)
    run = fuzz.Run(Bad(what), tmp_path)
    with pytest.raises(Fault, match=message):
        run.use(b"content")
    counts = run.summary()
    assert (counts["files"], counts["fault"]) == (1, 1)
    (file,) = counts["faults"].values()
    with open(file, "rb") as stream:
        assert stream.read() == b"content"


def test_a_crash_of_the_process_is_a_fault(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", "false")
    output = tmp_path / "fuzz.json"
    options = ["--targets", "models", "--output", str(output), "--kept", str(tmp_path)]
    assert fuzz.main(options) > 0
    (record,) = json.loads(output.read_text())
    assert "exit status 1" in record["targets"][0]["crash"]
    capsys.readouterr()


@pytest.mark.parametrize(
    "target, change",
    [
        (Models, forge_model),
        (Models, damage),
        (Entries, forge_entry),
        (Images, forge_image),
    ],
)
def test_a_seed_gives_the_same_files_and_many(target, change, tmp_path):
    made = target(tmp_path)
    good = made.entries[0] if target is Entries else made.good[0]
    files = [change(good, Random(seed)) for seed in range(40)]
    again = [change(good, Random(seed)) for seed in range(40)]
    # safetensors writes the texts of a header in any order.
    assert [*map(sorted, files)] == [*map(sorted, again)]
    assert len({tuple(sorted(file)) for file in files}) > 25
