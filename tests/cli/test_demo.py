"""`demo`, with few and small images."""

from __future__ import annotations

import re
import sys

from PIL import Image

from skdpnet.__main__ import main
from skdpnet.cli import demo


def test_the_demo_prints_a_table_and_draws_a_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "_N_TRAIN", 32)
    monkeypatch.setattr(demo, "_N_TEST", 16)
    monkeypatch.setattr(demo, "_IMAGE_SIZE", 64)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    main(["demo", "--output", str(tmp_path / "out")])
    printed = capsys.readouterr()
    rows = re.findall(r"^\| (.+?) \| +([\d.]+) \| +([\d.]+) \|$", printed.out, re.M)
    assert [name for name, _, _ in rows] == [
        "global descriptor + SVM",
        "two-stage parts + SVM",
        "DPNetClassifier",
        "DPNetTransformer + SVM",
    ]
    assert all(0 <= float(accuracy) <= 100 for _, accuracy, _ in rows)
    assert "48/48" in printed.err, "a progress bar in a terminal"
    with Image.open(tmp_path / "out" / "best_regions.png") as figure:
        assert figure.width > 800
