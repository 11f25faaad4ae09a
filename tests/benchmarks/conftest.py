"""What several tests of benchmarks share."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image


def save_image(path: Path, image_format: str | None = None) -> None:
    """Write a blank image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4)).save(path, image_format)


@pytest.fixture
def folders(tmp_path) -> Path:
    """Class folders in ``train`` and ``test``."""
    for name in ("train/owl/1.png", "train/owl/2.png", "train/crow/1.jpg",
                 "test/owl/3.png", "test/owl/4.PNG"):  # fmt: skip
        save_image(tmp_path / name)
    return tmp_path


@pytest.fixture
def mit67(tmp_path) -> Path:
    """MIT-67 as its owners ship it, of five images."""
    train = ["bar/b 1.jpg", "attic/A_2.JPG", "bar/b3.jpg"]
    test = ["bar/b4.jpg", "attic/gif.jpg"]
    for name in train + test:
        save_image(tmp_path / "Images" / name, "GIF" if "gif" in name else "JPEG")
    # Some of the owners' lists have the line ends of Windows, and none at the end.
    (tmp_path / "TrainImages.txt").write_bytes("\r\n".join(train).encode())
    (tmp_path / "TestImages.txt").write_text("\n".join(test) + "\n\n")
    return tmp_path


@pytest.fixture
def cub_with_parts(tmp_path) -> Path:
    """CUB-200-2011 with its annotated parts: four images, the last two for testing."""
    names = ["001.Auk/A_1.jpg", "002.Wren/W_1.jpg", "001.Auk/A_2.jpg",
             "002.Wren/W_2.jpg"]  # fmt: skip
    for name in names:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 4)).save(path)
    lists = {
        "images.txt": [f"{k} {name}" for k, name in enumerate(names, 1)],
        "image_class_labels.txt": ["1 1", "2 2", "3 1", "4 2"],
        "train_test_split.txt": ["1 1", "2 1", "3 0", "4 0"],
        "classes.txt": ["1 001.Auk", "2 002.Wren"],
        "bounding_boxes.txt": [
            "1 0.0 0.0 8.0 4.0", "2 1.0 1.0 2.0 2.0", "3 3.0 1.0 4.0 2.0",
        ],
        "parts/parts.txt": ["1 beak", "2 left eye"],
        "parts/part_locs.txt": [
            "1 1 1.0 1.0 1", "1 2 1.0 1.0 1", "2 1 0.0 0.0 0", "2 2 3.0 2.0 1",
            "3 1 3.0 1.0 1", "3 2 5.5 4.0 1", "4 1 0.0 0.0 0", "4 2 7.0 2.0 1",
        ],
    }  # fmt: skip
    (tmp_path / "parts").mkdir()
    for name, lines in lists.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path
