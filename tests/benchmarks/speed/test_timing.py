"""How time and peak memory are measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.speed import measurement, timing

ROOT = Path(__file__).parents[3]
CPU = torch.device("cpu")

linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux"
)


def test_ways_take_turns_and_ratios_are_of_rounds(monkeypatch):
    monkeypatch.setattr(timing, "_LEAST_SECONDS", 0.0)
    called: list[str] = []
    ways = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    seconds = timing.time_in_turn(ways, 3, CPU)
    assert called == ["a", "b"] * 4
    assert [len(rounds) for rounds in seconds.values()] == [3, 3]
    # Not the ratio of the medians, which is 2.
    assert timing.median_ratio([1.0, 4.0, 6.0], [1.0, 2.0, 2.0]) == 2.0
    assert timing.median_ratio([1.0, 4.0, 9.0], [2.0, 1.0, 3.0]) == 3.0


def test_a_new_process_has_the_threads_of_this_one():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        described = measurement.describe_machine("cpu")
    finally:
        torch.set_num_threads(before)
    assert described["torch_threads"] == before + 1


@linux
def test_the_peak_is_found_though_it_is_over():
    mib = 2**20
    program = f"""
import numpy, torch
from benchmarks.speed.timing import peak_bytes
def way():
    numpy.ones({64 * mib}, numpy.uint8)
    numpy.ones({32 * mib}, numpy.uint8)
print(peak_bytes(way, torch.device("cpu")))
"""
    # Alone: threads that other tests left take and give memory, too.
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        check=True,
    )  # fmt: skip
    # The system counts by the page, and not at once.
    assert 62 * mib < int(done.stdout) < 80 * mib
