"""Reading and checking images of every kind."""

import io
import pickle
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageFile

from skdpnet.exceptions import ImageError
from skdpnet.images.collection import as_images
from skdpnet.images.framing import FRAMINGS, Framing
from skdpnet.images.geometry import preprocess

RGB = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)


def loaded(item):
    return np.asarray(as_images([item]).load(0))


# ------------------------------------------------------- the same image in every form


def every_kind(folder):
    """Return the same image as every kind of item."""
    path = folder / "a.png"
    Image.fromarray(RGB).save(path)
    chw = torch.from_numpy(RGB.transpose(2, 0, 1).copy())
    opaque = np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)])
    return {
        "path": path,
        "str": str(path),
        "PIL": Image.fromarray(RGB),
        "lazy PIL": Image.open(path),
        "uint8": RGB,
        "uint16": RGB.astype(np.uint16) * 257,
        "big-endian uint16": (RGB.astype(np.uint16) * 257).astype(">u2"),
        "float64": RGB / 255,
        "float32": (RGB / 255).astype(np.float32),
        "float16": (RGB / 255).astype(np.float16),
        "barely above 1": np.where(RGB == 255, 1 + 5e-7, RGB / 255),
        "RGBA": opaque,
        "strided": np.ascontiguousarray(RGB[::-1, ::-1])[::-1, ::-1],
        "tensor": chw,
        "float tensor with gradient": (chw / 255).requires_grad_(),
        "half tensor": (chw / 255).half(),
        "uint16 tensor": torch.from_numpy(RGB.transpose(2, 0, 1).astype("u2") * 257),
    }


def test_every_kind_of_item_gives_the_same_image(tmp_path):
    items = every_kind(tmp_path)
    images = as_images(list(items.values()))
    images.check()
    for i, name in enumerate(items):
        np.testing.assert_array_equal(np.asarray(images.load(i)), RGB, err_msg=name)
        assert images.geometry(i).stored_size == (12, 10)
        assert preprocess(images.load(i), Framing(8, "crop")).shape == (8, 8, 3)
    keys = {images.content_key(i) for i in range(len(items))}
    assert len(keys) == 2  # that of the file, and that of the pixels


def test_bfloat16_tensor_has_few_digits():
    chw = torch.from_numpy(RGB.transpose(2, 0, 1) / 255).bfloat16()
    assert np.abs(loaded(chw).astype(int) - RGB).max() <= 1


@pytest.mark.parametrize("kind", ["array", "view", "tensor", "grey"])
@pytest.mark.parametrize("name", FRAMINGS)
@pytest.mark.parametrize("size", [(64, 64), (96, 64), (64, 96), (64, 48)])
def test_the_input_of_arrays_is_that_of_their_images(kind, name, size):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (size[1], 2 * size[0], 3), dtype=np.uint8)[:, ::2]
    item = {
        "array": np.ascontiguousarray(pixels),
        "view": pixels,
        "tensor": torch.from_numpy(pixels.transpose(2, 0, 1).copy()),
        "grey": np.ascontiguousarray(pixels[..., 0]),
    }[kind]
    framing, images = Framing(64, name), as_images([item])
    expected = preprocess(images.load(0), framing)
    found, _ = images.network_input(0, framing)
    np.testing.assert_array_equal(found, expected)
    keyed, key = images.network_input(0, framing, keyed=True)
    np.testing.assert_array_equal(keyed, expected)
    assert key == images.content_key(0)


def test_loaded_image_is_a_copy():
    original = Image.fromarray(RGB)
    as_images([original]).load(0).putpixel((0, 0), (1, 2, 3))
    assert original.getpixel((0, 0)) == tuple(RGB[0, 0])


def test_loading_leaves_the_users_image_alone():
    original = palette(1)
    before = original.getpalette(), original.tobytes(), dict(original.info)
    as_images([original]).load(0)
    as_images([original]).content_key(0)
    assert (original.getpalette(), original.tobytes(), dict(original.info)) == before
    saved = io.BytesIO()
    original.save(saved, "GIF")
    with Image.open(saved) as again:
        assert again.getpalette()[:9] == [200, 100, 50, 0, 0, 255, 1, 2, 3]


def object_column(items):
    column = np.empty((len(items), 1), dtype=object)
    column[:, 0] = items
    return column


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "stack": np.stack,
    "object array": lambda items: object_column(items)[:, 0],
    "column": object_column,
    "Series": lambda items: pd.Series(items, index=[7, 3, 5]),
    "DataFrame": lambda items: pd.DataFrame({"image": items}),
    "tensor stack": lambda items: torch.from_numpy(np.stack(items)).permute(0, 3, 1, 2),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers(container):
    items = [np.full((5, 6, 3), value, np.uint8) for value in (10, 20, 30)]
    images = as_images(CONTAINERS[container](items))
    images.check()
    assert len(images) == 3
    assert [images.load(i).getpixel((0, 0))[0] for i in range(3)] == [10, 20, 30]


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 6, 3), (5, 6, 4)])
def test_stacks(shape):
    stack = np.full((2, *shape), 255, np.uint8)
    stack[1] = 0
    stack[1, ..., -1:] = 255 if shape[-1] == 4 else 0
    images = as_images(stack)
    assert images.load(0).getpixel((5, 4)) == (255, 255, 255)
    assert images.load(1).getpixel((5, 4)) == (0, 0, 0)


@pytest.mark.parametrize("kind", [np.array, object_column, pd.Series])
def test_containers_of_text(tmp_path, kind):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    images = as_images(kind([str(tmp_path / "a.png")] * 2))
    images.check()
    np.testing.assert_array_equal(np.asarray(images.load(1)), RGB)


def test_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.fromarray(RGB).save(tmp_path / "a.png")
    np.testing.assert_array_equal(loaded("~/a.png"), RGB)


# ------------------------------------------------------------------------------ modes


def palette(transparency=None):
    image = Image.new("P", (3, 1))
    image.putpalette([200, 100, 50, 0, 0, 255, 1, 2, 3])
    image.putdata([0, 1, 2])
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def pixels(mode, *values):
    image = Image.new(mode, (len(values), 1))
    image.putdata(values)
    return image


def grey_with_transparency():
    image = pixels("L", 0, 7, 200)
    image.info["transparency"] = 7
    return image


GREY16 = np.array([[0, 255, 385, 386, 32896, 65535]], np.uint16)
GREY16_RGB = [(v, v, v) for v in (0, 1, 1, 2, 128, 255)]  # v / 257, rounded
MODES = {
    "1": (pixels("1", 0, 255), [(0, 0, 0), (255, 255, 255)]),
    "L": (pixels("L", 0, 200), [(0, 0, 0), (200, 200, 200)]),
    "L, transparent": (
        grey_with_transparency(),
        [(0, 0, 0), (255,) * 3, (200,) * 3],
    ),
    # 100 * 0.2 + 255 * 0.8 = 224
    "LA": (
        pixels("LA", (100, 255), (100, 51), (0, 0)),
        [(100,) * 3, (224,) * 3, (255,) * 3],
    ),
    "RGBA": (
        pixels("RGBA", (9, 8, 7, 255), (100, 0, 255, 51), (1, 2, 3, 0)),
        [(9, 8, 7), (224, 204, 255), (255, 255, 255)],
    ),
    "RGBa": (pixels("RGBa", (20, 0, 51, 51)), [(224, 204, 255)]),
    "La": (pixels("LA", (100, 51)).convert("La"), [(224,) * 3]),
    "P": (palette(), [(200, 100, 50), (0, 0, 255), (1, 2, 3)]),
    "P, transparent": (
        palette(1),
        [(200, 100, 50), (255, 255, 255), (1, 2, 3)],
    ),
    "P, alphas": (
        palette(b"\xff\x33\x00"),
        [(200, 100, 50), (204, 204, 255), (255,) * 3],
    ),
    "CMYK": (
        pixels("CMYK", (0, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255)),
        [(255, 255, 255), (255, 0, 0), (0, 0, 0)],
    ),
    "YCbCr": (pixels("YCbCr", (77, 128, 128)), [(77, 77, 77)]),
    "HSV": (pixels("HSV", (0, 255, 200)), [(200, 0, 0)]),
    "I;16": (Image.fromarray(GREY16), GREY16_RGB),
    "I;16B": (Image.fromarray(GREY16.astype(">u2")), GREY16_RGB),
    "I": (Image.fromarray(GREY16.astype(np.int32)), GREY16_RGB),
    "uint16 array": (GREY16, GREY16_RGB),
    "RGBA array": (np.array([[[100, 0, 255, 51]]], np.uint8), [(224, 204, 255)]),
    "float array": (
        np.array([[0.0, 0.2, 0.999, 1.0]]),
        [(v,) * 3 for v in (0, 51, 255, 255)],
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes_become_rgb(mode):
    item, expected = MODES[mode]
    images = as_images([item])
    images.check()
    assert images.load(0).mode == "RGB"
    np.testing.assert_array_equal(np.asarray(images.load(0))[0], expected)


IN_FILES = [
    ("1", "png"), ("L", "png"), ("L, transparent", "png"), ("LA", "png"),
    ("RGBA", "png"), ("RGBA", "webp"), ("P", "png"), ("P, transparent", "png"),
    ("P, alphas", "png"), ("P", "gif"), ("P, transparent", "gif"), ("CMYK", "tif"),
    ("I;16", "png"), ("I;16", "tif"), ("I", "tif"), ("I;16B", "tif"),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "suffix"), IN_FILES)
def test_modes_in_files(tmp_path, mode, suffix):
    image, expected = MODES[mode]
    path = tmp_path / f"a.{suffix}"
    image.save(path, **({"lossless": True, "exact": True} if suffix == "webp" else {}))
    images = as_images([path])
    images.check()
    np.testing.assert_array_equal(np.asarray(images.load(0))[0], expected)


def test_transparent_colour_of_a_16_bit_png(tmp_path):
    image = Image.fromarray(GREY16)
    image.save(tmp_path / "a.png", transparency=386)
    assert loaded(tmp_path / "a.png")[0, :, 0].tolist() == [0, 1, 1, 255, 128, 255]


@pytest.mark.parametrize("suffix", ["gif", "tif", "png", "webp"])
def test_first_of_several_frames(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(loaded(path)[0, 0], (255, 0, 0), atol=3)


def test_corrupt_exif_is_ignored(tmp_path):
    for number, exif in enumerate(
        [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff"]
    ):
        path = tmp_path / f"{number}.jpg"
        Image.new("RGB", (8, 4), "red").save(path, exif=exif)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about the EXIF data
            images = as_images([path])
            images.check()
            assert images.load(0).size == (8, 4)
            assert images.geometry(0).orientation == 1


@pytest.mark.parametrize("value", [0, 9, 1000])
def test_orientations_that_do_not_exist(value):
    image = Image.fromarray(RGB)
    image.getexif()[0x0112] = value
    np.testing.assert_array_equal(loaded(image), RGB)
    assert as_images([image]).geometry(0).orientation == 1


# ------------------------------------------------------------------- views and pickles


def test_images_are_passed_on_unchanged():
    images = as_images([RGB, RGB]).take([1])
    assert as_images(images) is images


def test_take_keeps_the_numbers():
    images = as_images([RGB, "b.jpg", None, Image.fromarray(RGB)])
    part = images.take([3, 2, 1]).take(np.array([True, False, True]))
    assert len(part) == 2
    assert part.describe(0) == "item 3 (PIL image of size 12 x 10, mode RGB)"
    assert part.describe(1) == "item 1 ('b.jpg')"
    assert images.describe(0) == "item 0 (array of shape (10, 12, 3))"
    assert len(images.take([])) == 0


def test_pickles(tmp_path):
    items = every_kind(tmp_path)
    del items["uint16 tensor"]  # torch cannot pickle these
    images = as_images(list(items.values()))
    copy = pickle.loads(pickle.dumps(images.take(range(len(items))[::-1])))
    assert copy.describe(0).startswith(f"item {len(items) - 1} ")
    for i in range(len(items)):
        np.testing.assert_array_equal(np.asarray(copy.load(i)), RGB)

    error = pickle.loads(pickle.dumps(ImageError("item 4 ('a'): bad", 4, "a")))
    assert (str(error), error.index, error.path) == ("item 4 ('a'): bad", 4, "a")


def test_content_keys(tmp_path):
    first, renamed, changed = (tmp_path / f"{name}.png" for name in "abc")
    Image.fromarray(RGB).save(first)
    shutil.copy(first, renamed)
    other = RGB.copy()
    other[0, 0, 0] ^= 1
    Image.fromarray(other).save(changed)
    turned = RGB.reshape(12, 10, 3)  # the same bytes in another shape
    images = as_images([first, renamed, changed, RGB, RGB / 255, other, turned])
    keys = [images.content_key(i) for i in range(len(images))]
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)
    assert keys[0] == keys[1] and keys[3] == keys[4]
    assert len(set(keys)) == 5
    shutil.copy(changed, first)
    assert images.content_key(0) == keys[2]


def test_check_does_not_decode_files(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.jpg")

    def decode(self):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    images = as_images([tmp_path / "a.jpg"])
    images.check()
    assert images.geometry(0).stored_size == (12, 10)
