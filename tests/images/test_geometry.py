"""Boxes in the network's input are mapped back to the image's pixels."""

import numpy as np
import pytest
from PIL import Image

from skdpnet.images.collection import as_images
from skdpnet.images.framing import FRAMINGS, Framing
from skdpnet.images.geometry import Geometry, preprocess

# Its boxes do not depend on the size.
CROP = Framing(24, "crop")
# Image sizes (upright), and a rectangle inside their centred square.
IMAGES = {
    "wide": ((90, 40), (30, 8, 42, 24)),
    "tall": ((40, 91), (4, 30, 20, 42)),
    "square": ((48, 48), (0, 6, 12, 30)),
}
# For each EXIF orientation, the stored pixels of an upright image.
STORE = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def bounds(mask):
    """Return left, top, right and bottom edge of the true pixels."""
    ys, xs = np.nonzero(mask)
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def marked(size, box):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    left, top, right, bottom = box
    image[top:bottom, left:right] = 255
    return image


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "tif", "webp", "object", "tif-object"]
)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", IMAGES)
def test_boxes_come_back_to_the_stored_pixels(tmp_path, kind, orientation, suffix):
    size, box = IMAGES[kind]
    upright = marked(size, box)
    stored = np.ascontiguousarray(STORE[orientation](upright))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(stored)
    if suffix == "object":
        image.getexif()[0x0112] = orientation
        images = as_images([image])
    else:
        path = tmp_path / f"p.{suffix[:3] if 'object' in suffix else suffix}"
        options = {"lossless": True} if suffix == "webp" else {"quality": 95}
        image.save(path, exif=exif, **({} if suffix == "png" else options))
        images = as_images([path if "object" not in suffix else Image.open(path)])

    loaded = np.asarray(images.load(0))
    assert loaded.shape == upright.shape
    assert np.abs(loaded.astype(int) - upright).max() < 60  # JPEG has ringing artefacts
    geometry = images.geometry(0)
    assert geometry.upright_size == size

    side = 24  # so that the rectangles lie on whole pixels of the input
    box_in_input = bounds(
        preprocess(images.load(0), Framing(side, "crop"))[:, :, 0] > 127
    )
    fractions = np.array(box_in_input) / side
    scale = min(size) / side
    np.testing.assert_allclose(
        geometry.to_upright(fractions, CROP), box, atol=scale / 2
    )
    expected = bounds(stored[:, :, 0] > 127)
    if suffix == "tif-object":
        # Pillow applies the orientation of TIFF files, and shows upright pixels.
        expected = box
    else:
        assert geometry.stored_size == image.size
    got = geometry.to_original(fractions, CROP)
    assert got[0] < got[2] and got[1] < got[3]
    np.testing.assert_allclose(got, expected, atol=scale / 2)


@pytest.mark.parametrize("name", FRAMINGS)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(300, 120), (130, 260), (90, 110), (100, 100)])
def test_boxes_come_back_from_every_framing(tmp_path, name, orientation, size):
    """The box of a mark in the network's input is that of the mark in the image."""
    width, height = size
    box = width // 2 - 25, height // 2 - 20, width // 2 + 15, height // 2 + 30
    stored = np.ascontiguousarray(STORE[orientation](marked(size, box)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "p.png"
    Image.fromarray(stored).save(path, exif=exif)
    images, framing = as_images([path]), Framing(96, name)
    pixels, _ = images.network_input(0, framing)
    fractions = np.array(bounds(pixels[:, :, 0] > 127)) / framing.canvas_side

    geometry = images.geometry(0)
    view = framing.view(*size)
    left, top, right, bottom = view.box
    pixel = max((right - left) / view.size[0], (bottom - top) / view.size[1])
    # The edges of the mark were found in whole pixels of the input, which is blurred.
    upright = geometry.to_upright(fractions, framing)
    np.testing.assert_allclose(upright, box, atol=0.6 * pixel)
    original = geometry.to_original(fractions, framing)
    np.testing.assert_allclose(
        original, bounds(stored[:, :, 0] > 127), atol=0.6 * pixel
    )


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("framing", "seen"),
    [
        (Framing(64, "squash"), [0, 0, 300, 120]),
        # 64/300 of a pixel each; 26 of 64 rows are the image.
        (Framing(64, "pad"), [0, -19 * 120 / 26, 300, 120 + 19 * 120 / 26]),
        # The whole width of the canvas of 320 pixels, and 224 of its rows.
        (Framing(224, "aspect"), [0, 0, 300, 320 * 120 / 224]),
    ],
)
def test_the_canvas_in_pixels_of_the_image(framing, seen, orientation):
    stored = (300, 120) if orientation == 1 else (120, 300)
    geometry = Geometry(stored, orientation)
    np.testing.assert_allclose(geometry.to_upright([0, 0, 1, 1], framing), seen)


def test_whole_input_is_the_centred_square():
    whole = [[0, 0, 1, 1], [0.5, 0, 1, 0.5]]
    wide = Geometry((101, 40), 1)
    np.testing.assert_array_equal(
        wide.to_upright(whole, CROP), [[30, 0, 70, 40], [50, 0, 70, 20]]
    )
    turned = Geometry((101, 40), 6)
    assert turned.upright_size == (40, 101)
    np.testing.assert_array_equal(turned.to_upright(whole, CROP)[0], [0, 30, 40, 70])
    # The right of the upright image is the top of a file that is stored rotated.
    np.testing.assert_array_equal(
        turned.to_original(whole, CROP), [[30, 0, 70, 40], [30, 0, 50, 20]]
    )


@pytest.mark.parametrize("shape", [(4,), (0, 4), (5, 4), (2, 3, 4)])
def test_boxes_keep_their_shape(shape):
    geometry = Geometry((10, 20), 7)
    assert geometry.to_upright(np.zeros(shape), CROP).shape == shape
    assert geometry.to_original(np.zeros(shape), CROP).shape == shape


@pytest.mark.parametrize("boxes", [0.5, [0.1, 0.2], np.zeros((4, 3))])
def test_boxes_need_four_edges(boxes):
    with pytest.raises(ValueError, match="last axis of length 4"):
        Geometry((10, 20), 1).to_original(boxes, CROP)


def test_preprocess_crops_without_blur():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (21, 32, 3), dtype=np.uint8)
    result = preprocess(Image.fromarray(image), Framing(21, "crop"))
    np.testing.assert_array_equal(result, image[:, 5:26])
    assert result.flags.writeable


def test_preprocess_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = preprocess(Image.fromarray(stripes), Framing(8, "crop"))
    assert np.abs(small[:, 1:-1].astype(int) - 128).max() < 12


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3000, 2)])
def test_preprocess_extreme_sizes(size):
    result = preprocess(Image.new("RGB", size, (9, 8, 7)), Framing(32, "crop"))
    assert (result == (9, 8, 7)).all() and result.shape == (32, 32, 3)


def test_preprocess_needs_rgb():
    with pytest.raises(ValueError, match="mode 'L'"):
        preprocess(Image.new("L", (4, 4)), Framing(8, "crop"))
