"""The examples of the pages on clusters and ImageNet run as printed, on few images."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import skdpnet
from skdpnet.datasets import make_part_images

ROOT = Path(__file__).parents[2]
N_IMAGES = 66  # the page on ImageNet cuts them into 64 shards
# The changes that the page on clusters names for CPUs.
ON_CPUS = {'f"cuda:{dist.get_rank()}"': '"cpu"', "torch.cuda.set_device(device)\n": ""}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Make the folder that the examples call /data."""
    root = tmp_path_factory.mktemp("data")
    birds = make_part_images(N_IMAGES, 2, image_size=64, random_state=0)
    for i, (image, label) in enumerate(zip(birds.images, birds.target, strict=True)):
        for name in ("flowers", "imagenet"):
            path = root / name / "train" / str(label) / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root


def run(
    page: str,
    mark: str,
    data: Path,
    arguments: Sequence[str] = (),
    *,
    launcher: Sequence[str] = (),
    then: str = "",
) -> str:
    """Run the only example of a page that contains the mark, and return its output."""
    text = (ROOT / "docs" / f"{page}.md").read_text()
    (code,) = (
        block
        for block in re.findall("```python\n(.*?)```", text, re.S)
        if mark in block
    )
    for printed, replacement in {"/data/": f"{data}/", **ON_CPUS}.items():
        code = code.replace(printed, replacement)
    (data / "example.py").write_text(code + then)
    process = subprocess.run(
        [sys.executable, *launcher, "example.py", *arguments],
        cwd=data,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_a_share_of_the_maps_then_one_fit_by_two_processes(data):
    run("clusters", "sys.argv", data, ["0", "2"])
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    run("clusters", "OwnShare", data, launcher=torchrun)
    model = skdpnet.load(data / "model.skdpnet", device="cpu")
    assert np.isfinite(model.parts_).all() and model.n_iter_ == model.max_epochs


def test_partial_fit_on_shards(data):
    output = run("imagenet", "partial_fit", data, then="print(model.n_iter_, len(y))\n")
    assert output.split() == [str(1 + 3 * 64), str(N_IMAGES)]
