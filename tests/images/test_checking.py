"""All images that cannot be used are named at once."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import skdpnet
from skdpnet.exceptions import ImageError
from skdpnet.images.collection import as_images

RGB = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.fixture
def mixed(tmp_path):
    """Images of many kinds, and the positions of the bad ones."""
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path in paths:
        Image.fromarray(RGB).save(path)
    paths[1].write_bytes(paths[1].read_bytes()[:-300])
    items = [paths[0], None, RGB, paths[1], RGB / 100, paths[2], tmp_path / "no.png"]
    return items, [1, 3, 4, 6]


def test_check_names_all_where_one_is_bad(mixed):
    """One bad header is enough for the others to be decoded."""
    items, bad = mixed
    with pytest.raises(ImageError, match="^4 of 7 images cannot be used:\n") as error:
        as_images(items).check()
    assert [each.index for each in error.value.errors] == bad
    assert (error.value.index, error.value.path) == (1, None)
    lines = str(error.value).splitlines()
    assert lines[1:] == [str(each) for each in error.value.errors]
    assert lines[1].startswith("item 1 (NoneType): a missing value")
    assert "truncated" in lines[2]
    assert "must lie in [0, 1]" in lines[3]
    assert error.value.errors[1].path == str(items[3])
    # Files are not decoded where all headers are good.
    as_images([items[0], items[3]]).check()


def test_a_single_bad_image_has_its_own_error(mixed):
    items, _ = mixed
    with pytest.raises(ImageError, match="^item 1 ") as error:
        as_images([items[0], items[1]]).check()
    assert error.value.errors == (error.value,)


def test_errors_can_be_pickled(mixed):
    with pytest.raises(ImageError) as error:
        as_images(mixed[0]).check()
    copy = pickle.loads(pickle.dumps(error.value))
    assert str(copy) == str(error.value)
    assert [each.index for each in copy.errors] == mixed[1]
    assert ImageError("from a worker").errors[0].index is None


@pytest.mark.parametrize("container", [list, tuple, pd.Series])
def test_check_images(mixed, container):
    items, bad = mixed
    X = container(items)
    with pytest.raises(ImageError, match="^4 of 7 images"):
        skdpnet.check_images(X)
    with pytest.warns(UserWarning, match="left out: 4 of 7 images") as said:
        good = skdpnet.check_images(X, errors="skip")
    assert good.tolist() == [0, 2, 5]
    assert all(f"\nitem {i} (" in str(said[0].message) for i in bad)
    chosen = [items[i] for i in good]
    assert skdpnet.check_images(chosen, num_workers=1).tolist() == [0, 1, 2]
    skdpnet.FeatureMaps(image_size=64).fit_transform(chosen)


def test_check_images_needs_a_good_one(mixed):
    with pytest.raises(ImageError, match="^2 of 2 images"):
        skdpnet.check_images([None, mixed[0][3]], errors="skip")


@pytest.mark.parametrize(
    "X, options, words",
    [
        ([RGB], {"errors": "ignore"}, 'errors must be "raise" or "skip"'),
        ([RGB], {"num_workers": 0}, "num_workers must be"),
        ([RGB], {"num_workers": "all"}, "num_workers must be .* or 'auto', got 'all'"),
        ([], {}, "X is empty"),
    ],
)
def test_check_images_refuses(X, options, words):
    with pytest.raises(ValueError, match=words):
        skdpnet.check_images(X, **options)
