"""The command line of the comparison of global descriptors with parts."""

from __future__ import annotations

import pytest

from benchmarks.accuracy import global_vs_parts
from benchmarks.accuracy.options import read_options
from tests.benchmarks.conftest import save_image


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
def test_command_line_errors(folders, capsys, arguments, message):
    words = ["--data", str(folders), "--output", str(folders / "out"), *arguments]
    with pytest.raises(SystemExit) as stop:
        read_options(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_split_for_each_seed(tmp_path):
    for k in range(6):
        save_image(tmp_path / f"birds/a/{k}.png")
        save_image(tmp_path / f"birds/b/{k}.png")
    options = read_options(
        ["--data", str(tmp_path / "birds"), "--test-fraction", "0.5",
         "--seeds", "3", "4", "--output", str(tmp_path / "out")]
    )  # fmt: skip
    assert [seeds for _, seeds in options.plan] == [[3], [4]]
    first, second = (split for split, _ in options.plan)
    assert first.test_paths != second.test_paths
    assert "--data birds --layout folders --test-fraction 0.5" in options.command
    assert str(tmp_path) not in options.command


def test_too_few_images_for_the_folds(folders):
    with pytest.raises(SystemExit, match="'crow' has 1 images"):
        global_vs_parts.main(
            ["--data", str(folders), "--train", "train", "--test", "test",
             "--output", str(folders / "out")]
        )  # fmt: skip


def test_unknown_backbone(mit67):
    lists = "".join(f"{c}/{k}.jpg\n" for c in ("attic", "bar") for k in range(3))
    for line in lists.split():
        save_image(mit67 / "Images" / line)
    (mit67 / "TrainImages.txt").write_text(lists)
    with pytest.raises(SystemExit, match=r"unknown backbone 'resnet5'.*'resnet50'"):
        global_vs_parts.main(
            ["--data", str(mit67), "--layout", "mit67", "--backbone", "resnet5",
             "--output", str(mit67 / "out")]
        )  # fmt: skip
