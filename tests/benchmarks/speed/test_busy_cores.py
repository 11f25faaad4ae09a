"""The benchmark beside busy processes: what keeps cores busy, and what is written."""

from __future__ import annotations

import json
import time

import psutil

from benchmarks.speed import busy_cores


def test_processes_are_busy_until_the_block_ends():
    here = psutil.Process()
    # Other tests' workers may still be there.
    before = here.children()
    with busy_cores.busy(2):
        others = [child for child in here.children() if child not in before]
        assert len(others) == 2
        used = [other.cpu_times().user for other in others]
        # They do nothing else any more, though they may get less than a core each.
        end = time.monotonic() + 60
        while any(
            other.cpu_times().user < at_first + 0.1
            for other, at_first in zip(others, used, strict=True)
        ):
            assert time.monotonic() < end
            time.sleep(0.02)
    assert not any(other.is_running() for other in others)


def test_the_share_of_the_processor_by_hand():
    # Cores for all; three threads on two cores; one thread on one of four.
    assert busy_cores.explained_ratio(4, 2, 2) == 1
    assert busy_cores.explained_ratio(2, 2, 1) == 1.5
    assert busy_cores.explained_ratio(4, 1, 1) == 1


def test_one_command(tmp_path, capsys):
    output = tmp_path / "busy.json"
    arguments = ["--images", "4", "--repeats", "2", "--others", "1"]
    busy_cores.main([*arguments, "--output", str(output)])
    result = json.loads(output.read_text(encoding="utf-8"))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(result["rows"]) + 2
    cases = [(row["what"], row["others"]) for row in result["rows"]]
    assert cases == [("maps", 0), ("maps", 1), ("fit", 0), ("fit", 1)]
    for row in result["rows"]:
        assert len(row["seconds"]) == 2
        assert row["others"] or row["ratio"] == row["explained"] == 1
