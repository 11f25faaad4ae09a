"""The tables of the speed benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.speed import table


def test_the_exponent_of_a_power_is_found():
    x = np.array([1.0, 2, 4, 8])
    assert table.exponent(x, 3 * x**1.5) == pytest.approx(1.5)


def test_a_table_tells_what_the_file_says():
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
