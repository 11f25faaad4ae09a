"""The examples on editing parts and on unknown classes run as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKS = {
    "editing_parts": """
names = model.get_feature_names_out().tolist()
assert names[0] == "beak" and "left wing" in names and "2_part1" not in names
assert again.get_feature_names_out().tolist() == names
page = open("report.html", encoding="utf-8").read()
assert "beak" in page and "left wing" in page and "1_part1" not in page
assert gallery.part == 3
""",
    "open_set": """
answers, true = model.predict(X[160:]), y[160:]
assert set(answers) <= {-1, 0, 1, 2} and -1 in answers
named = answers != -1
assert (answers[named] == model.estimator_.predict(X[160:])[named]).all()
assert ((model.p_values(X[160:]) <= 0.2) == ~named).all()
assert len(calibrated.calibration_scores_) == (true < 3).sum()
assert why.predicted in (0, 1, 2)
""",
}


@pytest.mark.parametrize("page", CHECKS)
def test_the_example_runs(page, tmp_path):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (code,) = re.findall("```python\n(.*?)```", text, re.S)
    (tmp_path / "example.py").write_text(code + CHECKS[page], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
