"""Forked processes compute, although the threads of their parent are not in them."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys

import pytest

import skdpnet

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(),
    reason="this system has no forks",
)
WORKS = [
    *("predict", "one torch thread", "explain", "thread", "grandchild"),
    "parent afterwards",
    *(f"{work} {name}" for name in skdpnet.ESTIMATORS for work in ("transform", "fit")),
    *("multiprocessing.Pool", "ProcessPoolExecutor", "joblib", "DataLoader"),
]


@pytest.fixture(scope="module")
def answers():
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.forked_processes"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("work", WORKS)
def test_a_forked_process_answers(answers, work):
    assert answers[work] == "right"


def test_all_answers_are_looked_at(answers):
    assert answers.keys() == set(WORKS)
