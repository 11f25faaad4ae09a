"""The readers of data sets, on tiny copies of the official layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.data import readers
from skdpnet import FeatureMaps
from tests.benchmarks.conftest import save_image


def test_folders(folders):
    split = readers.read_folders(folders, "train", "test")
    assert split.names == ["crow", "owl"]
    assert split.train_y.tolist() == [0, 1, 1]
    # The test part has no crow; an owl must still be number 1.
    assert split.test_y.tolist() == [1, 1]
    assert [Path(p).name for p in split.test_paths] == ["3.png", "4.PNG"]


def test_folders_errors(folders):
    read = readers.read_folders
    with pytest.raises(FileNotFoundError, match=r"'valid'.*valid/<class>/<image>"):
        read(folders, "train", "valid")
    save_image(folders / "test/kea/1.png")
    with pytest.raises(ValueError, match=r"test' holds class folders .* names, 'kea'"):
        read(folders, "train", "test")


def test_class_folders_together(folders):
    read = readers.read_class_folders
    paths, y = read(folders, ["train", "test"])
    assert [Path(p).name for p in paths] == ["1.jpg", "1.png", "2.png", "3.png",
                                             "4.PNG"]  # fmt: skip
    # The second part has no crow; an owl is number 1 there too.
    assert y.tolist() == [0, 1, 1, 1, 1]
    with pytest.raises(ValueError, match=r"train' holds class .* names, 'crow'"):
        read(folders, ["test", "train"])
    with pytest.raises(FileNotFoundError, match="'valid'"):
        read(folders, ["train", "valid"])


def test_split_folders(tmp_path):
    for k in range(10):
        save_image(tmp_path / f"a/{k}.png")
        save_image(tmp_path / f"b/{k}.png")
    split = readers.split_folders
    parts = [split(tmp_path, 0.3, seed) for seed in (0, 0, 1)]
    assert parts[0].test_paths == parts[1].test_paths != parts[2].test_paths
    for part in parts:
        assert np.bincount(part.train_y).tolist() == [7, 7]
        assert np.bincount(part.test_y).tolist() == [3, 3]
        assert len({*part.train_paths, *part.test_paths}) == 20
        for paths, y in (
            (part.train_paths, part.train_y),
            (part.test_paths, part.test_y),
        ):
            assert [Path(p).parent.name for p in paths] == ["ab"[k] for k in y]


def test_another_split_of_the_same_images(tmp_path):
    for k in range(9):
        save_image(tmp_path / ("train" if k < 5 else "test") / f"a/{k}.png")
        save_image(tmp_path / ("train" if k % 2 else "test") / f"b/{k}.png")
    folders = readers.read_folders(tmp_path, "train", "test")
    parts = [readers.draw_split(folders, 3, seed) for seed in (0, 0, 1)]
    assert parts[0].test_paths == parts[1].test_paths != parts[2].test_paths
    for part in parts:
        assert np.bincount(part.train_y).tolist() == [3, 3]
        assert np.bincount(part.test_y).tolist() == [6, 6]
        images = {*part.train_paths, *part.test_paths}
        assert images == {*folders.train_paths, *folders.test_paths}
        for paths, y in (
            (part.train_paths, part.train_y),
            (part.test_paths, part.test_y),
        ):
            assert [Path(p).parent.name for p in paths] == ["ab"[k] for k in y]
    with pytest.raises(ValueError, match="'a' has 9 images"):
        readers.draw_split(folders, 9, 0)


def test_a_drawn_split_does_not_depend_on_the_folders(tmp_path):
    drawn = []
    for root, n in (("few", 2), ("many", 6)):
        for k in range(8):
            part = "train" if k < n else "test"
            save_image(tmp_path / root / part / f"a/{k}.png")
        folders = readers.read_folders(tmp_path / root, "train", "test")
        split = readers.draw_split(folders, 4, 0)
        drawn.append([Path(path).name for path in split.train_paths])
    assert drawn[0] == drawn[1]


@pytest.fixture
def cub(tmp_path) -> Path:
    names = ["002.Wren/W_1.jpg", "001.Auk/A_1.jpg", "001.Auk/A_2.jpg",
             "002.Wren/W_2.jpg"]  # fmt: skip
    for name in names:
        save_image(tmp_path / "images" / name)
    lists = {
        "images.txt": [f"{k} {name}" for k, name in enumerate(names, 1)],
        "image_class_labels.txt": ["1 2", "2 1", "3 1", "4 2"],
        "train_test_split.txt": ["1 1", "2 1", "3 0", "4 0"],
        "classes.txt": ["1 001.Auk", "2 002.Wren"],
    }
    for name, lines in lists.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_cub(cub):
    split = readers.read_cub(cub)
    assert split.names == ["001.Auk", "002.Wren"]
    assert [Path(p).name for p in split.train_paths] == ["W_1.jpg", "A_1.jpg"]
    assert split.train_y.tolist() == [1, 0]
    assert [Path(p).name for p in split.test_paths] == ["A_2.jpg", "W_2.jpg"]
    assert split.test_y.tolist() == [0, 1]
    assert all(Path(p).is_file() for p in split.train_paths + split.test_paths)


@pytest.mark.parametrize(
    "name", ["images.txt", "image_class_labels.txt", "train_test_split.txt",
             "classes.txt"],
)  # fmt: skip
def test_cub_without_a_list(cub, name):
    (cub / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name};.*data\.caltech\.edu"):
        readers.read_cub(cub)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("train_test_split.txt", "1 1\n2 0\n", "do not list the same images"),
        ("image_class_labels.txt", "1 2\n2 1\n3 1\n4 7\n", r"lacks: \['7'\]"),
        ("train_test_split.txt", "1 1\n2 1\n3 0\n4 2\n", r"1 \(training\) or 0"),
        ("train_test_split.txt", "1 1\n2 1\n3 1\n4 1\n", "name no test image"),
        ("classes.txt", "001.Auk\n", "'001.Auk' without a blank"),
    ],
)
def test_cub_with_a_wrong_list(cub, name, text, message):
    (cub / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        readers.read_cub(cub)


def test_cub_without_an_image(cub):
    (cub / "images/001.Auk/A_2.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of the 4 .*A_2\.jpg; expected"):
        readers.read_cub(cub)


def test_mit67(mit67):
    split = readers.read_mit67(mit67)
    assert split.names == ["attic", "bar"]
    assert split.train_y.tolist() == [1, 0, 1]
    assert split.test_y.tolist() == [1, 0]
    assert [Path(p).name for p in split.train_paths] == ["b 1.jpg", "A_2.JPG", "b3.jpg"]
    # What a file holds counts, not what it is called.
    FeatureMaps().fit(split.train_paths + split.test_paths)


@pytest.mark.parametrize("name", ["TrainImages.txt", "TestImages.txt"])
def test_mit67_without_a_list(mit67, name):
    (mit67 / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name};.*indoor\.html"):
        readers.read_mit67(mit67)


def test_mit67_errors(mit67):
    read = readers.read_mit67
    test_list = mit67 / "TestImages.txt"
    test_list.write_text("zoo/z.jpg\n")
    with pytest.raises(ValueError, match=r"training lacks: \['zoo'\]"):
        read(mit67)
    test_list.write_text("b4.jpg\n")
    with pytest.raises(ValueError, match=r"a line 'b4.jpg', not class/image"):
        read(mit67)
    test_list.write_text("bar/b4.jpg\nbar/b5.jpg\nbar/b6.jpg\n")
    with pytest.raises(FileNotFoundError, match=r"2 of the 6 .*b5\.jpg"):
        read(mit67)
