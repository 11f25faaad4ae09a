"""Ways to decode are measured, and give nearly the same images."""

from __future__ import annotations

import json

from benchmarks.speed import decoders


def test_all_forms_are_measured_and_agree(tmp_path, capsys):
    output = tmp_path / "decoders.json"
    sizes = ["--sides", "288", "600", "--images", "4", "--repeats", "2"]
    decoders.main([*sizes, "--threads", "1", "2", "--output", str(output)])
    rows = json.loads(output.read_text())["rows"]
    assert len(rows) == 2 * 2 * len(decoders.FORMS)
    for row in rows:
        assert len(row["milliseconds"]) == 2
        assert row["mean_difference"] < 0.5
    printed = capsys.readouterr().out
    assert all(name in printed for name in decoders.FORMS)
