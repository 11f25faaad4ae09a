"""Images decoded at reduced size show the same square, in the same orientation."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from PIL import Image

from skdpnet.images.collection import as_images
from skdpnet.images.framing import FRAMINGS, Framing
from skdpnet.images.geometry import preprocess

SIDE = 32
CROP = Framing(SIDE, "crop")
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


@pytest.fixture
def decoded(monkeypatch):
    """Return the list of sizes at which files are decoded."""
    from PIL import JpegImagePlugin

    sizes = []
    load = JpegImagePlugin.JpegImageFile.load

    def noting(self):
        if self.tile:
            sizes.append(self.size)
        return load(self)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", noting)
    return sizes


def _saved(path, image, orientation=1, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORE[orientation](np.asarray(image)))
    Image.fromarray(stored).save(path, exif=exif, quality=95, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(449, 300), (301, 517)])
def test_reduced_images_show_the_same_square(tmp_path, decoded, orientation, size):
    image = Image.fromarray(skimage.data.coffee()).resize(size)
    path = _saved(tmp_path / "a.jpg", image, orientation)
    got, _ = as_images([path]).network_input(0, CROP)
    stored = size if orientation < 5 else size[::-1]
    assert decoded == [tuple(-(-length // 4) for length in stored)]
    difference = np.abs(got - preprocess(image, CROP).astype(float))
    assert difference.mean() < 1.5
    # A square that is one pixel off, or oriented wrongly, differs more.
    shifted = Image.fromarray(np.roll(image, -8, axis=(0, 1)))
    wrong = np.abs(got - preprocess(shifted, CROP).astype(float))
    assert wrong.mean() > 3 * difference.mean()


@pytest.mark.parametrize("name", FRAMINGS)
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("side", "size", "factors"),
    [
        (64, (1200, 600), (4, 4, 8, 4, 1)),
        (32, (300, 540), (4, 4, 8, 4, 1)),
        (32, (1200, 140), (2, 2, 8, 2, 1)),
    ],
)
def test_reduced_images_show_what_the_framing_sees(
    tmp_path, decoded, name, orientation, side, size, factors
):
    image = Image.fromarray(skimage.data.coffee()).resize(size)
    path = _saved(tmp_path / "a.jpg", image, orientation)
    framing = Framing(side, name, (90, 80, 70))
    got, _ = as_images([path]).network_input(0, framing)
    stored = size if orientation < 5 else size[::-1]
    factor = factors[FRAMINGS.index(name)]
    assert decoded == [tuple(-(-length // factor) for length in stored)]
    difference = np.abs(got - preprocess(image, framing).astype(float))
    assert difference.mean() < 1.5
    shifted = Image.fromarray(np.roll(image, -8, axis=(0, 1)))
    wrong = np.abs(got - preprocess(shifted, framing).astype(float))
    assert wrong.mean() > 2 * difference.mean()


@pytest.mark.parametrize(
    ("stored_side", "decoded_side"),
    [(2 * 64 - 1, 127), (2 * 64, 64), (4 * 64 - 1, 128), (4 * 64, 64), (999, 125)],
)
def test_at_least_twice_the_input_is_decoded(
    tmp_path, decoded, stored_side, decoded_side
):
    image = Image.fromarray(skimage.data.coffee()).resize(
        (stored_side + 40, stored_side)
    )
    path = _saved(tmp_path / "a.jpg", image)
    as_images([path]).network_input(0, CROP)
    assert min(decoded[0]) == decoded_side
    assert decoded_side >= 2 * SIDE


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_other_images_are_decoded_whole(tmp_path, mode, suffix, orientation):
    image = Image.fromarray(skimage.data.coffee()).resize((90, 70)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    try:
        image.save(path, exif=exif)
    except (OSError, ValueError):
        pytest.skip(f"no {mode} in {suffix}")
    images = as_images([path])
    pixels, _ = images.network_input(0, CROP)
    np.testing.assert_array_equal(pixels, preprocess(images.load(0), CROP))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_reduced_images_of_other_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(skimage.data.coffee()).resize((400, 300)).convert(mode)
    image.save(tmp_path / "a.jpg", quality=95)
    images = as_images([tmp_path / "a.jpg"])
    got, _ = images.network_input(0, CROP)
    expected = preprocess(images.load(0), CROP).astype(float)
    assert np.abs(got - expected).mean() < 1.5


def test_explanations_see_the_full_size(tmp_path):
    image = Image.fromarray(skimage.data.coffee())
    images = as_images([_saved(tmp_path / "a.jpg", image, 6)])
    images.network_input(0, CROP)
    assert images.load(0).size == image.size
    assert images.geometry(0).upright_size == image.size


def test_the_key_belongs_to_the_pixels_that_were_read(tmp_path):
    path = _saved(tmp_path / "a.jpg", Image.fromarray(skimage.data.coffee()))
    array = skimage.data.chelsea()
    items = [path, array, Image.fromarray(array)]
    images = as_images(items)
    for i in range(len(items)):
        assert images.network_input(i, CROP, keyed=True)[1] == images.content_key(i)
        assert images.network_input(i, CROP)[1] == ""
