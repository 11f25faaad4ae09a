"""Values that use a small part of their range are told, judged over the whole list."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import skdpnet
from skdpnet.datasets import make_part_images
from skdpnet.images.opened import is_undecoded

GREY = [
    np.rint(image.mean(-1)).astype(np.uint16)
    for image in make_part_images(6, 2, 64, random_state=0).images
]
SETTINGS = {"image_size": 64}


def file(suffix):
    """Return a function that saves 16-bit values in a file."""

    def save(folder, i, values):
        path = folder / f"{i}.{suffix}"
        Image.fromarray(values).save(path)
        return path

    return save


def opened(folder, i, values):
    return Image.open(io.BytesIO(file("png")(folder, i, values).read_bytes()))


def colour(folder, i, values):
    return np.stack([values, values, values], -1)


KINDS = {
    "array": lambda folder, i, values: values,
    "big-endian": lambda folder, i, values: values.astype(">u2"),
    "colour": colour,
    "tensor": lambda folder, i, values: torch.from_numpy(values),
    "PIL I;16": lambda folder, i, values: Image.fromarray(values),
    "PIL I": lambda folder, i, values: Image.fromarray(values.astype(np.int32)),
    "PNG": file("png"),
    "TIFF": file("tif"),
    "opened": opened,
}


def told(X, call="transform", **options):
    """Return what an extractor says of images, as an error or a warning."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            getattr(skdpnet.FeatureMaps(**SETTINGS, **options), call)(X)
        except ValueError as error:
            return "error", str(error)
    messages = [s for s in said if s.category is UserWarning]
    return ("warning", str(messages[0].message)) if messages else (None, "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("bits", "factor"), [(8, 1), (10, 4), (12, 16), (14, 64)])
def test_bits_in_16(tmp_path, kind, bits, factor):
    X = [KINDS[kind](tmp_path, i, grey * factor) for i, grey in enumerate(GREY)]
    peak = max(int(grey.max()) for grey in GREY) * factor
    in_fit = "warning" if bits == 14 else "error"
    for call, expected in (("fit", in_fit), ("transform", "warning")):
        how, message = told(X, call)
        assert how == expected
        assert f"all 6 16-bit images are at most {peak} of 65535" in message
        assert (
            f"if they have {bits} bits, multiply them by {2 ** (16 - bits)}" in message
        )
    if kind == "opened":
        assert all(map(is_undecoded, X))


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_range_is_nothing_to_tell(tmp_path, kind):
    """Also where one, or all but one, of the images are dark."""
    for n_dark in (0, 1, 5):
        X = [
            KINDS[kind](tmp_path, i, grey * (4 if i < n_dark else 257))
            for i, grey in enumerate(GREY)
        ]
        for call in ("fit", "transform"):
            assert told(X, call) == (None, "")


CONTAINERS = {
    "stack": np.stack,
    "tuple": tuple,
    "Series": pd.Series,
    "frame": lambda items: pd.DataFrame({"image": items}),
    "tensors": lambda items: torch.from_numpy(np.stack(items))[:, None],
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers(container):
    X = CONTAINERS[container]([grey * 16 for grey in GREY])
    assert told(X, "fit_transform")[0] == "error"
    assert told(X)[0] == "warning"


@pytest.mark.parametrize(
    ("scale", "dtype", "words"),
    [
        (lambda grey: grey > 127, np.uint8, "at most 1 of 255.*multiply them by 255"),
        (lambda grey: grey // 16, np.uint8, "at most 15 of 255.*multiply them by 17"),
        (lambda grey: grey / 255**2, np.float32, "of 1 .*only once"),
        (lambda grey: grey * 16 / 65535, float, "of 1 .*only once"),
    ],
)
def test_masks_and_floats(scale, dtype, words):
    X = [scale(grey).astype(dtype) for grey in GREY]
    how, message = told(X, "fit")
    assert how == "error"
    assert pd.Series([message]).str.contains(words).all()
    assert told(X)[0] == "warning"
    assert told([*X, GREY[0].astype(np.uint8), GREY[0] / 255], "fit") == (None, "")
    if dtype is np.uint8:
        decoded = [Image.fromarray(values) for values in X]
        assert told([image.convert("RGB") for image in decoded], "fit")[0] == "error"
        opaque = [image.convert("RGBA") for image in decoded]
        assert told(opaque, "fit")[0] == "error"
        assert told([np.asarray(image) for image in opaque], "fit")[0] == "error"


def test_an_image_alone():
    assert told([GREY[0] * 16])[0] == "warning"
    assert told([GREY[0] * 16], "fit")[0] == "warning"
    # Dark, but as a photograph at night may be.
    assert told([GREY[0] * 64]) == (None, "")
    assert told([GREY[0].astype(np.uint8) // 16]) == (None, "")


def test_black_images_are_black():
    for dtype in (np.uint8, np.uint16, float):
        assert told([np.zeros((20, 20), dtype)] * 3, "fit") == (None, "")


def test_each_type_is_judged_by_itself():
    X = [GREY[0].astype(np.uint8), GREY[1] * 16, GREY[2] * 16]
    how, message = told(X, "fit")
    assert how == "error"
    assert "all 2 16-bit images" in message


def test_the_cache_does_not_hide_it(tmp_path):
    X = [file("png")(tmp_path, i, grey * 16) for i, grey in enumerate(GREY)]
    for _ in range(2):
        assert told(X, memory=tmp_path / "maps")[0] == "warning"
        assert told(X, "fit_transform", memory=tmp_path / "maps")[0] == "error"


def test_estimators_refuse_to_learn_from_them():
    X, y = [grey * 16 for grey in GREY], [0, 1] * 3
    bright = [grey * 257 for grey in GREY]
    for estimator in (
        skdpnet.DPNetClassifier(max_epochs=1, n_parts_per_class=2),
        skdpnet.GlobalFeatures(),
        skdpnet.SoftAssignParts(n_parts_per_class=2),
        skdpnet.VLAD(n_words=2),
    ):
        estimator.set_params(**SETTINGS)
        with pytest.raises(ValueError, match="if they have 12 bits"):
            estimator.fit(X, y)
        estimator.fit(bright, y)
        with pytest.warns(UserWarning, match="if they have 12 bits"):
            estimator.transform(X)


def test_bad_images_are_named_first(tmp_path):
    X = [file("png")(tmp_path, i, grey * 16) for i, grey in enumerate(GREY)]
    X[2].write_bytes(X[2].read_bytes()[:-200])
    how, message = told(X, "fit")
    assert how == "error"
    assert "2.png'): the file is truncated" in message
