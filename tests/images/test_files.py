"""What a file may cost: its format, its length and what unpacks from it are bounded."""

from __future__ import annotations

import os
import struct
import subprocess
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageFile, PngImagePlugin

from skdpnet.exceptions import ImageError
from skdpnet.images import files
from skdpnet.images.collection import as_images
from skdpnet.images.formats import readable_suffixes
from skdpnet.images.framing import Framing

RGB = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)
SQUARE = Framing(8, "squash")


def error_of(path):
    """Return what is wrong with a file, whichever way it is read."""
    images = as_images([path])
    errors = []
    for read in (lambda: images.network_input(0, SQUARE), lambda: images.load(0)):
        with pytest.raises(ImageError) as error:
            read()
        errors.append(str(error.value))
    assert errors[0] == errors[1]
    return errors[0]


# ---------------------------------------------------------------------------- formats


@pytest.mark.parametrize("name", ["a.eps", "a.jpg", "a"])
def test_postscript_never_reaches_another_program(tmp_path, monkeypatch, name):
    def run(*args, **kwargs):
        raise AssertionError("a program was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    monkeypatch.setattr(subprocess, "check_call", run)
    Image.fromarray(RGB).save(tmp_path / name, "EPS")
    with pytest.raises(ImageError, match="format EPS, which is not read"):
        as_images([tmp_path / name]).check()
    assert "format EPS" in error_of(tmp_path / name)
    with Image.open(tmp_path / name) as opened:
        images = as_images([opened])
        with pytest.raises(ImageError, match="format EPS, which is not read"):
            images.check()
        with pytest.raises(ImageError, match="format EPS, which is not read"):
            images.load(0)


@pytest.mark.parametrize(
    "suffix", "avif bmp dds gif ico jp2 jpg msp pcx png ppm qoi tga tif webp".split()
)
def test_formats_are_recognised_by_content(tmp_path, suffix):
    """The name of the file says nothing, and sizes are those that were saved."""
    image = Image.fromarray(RGB).resize((32, 32))
    image = image.convert("1") if suffix == "msp" else image
    try:
        image.save(tmp_path / f"a.{suffix}")
    except (OSError, KeyError, ValueError) as error:
        pytest.skip(f"this Pillow does not write {suffix}: {error}")
    (tmp_path / f"a.{suffix}").rename(tmp_path / "b.jpg")
    images = as_images([tmp_path / "b.jpg"])
    images.check()
    assert images.load(0).size == (32, 32)
    assert f".{suffix}" in readable_suffixes()


def test_suffixes_are_those_of_formats_that_are_read():
    suffixes = set(readable_suffixes())
    assert {".jfif", ".jpe", ".jp2", ".tga", ".mpo", ".png", ".webp"} <= suffixes
    assert suffixes.isdisjoint({".eps", ".ps", ".pdf", ".wmf", ".h5", ".mpg"})


def test_a_plugin_of_the_user_is_used(tmp_path, monkeypatch):
    class Own(ImageFile.ImageFile):
        format = "OWN"

        def _open(self):
            self._size, self._mode = (3, 2), "L"
            self.tile = [("raw", (0, 0, 3, 2), 4, ("L", 0, 1))]

    Image.init()
    monkeypatch.setattr(Image, "ID", Image.ID.copy())
    monkeypatch.setattr(Image, "OPEN", Image.OPEN.copy())
    Image.register_open("OWN", Own, lambda start: start.startswith(b"OWN!"))
    (tmp_path / "a.own").write_bytes(b"OWN!\1\2\3\4\5\6")
    images = as_images([tmp_path / "a.own"])
    images.check()
    assert np.asarray(images.load(0))[..., 0].tolist() == [[1, 2, 3], [4, 5, 6]]


# ----------------------------------------------------------------------------- length


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "gif"])
def test_a_file_far_longer_than_its_image_is_not_read(tmp_path, suffix, monkeypatch):
    """Sparse files take no space on the disk, and would fill the memory."""
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGB).save(path)
    os.truncate(path, files._BYTES_BESIDES + 8 * 120)
    with monkeypatch.context() as patch:
        patch.setattr(files, "_BYTES_BESIDES", path.stat().st_size - 8 * 120)
        as_images([path]).check()
    os.truncate(path, 2**40)
    images = as_images([path])
    for read in (images.check, lambda: images.content_key(0)):
        with pytest.raises(ImageError, match="has 1099512 MB, far more than its image"):
            read()
    assert "1099512 MB" in error_of(path)


def test_the_length_may_grow_with_the_image(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    Image.fromarray(RGB).save(path)
    length = path.stat().st_size
    monkeypatch.setattr(files, "_BYTES_BESIDES", length - 8 * 120)
    as_images([path]).check()
    monkeypatch.setattr(files, "_BYTES_BESIDES", length - 8 * 120 - 1)
    with pytest.raises(ImageError, match="far more than its image"):
        as_images([path]).check()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    as_images([path]).check()


# --------------------------------------------------------------- what unpacks from it


def chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


@pytest.mark.parametrize("kind, start", [
    (b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0"), (b"iCCP", b"k\0\0"),
])  # fmt: skip
@pytest.mark.parametrize("place", ["before", "after"])
def test_texts_of_a_png_file_do_not_fill_the_memory(
    tmp_path, kind, start, place, monkeypatch
):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    content = path.read_bytes()
    position = content.index(b"IDAT" if place == "before" else b"IEND") - 4
    text = chunk(kind, start + zlib.compress(b"x" * 2_000_000))
    path.write_bytes(content[:position] + text + content[position:])
    if kind == b"iCCP" and place == "after":
        pytest.skip("a profile after the pixels is passed over")
    message = error_of(path)
    assert "MAX_TEXT_CHUNK" in message
    assert "without its texts" in message
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 3_000_000)
    np.testing.assert_array_equal(np.asarray(as_images([path]).load(0)), RGB)


def test_tiles_larger_than_the_image_are_refused(tmp_path):
    """Pillow would make room for a whole tile, of 10 GB here."""
    tags = [(256, 10), (257, 10), (258, 8), (259, 1), (262, 1), (277, 1)]
    tags += [(322, 100_000), (323, 100_000), (324, 0), (325, 100)]
    content = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags))
    content += b"".join(struct.pack("<HHII", tag, 4, 1, n) for tag, n in tags)
    path = tmp_path / "a.tif"
    path.write_bytes(content + bytes(104))
    assert "tiles of 100000 x 100000 pixels are too large" in error_of(path)
