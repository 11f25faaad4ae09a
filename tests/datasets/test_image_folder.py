"""The reader of image folders, compared with torchvision's."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skdpnet.datasets import load_image_folder

COMPOSED, DECOMPOSED = "\u00e9tourneau", "e\u0301tourneau"


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


# ------------------------------------------------------------ numbers of another folder


@pytest.fixture
def train(tmp_path):
    """A folder of three classes, and their names as the function returns them."""
    for name in ("crow", "owl", "wren"):
        save(tmp_path / "train" / name, "1.png")
    return load_image_folder(tmp_path / "train")[2]


@pytest.mark.parametrize("as_given", [list, tuple, np.array, lambda names: names[::-1]])
def test_another_folder_is_numbered_by_names(tmp_path, train, as_given):
    names = as_given(train)
    for name in ("wren", "owl"):
        save(tmp_path / "test" / name, "2.png", "3.png")
    (tmp_path / "test" / "crow").mkdir()  # without an image
    paths, y, returned = load_image_folder(tmp_path / "test", names=names)
    assert returned == list(names)
    assert y.dtype == np.int64
    folders = [os.path.basename(os.path.dirname(path)) for path in paths]
    assert [names[label] for label in y] == folders
    assert sorted(set(folders)) == ["owl", "wren"]
    assert y.tolist() == sorted(y.tolist())


def test_class_folders_that_are_not_in_names_are_refused(tmp_path, train):
    for name in ("owl", "wern", "emu"):
        save(tmp_path / "test" / name, "2.png")
    message = r"not in names, 'emu', 'wern': 'emu' is none of the 3 classes; they are"
    with pytest.raises(ValueError, match=message):
        load_image_folder(tmp_path / "test", train)
    (tmp_path / "test" / "emu" / "2.png").unlink()
    (tmp_path / "test" / "emu").rmdir()
    with pytest.raises(ValueError, match="'wern': .*did you mean 'wren'"):
        load_image_folder(tmp_path / "test", train)


def test_a_folder_without_any_image_is_refused(tmp_path, train):
    (tmp_path / "test" / "owl").mkdir(parents=True)
    with pytest.raises(ValueError, match="The class folders in .* have no image"):
        load_image_folder(tmp_path / "test", train)


@pytest.mark.parametrize(
    "names",
    [
        *("owl", [], [1, 2], ["owl", "owl"], [b"owl"], [COMPOSED, DECOMPOSED]),
        *({"crow", "owl", "wren"}, {"wren": 0, "owl": 1, "crow": 2}),
    ],
    ids=repr,
)
def test_names_must_be_those_of_classes(tmp_path, train, names):
    with pytest.raises(ValueError, match="names must"):
        load_image_folder(tmp_path / "train", names)


@pytest.mark.parametrize(
    "first, second", [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)]
)
def test_names_of_another_unicode_form_are_the_same(tmp_path, first, second):
    save(tmp_path / "train" / "crow", "1.png")
    save(tmp_path / "train" / first, "1.png")
    save(tmp_path / "test" / second, "1.png")
    names = load_image_folder(tmp_path / "train")[2]
    assert names == ["crow", COMPOSED]
    paths, y, _ = load_image_folder(tmp_path / "test", names)
    assert y.tolist() == [1]
    assert os.path.exists(paths[0])
    assert load_image_folder(tmp_path / "test", ["crow", DECOMPOSED])[1].tolist() == [1]


def test_two_unicode_forms_of_a_name_are_refused(tmp_path):
    save(tmp_path / COMPOSED, "1.png")
    save(tmp_path / DECOMPOSED, "1.png")
    if len(os.listdir(tmp_path)) == 1:
        pytest.skip("this file system knows one Unicode form")
    with pytest.raises(ValueError, match=r"'e\\u0301tour.*'\\xe9tour.* the same name"):
        load_image_folder(tmp_path)


# --------------------------------------------------------------------- paths of folders


@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_the_folder_may_be_any_path(tmp_path, kind):
    save(tmp_path / "owl", "1.png")
    assert load_image_folder(kind(tmp_path))[0] == [str(tmp_path / "owl" / "1.png")]


def test_a_leading_tilde_is_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "birds" / "owl", "1.png")
    paths = load_image_folder("~/birds")[0]
    assert paths == [str(tmp_path / "birds" / "owl" / "1.png")]


def test_undecodable_names_are_listed(tmp_path):
    try:
        os.mkdir(os.fsencode(tmp_path) + b"/owl\xff")
    except OSError:
        pytest.skip("this file system has no such names")
    Image.new("RGB", (4, 4)).save(
        os.fsdecode(os.fsencode(tmp_path) + b"/owl\xff/1.png")
    )
    paths, _, names = load_image_folder(tmp_path)
    assert names == ["owl\udcff"]
    assert os.path.exists(paths[0])
