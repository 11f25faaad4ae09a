"""Backbones without a network are measured beside the default one."""

from __future__ import annotations

import json

from benchmarks.speed import handcrafted


def test_all_backbones_and_windows_are_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(handcrafted, "_PHOTOGRAPHS", ("chelsea",))
    monkeypatch.setattr(handcrafted, "_SIDE", 64)
    output = tmp_path / "handcrafted.json"
    handcrafted.main(["--repeats", "2", "--output", str(output)])
    results = json.loads(output.read_text())
    assert {"efficientnet_lite0", "dense_sift", "hog"} < set(results["backbones"])
    assert all(len(times) == 2 for times in results["backbones"].values())
    assert len(results["windows"]) == 8
    for row in results["windows"]:
        assert 0.99 < row["mean_cosine"] <= 1.0001
    printed = capsys.readouterr().out
    assert all(f"| {name} |" in printed for name in results["backbones"])
