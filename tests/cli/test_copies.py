"""Images in the folders of two classes are named, and take no class from the model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from skdpnet.__main__ import main
from skdpnet.cli.copies import warn_of_copies


def test_images_of_several_classes_are_named():
    paths = ["a/1", "a/2", "b/1", "b/3", "c/1", "b/4"]
    labels = [path[0] for path in paths]
    with pytest.warns(
        UserWarning, match="^2 images lie in two classes or more: "
    ) as said:
        warn_of_copies(paths, labels, ["x", "y", "x", "z", "x", "y"])
    assert "'a/1' = 'b/1' = 'c/1'; 'a/2' = 'b/4'." in str(said[0].message)
    with pytest.warns(UserWarning, match=r"7 images .*; and 2 more\. Keep"):
        warn_of_copies([*"abcdefg", *"hijklmn"], [0] * 7 + [1] * 7, [*range(7)] * 2)


def test_copies_within_a_class_are_no_matter():
    """Warnings are errors in tests."""
    warn_of_copies(["a/1", "a/2", "b/1"], ["a", "a", "b"], ["x", "x", "y"])


@pytest.mark.filterwarnings("default")
def test_a_class_whose_only_image_is_in_another_is_learned(
    class_folders, tmp_path, capsys
):
    """`fit` learns all classes; `fit` and `report` name the image."""
    root = shutil.copytree(class_folders, tmp_path / "images")
    copied = sorted((root / "cat é").iterdir())[0]
    (root / "kitten").mkdir()
    shutil.copy(copied, root / "kitten" / "copy.png")
    model = tmp_path / "m"
    common = ["--json", "--quiet"]
    small = ["--image-size", "64", "--parts-per-class", "4"]
    assert main(["fit", str(root), "-o", str(model), *small, *common]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["classes"] == ["cat é", "coffee é", "kitten"]
    warning = f"1 image lies in two classes or more: '{copied}' = '"
    assert warning in output.err
    assert str(Path("kitten", "copy.png")) in output.err
    page = tmp_path / "page.html"
    assert main(["report", str(model), str(root), "-o", str(page), *common]) == 0
    assert warning in capsys.readouterr().err
