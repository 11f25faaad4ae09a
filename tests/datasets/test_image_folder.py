"""The reader of image folders, compared with torchvision's."""

import os

import numpy as np
import pytest
from PIL import Image

from skdpnet.datasets import load_image_folder


def save(folder, *names):
    """Save images of these names in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (4, 4)).save(folder / name)


def test_a_folder_is_listed_by_class(tmp_path):
    save(tmp_path / "owl", "b.JPG", "a.png")
    save(tmp_path / "owl" / "young", "c.Tiff")
    save(tmp_path / "crow", "1.bmp", "2.gif", "3.jpeg", "4.webp", "5.ppm")
    save(tmp_path / "étourneau 鳥", "ünï.png")
    (tmp_path / "owl" / "notes.txt").write_text("not an image")
    (tmp_path / "list.csv").write_text("not a folder")
    save(tmp_path / "owl", ".hidden.png")
    save(tmp_path / ".cache", "x.png")
    save(tmp_path / "owl" / ".thumbs", "y.png")
    paths, y, names = load_image_folder(tmp_path)
    assert names == ["crow", "owl", "étourneau 鳥"]
    parts = [os.path.relpath(p, tmp_path).replace(os.sep, "/") for p in paths]
    assert parts == [
        *(f"crow/{f}" for f in ("1.bmp", "2.gif", "3.jpeg", "4.webp", "5.ppm")),
        *("owl/a.png", "owl/b.JPG", "owl/young/c.Tiff"),
        "étourneau 鳥/ünï.png",
    ]
    np.testing.assert_array_equal(y, [0] * 5 + [1] * 3 + [2])
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (4, 4)
    assert load_image_folder(str(tmp_path))[0] == paths


def test_the_list_agrees_with_torchvision(tmp_path):
    torchvision_datasets = pytest.importorskip("torchvision.datasets")
    save(tmp_path / "b", "2.png", "10.png")
    save(tmp_path / "b" / "deep", "1.jpg")
    save(tmp_path / "B", "x.webp")
    save(tmp_path / "a", "0.tif")
    paths, y, names = load_image_folder(tmp_path)
    reference = torchvision_datasets.ImageFolder(str(tmp_path))
    assert names == reference.classes
    assert list(zip(paths, y.tolist(), strict=True)) == reference.samples


def test_links_are_followed_once(tmp_path):
    save(tmp_path / "store", "a.png")
    save(tmp_path / "data" / "owl", "b.png")
    try:
        (tmp_path / "data" / "crow").symlink_to(tmp_path / "store", True)
        (tmp_path / "data" / "owl" / "loop").symlink_to(tmp_path / "data" / "owl", True)
    except OSError:
        pytest.skip("this file system has no links")
    paths, _, names = load_image_folder(tmp_path / "data")
    assert names == ["crow", "owl"]
    assert [os.path.basename(p) for p in paths] == ["a.png", "b.png"]


def test_invalid_folders_are_rejected(tmp_path):
    with pytest.raises(ValueError, match="folder"):
        load_image_folder(tmp_path / "missing")
    save(tmp_path, "loose.png")
    with pytest.raises(ValueError, match="folder"):
        load_image_folder(tmp_path / "loose.png")
    with pytest.raises(ValueError, match="No class folders"):
        load_image_folder(tmp_path)
    save(tmp_path / "owl", "a.png")
    (tmp_path / "crow").mkdir()
    (tmp_path / "crow" / "a.txt").write_text("no image")
    with pytest.raises(ValueError, match="'crow'"):
        load_image_folder(tmp_path)
