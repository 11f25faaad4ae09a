"""Whenever a process is killed, files are whole, and what it leaves is removed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.robustness.killed import table

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGXFSZ") or not hasattr(os, "fork"),
    reason="this system cannot fork, or cannot end a process at a file's length",
)


def _run(*arguments: str, **environment: str) -> str:
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            # It forks, which is safe without threads alone.
            "OMP_NUM_THREADS": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.mark.parametrize(
    "action, fewest_operations, fewest_lengths",
    [
        ("write an entry", 8, 5),
        ("replace an entry", 6, 5),
        ("clear", 5, 0),
        ("write a file", 3, 5),
        ("replace a file", 3, 5),
        ("use a folder", 4, 0),
    ],
)
def test_a_process_may_die_before_any_file_operation(
    tmp_path, action, fewest_operations, fewest_lengths
):
    folder = tmp_path / "folder"
    script = Path(__file__).with_name("killed_writers.py")
    output = _run(str(script), str(folder), action, TMPDIR=str(folder))
    operations, lengths = map(int, output.split())
    assert operations >= fewest_operations and lengths >= fewest_lengths


def test_processes_may_die_at_any_time(tmp_path):
    """The benchmark, with few kills: the figures of many are in its results."""
    output = tmp_path / "killed.json"
    _run(
        *("-m", "benchmarks.robustness.killed", "--kills", "4", "--seed", "1"),
        *("--work", "extraction", "--output", str(output)),
    )
    (row,) = json.loads(output.read_text())["rows"]
    assert (row["work"], row["kills"]) == ("extraction", 4)
    assert row["at_work"] > 0
    assert table([row]).splitlines()[-1].startswith("| extraction | 4 | ")
