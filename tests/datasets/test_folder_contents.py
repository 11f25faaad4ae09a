"""What class folders hold: images of all formats, what is passed over, and links."""

from __future__ import annotations

import io
import os
import warnings

import pytest
from PIL import Image

from skdpnet.datasets import load_image_folder
from skdpnet.images import ImageError
from skdpnet.images.collection import as_images

PIXELS = Image.linear_gradient("L").resize((16, 16)).convert("RGB")


def content(format="JPEG"):
    """An image file's bytes."""
    file = io.BytesIO()
    PIXELS.save(file, format)
    return file.getvalue()


def write(path, data=None):
    """Write a file, by default of an image, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content() if data is None else data)


@pytest.fixture
def root(tmp_path):
    """Two classes with an image each."""
    for name in ("crow", "owl"):
        write(tmp_path / "root" / name / "1.jpg")
    return tmp_path / "root"


def listed(root, **kwargs):
    """The paths below the folder, without it."""
    return [
        os.path.relpath(path, root) for path in load_image_folder(root, **kwargs)[0]
    ]


ONLY = ["crow/1.jpg", "owl/1.jpg"]


# ------------------------------------------------------------------------------ formats


@pytest.mark.parametrize(
    "name, format",
    [
        *(("a.jfif", "JPEG"), ("a.JPE", "JPEG"), ("a.jp2", "JPEG2000")),
        *(("a.tga", "TGA"), ("a.mpo", "MPO"), ("a.dds", "DDS"), ("a.Ico", "ICO")),
        *(("a.apng", "PNG"), ("a.pcx", "PCX"), ("a.sgi", "SGI"), ("a.qoi", "QOI")),
    ],
)
def test_all_suffixes_that_pillow_reads_are_listed(root, name, format):
    try:
        write(root / "owl" / name, content(format))
    except (KeyError, OSError, ValueError) as error:
        pytest.skip(f"this Pillow does not write {format}: {error}")
    assert listed(root) == [*ONLY, f"owl/{name}"]


@pytest.mark.parametrize("name", ["a", "a.jpg_large", "a.jpg?w=400", "a.b.c", "a.1"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_images_are_recognised_by_content_where_the_suffix_does_not_say(
    root, name, format
):
    write(root / "owl" / name, content(format))
    assert listed(root) == [*ONLY, f"owl/{name}"]
    as_images([root / "owl" / name]).load(0)


def test_a_tiff_file_needs_its_suffix_unless_it_has_none(root):
    """Raw files of cameras are TIFF files whose first image is a thumbnail."""
    write(root / "owl" / "scan", content("TIFF"))
    write(root / "owl" / "raw.nef", content("TIFF"))
    with pytest.warns(UserWarning, match=r"1 file \(\.nef 1\)\.$"):
        assert listed(root) == [*ONLY, "owl/scan"]


def test_an_image_too_large_for_pillow_is_listed(root, monkeypatch):
    """The error that names it comes when it is read, not a warning here."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16)
    write(root / "owl" / "large")
    assert listed(root) == [*ONLY, "owl/large"]


# -------------------------------------------------------------------------- passed over


def test_files_that_are_passed_over_are_counted_by_suffix(root):
    for name, data in [
        ("crow/notes.txt", b"no image"),
        ("owl/deep/more.TXT", b"no image"),
        ("owl/film.mp4", b"\0\0\0\x18ftypmp42"),
        ("owl/film.mpg", b"\0\0\1\xb3"),
        ("owl/drawing.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        ("owl/README", b"no image"),
        ("owl/empty", b""),
    ]:
        write(root / name, data)
    counts = r"7 files \(\.eps 1, \.mp4 1, \.mpg 1, \.txt 2, no suffix 2\)\.$"
    with pytest.warns(UserWarning, match=counts) as said:
        assert listed(root) == ONLY
    assert len(said) == 1
    assert os.path.samefile(said[0].filename, __file__), "the caller's line is named"


@pytest.mark.parametrize(
    "name", ["1.jpg.part", "1.jpg~", "1.jpg.bak", "1.jpg_original", "1.thm", "1.tmp"]
)
def test_copies_and_unfinished_files_are_no_images_of_their_own(root, name):
    write(root / "owl" / name)
    with pytest.warns(UserWarning, match="Passed over in .*: 1 file"):
        assert listed(root) == ONLY


def test_images_beside_the_class_folders_are_told(root):
    write(root / "2.jpg")
    write(root / "3")
    write(root / "list.csv", b"no image")
    message = r"2 images beside the class folders \(\.jpg 1, no suffix 1\)\.$"
    with pytest.warns(UserWarning, match=message):
        assert listed(root) == ONLY


def test_errors_tell_what_was_passed_over(root):
    write(root / "wren" / "a.txt", b"no image")
    with pytest.raises(ValueError, match=r"'wren' in .* has no image\. .*\(\.txt 1\)"):
        load_image_folder(root)
    with pytest.raises(ValueError, match=r"No class folders.*1 image beside .*\.jpg 1"):
        load_image_folder(root / "owl")


@pytest.mark.parametrize(
    "folder",
    [
        *("@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information"),
        *("lost+found", "__MACOSX", "LOST.DIR", "_thumbs", "@Recycle"),
    ],
)
def test_folders_that_systems_make_are_passed_over(root, folder):
    write(root / folder / "1.jpg" / "SYNOPHOTO_THUMB_M.jpg")
    write(root / "owl" / folder / "1.jpg")
    write(root / "owl" / "deep" / folder / "1.jpg")
    with pytest.warns(UserWarning, match="folders of thumbnails.*3") as said:
        paths, _, names = load_image_folder(root, names=["crow", "owl"])
    assert repr(folder) in str(said[0].message)
    assert names == ["crow", "owl"]
    assert len(paths) == 2


def test_thumbnails_are_passed_over_among_images_but_may_be_a_class(root):
    write(root / "owl" / "Thumbnails" / "1.jpg")
    write(root / "thumbs" / "up.jpg")
    with pytest.warns(UserWarning, match=r"\('Thumbnails' 1\)"):
        assert listed(root) == [*ONLY, "thumbs/up.jpg"]


def test_hidden_files_and_those_of_systems_are_ignored(root):
    for name in (".DS_Store", "._1.jpg", "Thumbs.db", "desktop.ini", ".trash/1.jpg"):
        write(root / "owl" / name)
    write(root / ".Trashes" / "1.jpg")
    write(root / ".ipynb_checkpoints" / "1.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert listed(root) == ONLY


# -------------------------------------------------------------------------------- links


@pytest.fixture
def link(root):
    """Make a link in the folder."""

    def make(name, target):
        try:
            (root / name).symlink_to(target)
        except OSError:
            pytest.skip("this file system has no links")

    return make


def test_the_broken_link_of_a_class_is_named(root, link):
    link("wren", root / "nowhere")
    with pytest.raises(ValueError, match="The link 'wren' .* points to '.*nowhere'"):
        load_image_folder(root)


def test_a_class_that_links_to_itself_is_named(root, link):
    link("wren", "wren")
    with pytest.raises(ValueError, match="The link 'wren' .* is broken"):
        load_image_folder(root)


def test_broken_links_below_a_class_are_told(root, link):
    link("owl/young", root / "nowhere")
    with pytest.warns(UserWarning, match=r"broken links \('.*young'\)"):
        assert listed(root) == ONLY


def test_the_broken_link_of_an_image_is_listed_and_then_named(root, link):
    link("owl/2.jpg", root / "nowhere.jpg")
    paths = load_image_folder(root)[0]
    assert [os.path.relpath(path, root) for path in paths] == [*ONLY, "owl/2.jpg"]
    with pytest.raises(ImageError, match="link is broken"):
        as_images(paths).check()


@pytest.mark.parametrize("name", ["a link", "wren"], ids=["before", "after"])
@pytest.mark.parametrize("target", [".", "..", "owl", "owl/deep"])
def test_a_class_that_links_to_others_is_refused(root, link, target, name):
    write(root / "owl" / "deep" / "2.jpg")
    link(name, root / target)
    message = f"{name!r} in .* is a link to .* two classes"
    with pytest.raises(ValueError, match=message):
        load_image_folder(root)


def test_two_links_to_one_folder_are_refused(root, link, tmp_path):
    write(tmp_path / "store" / "2.jpg")
    link("kea", tmp_path / "store")
    assert load_image_folder(root)[2] == ["crow", "kea", "owl"]
    link("wren", tmp_path / "store")
    with pytest.raises(ValueError, match="'(kea|wren)' in .* is a link to .* two"):
        load_image_folder(root)


@pytest.mark.parametrize("target", [".", "..", "crow", "crow/deep"])
def test_links_do_not_bring_images_of_other_classes(root, link, target):
    write(root / "crow" / "deep" / "2.jpg")
    link("owl/others", root / target)
    with pytest.warns(UserWarning, match=r"links to other classes \('others' 1\)"):
        assert listed(root) == ["crow/1.jpg", "crow/deep/2.jpg", "owl/1.jpg"]


def test_links_within_a_class_and_to_folders_elsewhere_are_followed(root, link):
    write(root.parent / "more" / "2.jpg")
    write(root.parent / "store" / "young" / "3.jpg")
    link("owl/more", root.parent / "more")
    link("owl/again", root / "owl")
    link("wren", root.parent / "store")
    link("wren/same", root.parent / "store" / "young")
    paths = listed(root)
    assert paths[:3] == [*ONLY, "owl/more/2.jpg"]
    assert len(paths) == 4, "the folder with two names is listed once"


def test_pipes_are_not_opened(root):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes")
    os.mkfifo(root / "owl" / "pipe")
    with pytest.warns(UserWarning, match=r"1 file \(no suffix 1\)"):
        assert listed(root) == ONLY


@pytest.mark.parametrize("folder", ["owl", "owl/deep"])
def test_a_folder_that_cannot_be_read_is_named(root, folder, monkeypatch):
    write(root / "owl" / "deep" / "2.jpg")
    monkeypatch.chdir(root)  # another user may not come here by the whole path
    root.chmod(0o755)
    (root / folder).chmod(0)
    user = os.geteuid()
    if user == 0:  # the superuser may read every folder
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError) as error:
            load_image_folder(".")
    finally:
        os.seteuid(user)
        (root / folder).chmod(0o755)
    assert error.value.filename == os.path.join(".", folder)
