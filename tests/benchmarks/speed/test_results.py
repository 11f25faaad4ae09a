"""The file of measurements."""

from __future__ import annotations

import pytest

from benchmarks.speed import results


def test_measurements_of_another_machine_are_not_mixed(tmp_path):
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
