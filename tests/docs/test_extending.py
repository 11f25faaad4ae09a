"""The example of docs/extending.md runs as it is printed, and does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What a reader would look at next: sums, shared parts, and the loaded parts' numbers.
CHECKS = """
import numpy as np

assert model.score(X_test, y_test) > 0.5
total = why.contributions.sum() + why.bias
np.testing.assert_allclose(total, why.score, rtol=1e-6)
np.testing.assert_allclose(
    model.decision_function(X_test[:1])[0], why.scores, atol=1e-5
)
assert set(why.part_classes) == {-1}
assert list(model[0].get_feature_names_out()[:2]) == ["part0", "part1"]
before = model[0].transform(X_test)
np.testing.assert_allclose(again.transform(X_test), before, atol=1e-6)
boxes = skdpnet.best_regions(again, X_test).boxes
assert boxes.min() >= 0 and boxes.max() <= 160
assert skdpnet.part_gallery(model, 0, X, 3).name == "part0"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the example was run."""
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    blocks = re.findall("```python\n(.*?)```", text, re.S)
    place = tmp_path_factory.mktemp("extending")
    (place / "example.py").write_text("\n\n".join([*blocks, CHECKS]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return place


def test_the_example_writes_a_figure_a_page_and_a_model(folder):
    assert (folder / "why.png").stat().st_size > 10_000
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "a part that classes share" in page and "url(data:image" in page
    assert (folder / "parts.safetensors").exists()


def test_the_class_has_about_forty_lines():
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    (first, *_) = re.findall("```python\n(.*?)```", text, re.S)
    body = first[
        first.index("class RandomRegions") : first.index("def describe_regions")
    ]
    assert len([line for line in body.splitlines() if line.strip()]) <= 46
