"""How many threads decode: those that the process may use."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import joblib
import pytest
import torch

from skdpnet.utils.cores import decoding_threads, usable_cores

needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system has no affinities"
)


def test_a_number_is_taken_as_it_is():
    assert [decoding_threads(n) for n in (0, 1, 100)] == [0, 1, 100]


def test_auto_uses_no_more_cores_than_there_are():
    assert 1 <= decoding_threads("auto") <= (os.cpu_count() or 1)
    assert decoding_threads("auto") == min(usable_cores(), 32)


@needs_affinity
def test_auto_respects_affinity():
    one = next(iter(os.sched_getaffinity(0)))
    code = (
        f"import os; os.sched_setaffinity(0, {{{one}}});"
        "from skdpnet.utils.cores import decoding_threads;"
        "print(decoding_threads('auto'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (16, 16), (256, 32)])
def test_auto_uses_all_cores_up_to_a_bound(monkeypatch, cores, threads):
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    assert decoding_threads("auto") == threads


def test_a_worker_process_has_its_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 16)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert decoding_threads("auto") == 4


def test_joblib_shares_the_cores_between_its_workers(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with joblib.parallel_config("loky", n_jobs=2):
        shares = joblib.Parallel()(joblib.delayed(usable_cores)() for _ in range(2))
    assert max(shares) <= max(1, joblib.cpu_count() // 2)
