"""What all tests share: one thread, and real images that come with packages."""

from __future__ import annotations

import errno
import os
from pathlib import Path

# Before torch and NumPy start their pools: many small tests on few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# "auto" is then the CPU, and figures are those of a CPU, where a GPU is at hand too.
if os.environ.get("DEVICE", "cpu") == "cpu":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import pytest
import torch
from joblib.externals.loky import reusable_executor
from PIL import Image

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _end_of_workers():
    """Let each test that wants processes have new ones.

    joblib keeps its workers for the next call, and ends those that have grown by 300 MB
    since their first task, at times for good while others wait for them. A worker that
    first added two numbers and then loads a network has grown by more.
    """
    yield
    if reusable_executor._executor is not None:
        reusable_executor._executor.shutdown(wait=True)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> tuple[list[str], np.ndarray]:
    """Twelve crops of two real photographs, as PNG files, with their labels."""
    import skimage.data

    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    paths, labels = [], []
    for label, name in enumerate(("chelsea", "coffee")):
        image = Image.fromarray(getattr(skimage.data, name)())
        for i in range(6):
            side = int(random.integers(180, 260))
            left = int(random.integers(0, image.width - side))
            top = int(random.integers(0, image.height - side))
            path = folder / f"{name}{i}.png"
            image.crop((left, top, left + side, top + side)).save(path)
            paths.append(str(path))
            labels.append(label)
    return paths, np.array(["cat", "coffee"])[labels]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the data sets for measuring; skips where it is not at hand."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the photographs for measuring (flowers17, scene15) are not here")
    return folder


@pytest.fixture
def full_disk(monkeypatch):
    """Let no file take its place: the folder's disk is full."""

    def refuse(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", refuse)
