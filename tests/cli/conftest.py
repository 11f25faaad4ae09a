"""The small model that the commands share, and its images."""

from __future__ import annotations

import shutil
import sys

import matplotlib
import pytest

import skdpnet
from skdpnet.images.digest import digest_of_file
from tests.cli.commands import SETTINGS

matplotlib.use("agg")


@pytest.fixture(scope="session")
def class_folders(photographs, tmp_path_factory):
    """Six images of a cat and six of coffee, whose names begin with a dash."""
    root = tmp_path_factory.mktemp("cli") / "my images"
    for i, (path, label) in enumerate(zip(*photographs, strict=True)):
        folder = root / f"{label} é"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"-{i}.png")
    return root


@pytest.fixture(scope="session")
def training_images(class_folders):
    """Four of the images of each class, from which the model learned."""
    return [
        path for name in class_folders.iterdir() for path in sorted(name.iterdir())[:4]
    ]


@pytest.fixture(scope="session")
def model_file(class_folders, training_images, tmp_path_factory):
    """A model file as `fit` writes it."""
    fitted = skdpnet.DPNetClassifier(**SETTINGS)
    fitted.fit(training_images, [path.parent.name for path in training_images])
    digests = [digest_of_file(path.read_bytes()) for path in training_images]
    fitted.notes_ = {"training_digests": digests}
    path = tmp_path_factory.mktemp("model") / "the model"
    fitted.save(path)
    return str(path)


@pytest.fixture(autouse=True)
def _close_figures():
    """Close the figures of a test, of which matplotlib otherwise keeps all."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
