"""The benchmark beside busy processes: what keeps cores busy, and what is written."""

from __future__ import annotations

import json
import time

import psutil

import skdpnet.parts.maxima.autograd
from benchmarks.speed import busy_cores


def test_busy_processes_count_until_the_block_ends():
    here = psutil.Process()
    # Other tests' workers may still be there.
    before = here.children()
    with busy_cores.busy(2):
        others = [child for child in here.children() if child not in before]
        assert len(others) == 2
        # Most of a core each, once they have begun.
        end = time.monotonic() + 60
        while any(other.cpu_times().user < 0.1 for other in others):
            assert time.monotonic() < end
            time.sleep(0.02)
    assert not any(other.is_running() for other in others)


def test_the_threads_are_those_asked_for_in_the_step_alone():
    original, seen = skdpnet.parts.maxima.autograd.available_threads, []

    def step():
        seen.append(skdpnet.parts.maxima.autograd.available_threads)

    assert busy_cores.step_seconds(step, None) >= 0
    busy_cores.step_seconds(step, 1)
    assert seen[0] is original and seen[1] is not original and seen[1]("cpu") == 1
    assert skdpnet.parts.maxima.autograd.available_threads is original


def test_one_command(tmp_path, capsys):
    output = tmp_path / "busy.json"
    arguments = ["--parts", "4", "--repeats", "2", "--others", "0", "1"]
    busy_cores.main([*arguments, "--output", str(output)])
    result = json.loads(output.read_text())
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(result["rows"]) + 2
    assert {row["others"] for row in result["rows"]} == {0, 1}
    for row in result["rows"]:
        assert len(row["pieces of their own"]) == 2
        assert len(row["all on each operation"]) == 2
