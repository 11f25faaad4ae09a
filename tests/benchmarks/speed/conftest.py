"""What several tests of the speed benchmark share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from benchmarks.speed.sizes import Inputs, Size, make_inputs


@pytest.fixture(scope="module")
def class_folders(photographs, tmp_path_factory) -> Path:
    """Class folders of a few photographs."""
    root = tmp_path_factory.mktemp("speed") / "photographs" / "train"
    for path, label in zip(*photographs, strict=True):
        target = root / label / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return root


@pytest.fixture(scope="module")
def small() -> Size:
    """Windows of two sizes on a map that is not square."""
    return Size(3, 6, 5, 24, 8, 10, 4, (0.2, 0.4, 0.6))


@pytest.fixture(scope="module")
def inputs(small) -> Inputs:
    return make_inputs(small)


def as_tensors(inputs: Inputs) -> list[torch.Tensor]:
    """Region descriptors and parts, as `part_maxima` takes them."""
    return [torch.from_numpy(array) for array in (inputs.regions, inputs.parts)]
