"""Items and containers that are not images are refused with a helpful message."""

import os
import struct
import unicodedata
import warnings
import zlib

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from PIL import Image

from skdpnet.exceptions import ImageError
from skdpnet.images.collection import as_images

RGB = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)

# ----------------------------------------------------------------------------- items


def png_header(width, height):
    """Return a PNG file whose header has a size, but which holds no pixels."""
    chunks = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]:
        body = kind + data
        chunks += (
            struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
        )
    return chunks


def image_bytes(folder, name, image=None):
    (image or Image.fromarray(RGB).resize((200, 200))).save(folder / name)
    return (folder / name).read_bytes()


def closed_image(folder):
    image_bytes(folder, "closed.jpg")
    with Image.open(folder / "closed.jpg") as image:
        return image


def file_of(name, content):
    """Return a function that writes a file with this content into a folder."""

    def make(folder):
        data = content(folder) if callable(content) else content
        (folder / name).write_bytes(data)
        return folder / name

    return make


def link_to_nowhere(folder):
    (folder / "link.jpg").symlink_to("nowhere.jpg")
    return folder / "link.jpg"


def pipe(folder):
    os.mkfifo(folder / "pipe.jpg")
    return folder / "pipe.jpg"


def saved(name, image):
    """Return a function that saves the image into a folder."""

    def make(folder):
        image.save(folder / name)
        return folder / name

    return make


def constant(value):
    return lambda folder: value


def array(shape, dtype=np.uint8, fill=0):
    return constant(np.full(shape, fill, dtype))


def tensor(shape, dtype=torch.uint8, fill=0):
    return constant(torch.full(shape, fill, dtype=dtype))


CUT = {
    suffix: file_of(
        f"cut.{suffix}", lambda f, s=suffix: image_bytes(f, f"w.{s}")[:-300]
    )
    for suffix in ("jpg", "png", "webp")
}
# Name of the item: a function that makes it in a folder, and words of the message.
BAD_ITEMS = {
    "missing file": (lambda folder: folder / "no.jpg", "no such file"),
    "missing file, relative": (constant("no/such.jpg"), "working directory"),
    "empty path": (constant(""), "path is empty"),
    "null byte": (constant("a\0b.jpg"), "null byte"),
    "name too long": (constant("/" + "a" * 5000), "cannot be opened"),
    "web address": (constant("https://example.org/a.jpg"), "download"),
    "folder": (lambda folder: folder, "load_image_folder"),
    "broken link": (link_to_nowhere, "link is broken.*nowhere.jpg"),
    "pipe": (pipe, "not a regular file"),
    "file as a folder": (
        lambda folder: file_of("f.jpg", b"x")(folder) / "a.jpg",
        "no such file",
    ),
    "empty file": (file_of("empty.jpg", b""), "empty \\(0 bytes\\)"),
    "text file": (file_of("text.jpg", b"hello, world"), "not an image.*hello"),
    "start of a header": (file_of("a.jpg", b"\xff\xd8\xff\xe0"), "not an image"),
    "truncated WebP": (CUT["webp"], "cannot be decoded"),
    "float TIFF": (saved("f.tif", Image.new("F", (2, 2))), "float array"),
    "PIL mode F": (constant(Image.new("F", (2, 2))), "mode 'F'"),
    "PIL mode I, large": (constant(Image.new("I", (2, 2), 70000)), "0000.*16 bits"),
    "PIL mode I, negative": (constant(Image.new("I", (2, 2), -1)), "-1.*16 bits"),
    "PIL without pixels": (constant(Image.new("RGB", (0, 5))), "no pixels.*0 x 5"),
    "PIL, file closed": (closed_image, "closed before"),
    "float 0 to 255": (array((4, 4, 3), float, 200.0), "200.*divide by 255"),
    "normalised floats": (array((4, 4, 3), np.float32, -2.1), "-2.1.*normalisation"),
    "barely too large": (array((4, 4, 3), float, 1.00001), "must lie in.*clip"),
    "NaN": (array((4, 4, 3), float, np.nan), "NaN"),
    "infinity": (array((4, 4, 3), float, np.inf), "infinity"),
    "int64": (array((4, 4, 3), np.int64), "dtype int64.*uint8"),
    "bool": (array((4, 4), bool), "dtype bool"),
    "uint32": (array((4, 4), np.uint32), "dtype uint32"),
    "complex": (array((4, 4), complex), "dtype complex128"),
    "object array": (array((4, 4), object), "dtype object"),
    "array without pixels": (array((0, 4, 3)), "no pixels"),
    "channels first": (array((3, 8, 9)), "transpose\\(1, 2, 0\\)"),
    "two channels": (array((8, 9, 2)), "length 2"),
    "a vector": (array((512,), float), 'backbone="precomputed"'),
    "a 0-D array": (constant(np.array(3.0)), "0 axes"),
    "a stack as an item": (array((2, 4, 4, 3)), "4 axes.*one image"),
    "tensor, channels last": (tensor((8, 9, 3)), "permute\\(2, 0, 1\\)"),
    "tensor, two channels": (tensor((2, 8, 9)), "length 2"),
    "tensor, int64": (tensor((3, 8, 9), torch.int64), "dtype int64"),
    "tensor 0 to 255": (tensor((3, 8, 9), torch.float32, 200), "divide by 255"),
    "tensor, NaN": (tensor((3, 8, 9), torch.bfloat16, torch.nan), "NaN"),
    "tensor without pixels": (tensor((3, 0, 9)), "no pixels"),
    "tensor without data": (
        constant(torch.empty(3, 8, 9, device="meta")),
        "tensor cannot be read",
    ),
    "tensor vector": (tensor((512,), torch.float32), "precomputed"),
    "None": (constant(None), "missing value"),
    "nan": (constant(float("nan")), "missing value"),
    "pandas NA": (constant(pd.NA), "missing value"),
    "number": (constant(3), "type int"),
    "bytes": (constant(b"\xff\xd8"), "io.BytesIO"),
    "list": (constant([0.1, 0.2]), "precomputed"),
    "dict": (constant({"path": "a.jpg"}), "item 2 \\(dict\\).*no image.*'path'"),
    "huge image": (
        file_of("h.png", png_header(10**5, 2000)),
        "too large.*200000000",
    ),
    "bomb": (file_of("b.png", png_header(10**5, 10**5)), "too large.*10000000000"),
}
FOUND_ON_LOAD = {
    "truncated JPEG": (CUT["jpg"], "truncated"),
    "truncated PNG": (CUT["png"], "truncated"),
    "PNG without pixels": (file_of("n.png", png_header(5, 5)), "decoded|truncated"),
    "32-bit TIFF": (saved("i.tif", Image.new("I", (2, 2), 70000)), "16 bits"),
}


def assert_names_it(error, item, words):
    path = str(item) if isinstance(item, (str, os.PathLike)) else None
    assert (error.value.index, error.value.path) == (2, path)
    start = f"item 2 ({path!r}): " if path is not None else "item 2 ("
    assert str(error.value).startswith(start)
    assert error.match(f"(?s){words}")


@pytest.mark.parametrize("name", BAD_ITEMS)
def test_bad_items_are_named(tmp_path, name):
    make, words = BAD_ITEMS[name]
    item = make(tmp_path)
    images = as_images([RGB, RGB, item]).take([2, 0])
    for call in (images.check, lambda: images.load(0)):
        with pytest.raises(ImageError) as error:
            call()
        assert_names_it(error, item, words)


@pytest.mark.parametrize("name", BAD_ITEMS)
def test_keys_and_geometry_raise_only_image_errors(tmp_path, name):
    images = as_images([RGB, BAD_ITEMS[name][0](tmp_path)])
    for call in (images.content_key, images.geometry):
        # They may succeed: a text file has a key, although it is not an image.
        try:
            call(1)
        except ImageError as error:
            assert error.index == 1  # noqa: PT017


@pytest.mark.parametrize("name", FOUND_ON_LOAD)
def test_bad_pixels_are_named(tmp_path, name):
    make, words = FOUND_ON_LOAD[name]
    item = make(tmp_path)
    images = as_images([RGB, RGB, item])
    images.check()
    with pytest.raises(ImageError) as error:
        images.load(2)
    assert_names_it(error, item, words)


@pytest.mark.parametrize(
    "limit, words", [(7_000, "15000 pixels.*MAX_IMAGE_PIXELS"), (7_500, None)]
)
def test_images_of_twice_pillow_s_limit_are_read(tmp_path, monkeypatch, limit, words):
    path = file_of("h.png", png_header(100, 150))(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    images = as_images([path])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if words is None:
            images.check()
            # As a user asks for who wants no image above the limit.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            words = "15000 pixels.*MAX_IMAGE_PIXELS"
        with pytest.raises(ImageError, match=f"too large.*{words}"):
            images.check()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    images.check()


@pytest.mark.parametrize("form, other", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_another_unicode_form_is_told(tmp_path, form, other):
    Image.fromarray(RGB).save(tmp_path / unicodedata.normalize(form, "kākāpō.png"))
    path = str(tmp_path / unicodedata.normalize(other, "kākāpō.png"))
    if os.path.exists(path):
        pytest.skip("this file system knows one Unicode form")
    with pytest.raises(ImageError, match=f'normalize\\("{form}", path\\)'):
        as_images([path]).check()


def test_no_permission(tmp_path):
    path = file_of("a.png", lambda f: image_bytes(f, "b.png"))(tmp_path)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:  # the superuser may read every file
        os.seteuid(65534)
    try:
        with pytest.raises(ImageError, match="item 0 .*permission denied") as error:
            as_images([path]).check()
    finally:
        os.seteuid(user)
    assert error.value.path == str(path)


# ------------------------------------------------------------------------ containers

BAD_CONTAINERS = {
    "path": ("a.jpg", TypeError, "wrap it"),
    "folder": (os.curdir, TypeError, "load_image_folder"),
    "PIL image": (Image.new("RGB", (2, 2)), TypeError, "wrap it"),
    "bytes": (b"abc", TypeError, "raw bytes"),
    "None": (None, TypeError, "NoneType"),
    "number": (3, TypeError, "int"),
    "dict": ({0: "a.jpg"}, TypeError, "values\\(\\)"),
    # Sorted, the keys would part from the labels that are the values.
    "keys of a dict": ({"b.jpg": 1, "a.jpg": 0}.keys(), TypeError, "use list\\(X\\)$"),
    "values of a dict": ({1: "a.jpg"}.values(), TypeError, "use list\\(X\\)$"),
    "set": ({"a.jpg"}, TypeError, "set.*sorted.* labels in that order"),
    "generator": ((p for p in ["a.jpg"]), TypeError, "list\\(X\\)"),
    "sparse matrix": (scipy.sparse.eye(3).tocsr(), TypeError, "sparse.*precomputed"),
    "empty list": ([], ValueError, "empty"),
    "empty array": (np.zeros((0, 4, 4, 3)), ValueError, "empty"),
    "empty 1-D array": (np.array([]), ValueError, "empty"),
    "empty Series": (pd.Series([], dtype=object), ValueError, "empty"),
    "single array": (RGB, ValueError, "wrap it"),
    "single greyscale array": (RGB[:, :, 0], ValueError, "wrap it"),
    "single tensor": (torch.zeros(3, 8, 8), ValueError, "wrap it"),
    "features": (np.zeros((5, 512)), ValueError, 'backbone="precomputed"'),
    "feature table": (pd.DataFrame(np.zeros((5, 9))), ValueError, "precomputed"),
    "feature tensor": (torch.zeros(5, 512), ValueError, "precomputed"),
    "numbers": (np.arange(5), ValueError, "\\(5,\\) and dtype int64"),
    "0-D array": (np.array(5), ValueError, "shape \\(\\)"),
    "channels first": (np.zeros((2, 3, 8, 8)), ValueError, "transpose\\(0, 2, 3, 1\\)"),
    "channels last": (torch.zeros(2, 8, 8, 3), ValueError, "permute\\(0, 3, 1, 2\\)"),
    "video": (np.zeros((2, 2, 8, 8, 3)), ValueError, "not of images"),
    "two columns": (np.array([["a", "b"]]), ValueError, "2 columns"),
    "dissected": (np.array([RGB, RGB], dtype=object), ValueError, "took the images"),
}


@pytest.mark.parametrize("name", BAD_CONTAINERS)
def test_bad_containers(name):
    X, kind, words = BAD_CONTAINERS[name]
    with pytest.raises(kind, match=f"(?s)^X .*{words}"):
        as_images(X)
