"""The command line and the demo, small; what `import skdpnet` costs."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from PIL import Image

import skdpnet
from skdpnet.__main__ import main
from skdpnet.cli import demo_comparison as demo


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, skdpnet; "
        "heavy = {'torch', 'sklearn', 'matplotlib', 'timm'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", sorted(set(skdpnet.__all__) - {"__version__"}))
def test_every_public_name_is_there_and_documented(name):
    assert getattr(skdpnet, name).__doc__
    assert name in dir(skdpnet)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'DPNet'"):
        skdpnet.DPNet  # noqa: B018


def test_the_command_line_explains_itself(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "demo" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["dem"])
    assert end.value.code == 2
    assert "invalid choice: 'dem'" in capsys.readouterr().err


def test_the_demo_prints_a_table_and_draws_a_figure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "_N_TRAIN", 32)
    monkeypatch.setattr(demo, "_N_TEST", 16)
    monkeypatch.setattr(demo, "_IMAGE_SIZE", 64)
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
    assert "48/48" in printed.err, "a progress bar over the images"
    with Image.open(tmp_path / "out" / "best_regions.png") as figure:
        assert figure.width > 800
