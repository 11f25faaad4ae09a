"""Hugging Face's data sets as X: their columns, encoded images, and labels."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import cross_val_score

from skdpnet import DPNetClassifier, GlobalFeatures
from skdpnet.datasets import images_of, labels_of
from skdpnet.images import ImageError
from skdpnet.images.collection import as_images

datasets = pytest.importorskip("datasets")
ClassLabel, ImageType = datasets.ClassLabel, datasets.Image

N = 6
NAMES = ["crow", "heron"]
LABELS = [0, 1, 1, 0, 1, 0]


def encoded(number: int, kind: str, orientation: int = 1) -> bytes:
    values = np.random.RandomState(number).randint(0, 256, (24, 32, 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(file, kind, exif=exif)
    return file.getvalue()


# The first is turned by its EXIF data.
FILES = [encoded(i, "JPEG" if i % 2 else "PNG", 1 if i else 6) for i in range(N)]


@pytest.fixture
def paths(tmp_path):
    names = [tmp_path / f"{i}.{'jpg' if i % 2 else 'png'}" for i in range(N)]
    for name, content in zip(names, FILES, strict=True):
        name.write_bytes(content)
    return [str(name) for name in names]


def table(images, column="image", image_type=None, **columns):
    features = {column: image_type or ImageType()}
    for name in columns:
        features[name] = (
            ImageType() if name.startswith("im") else datasets.Value("int64")
        )
    features["label"] = ClassLabel(names=NAMES)
    content = {column: images, **columns, "label": LABELS}
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


def data(**options):
    return table([{"bytes": content, "path": None} for content in FILES], **options)


def keys(X):
    images = as_images(X)
    images.check()
    return [images.content_key(i) for i in range(len(images))]


def test_encoded_images_are_read_like_their_files(paths):
    model = GlobalFeatures(image_size=32)
    expected = model.fit_transform(paths)
    forms = {
        "bytes": data(),
        "paths": table([{"bytes": None, "path": path} for path in paths]),
        "column": data()["image"],
        "format": data().with_format("numpy"),
        "another name": data(column="photo"),
        "selected": data().select(range(N - 1, -1, -1)).select(range(N - 1, -1, -1)),
    }
    for name, X in forms.items():
        # One content key, so that the cache knows them all as one.
        assert keys(X) == keys(paths), name
        np.testing.assert_array_equal(model.transform(X), expected)
        assert keys(pickle.loads(pickle.dumps(images_of(X)))) == keys(paths)
    turned = as_images(forms["bytes"]).geometry(0)
    assert turned.upright_size == (24, 32)


def test_no_other_column_is_decoded():
    broken = [b"no image"] * N
    both = data(image2=[{"bytes": b, "path": None} for b in broken])
    with pytest.raises(Exception, match="identify"):
        both[0]
    assert keys(both) == keys(data())


def test_a_mode_and_a_transform_are_the_users(paths):
    grey = data(image_type=ImageType(mode="L"))
    for i in range(N):
        expected = grey[i]["image"].convert("RGB")
        np.testing.assert_array_equal(
            np.asarray(as_images(grey).load(i)), np.asarray(expected)
        )

    def inverted(batch):
        arrays = [255 - np.asarray(image) for image in batch["image"]]
        return {"img": arrays, "target": batch["label"]}

    changed = data().with_transform(inverted)
    first = 255 - np.asarray(data()[0]["image"])
    np.testing.assert_array_equal(np.asarray(as_images(changed).load(0)), first)
    np.testing.assert_array_equal(labels_of(changed), LABELS)


def test_columns_are_chosen_or_named():
    extra = [{"bytes": content, "path": None} for content in FILES[::-1]]
    two = data(column="left").add_column("x", [0] * N)
    assert keys(two) == keys(data())
    # Two columns of images, of which one has a usual name.
    assert keys(data(image2=extra)) == keys(data())
    unclear = data(image2=extra).rename_column("image", "first")
    with pytest.raises(ValueError, match="each of 'first', 'image2'.*images_of"):
        as_images(unclear)
    assert keys(images_of(unclear, "image2")) == keys(data())[::-1]
    with pytest.raises(ValueError, match="without the column 'x'.*'image', 'label'"):
        images_of(data(), "x")
    with pytest.raises(ValueError, match="columns 'label'.*no image"):
        as_images(data().select_columns(["label"]))


def test_bad_images_are_named():
    files = [*FILES]
    files[1], files[4] = b"hello, world", FILES[4][:300]
    bad = table([{"bytes": content, "path": None} for content in files])
    with pytest.raises(ImageError) as error:
        GlobalFeatures(image_size=32).fit(bad)
    assert "item 1 (image 1 of a Dataset): the file is not an image" in str(error.value)
    assert "item 4 (image 4 of a Dataset" in str(error.value)
    missing = table([{"bytes": files[0], "path": None}, None, *files[2:]])
    with pytest.raises(ImageError, match="item 1 .*missing value"):
        as_images(missing).check()


def test_labels_are_names_and_need_no_images():
    broken = table([{"bytes": b"no image", "path": None}] * N)
    names = np.array(NAMES)[LABELS]
    np.testing.assert_array_equal(labels_of(broken), names)
    numbers = broken.cast_column("label", datasets.Value("int64"))
    np.testing.assert_array_equal(labels_of(numbers), LABELS)
    with pytest.raises(ValueError, match="columns 'image'.*none is known"):
        labels_of(broken.select_columns(["image"]))
    with pytest.raises(ValueError, match="no column 'y'"):
        labels_of(broken, "y")
    twice = broken.add_column("coarse", LABELS)
    twice = twice.cast_column("coarse", ClassLabel(names=["a", "b"]))
    np.testing.assert_array_equal(labels_of(twice), names)  # "label" is its usual name
    np.testing.assert_array_equal(labels_of(twice, "coarse"), np.array([*"ab"])[LABELS])
    hidden = datasets.Dataset.from_dict(
        {"label": [0, -1]},
        features=datasets.Features({"label": ClassLabel(names=NAMES)}),
    )
    with pytest.raises(ValueError, match="item 1 has no label"):
        labels_of(hidden)


def test_splits_are_passed_one_by_one():
    splits = datasets.DatasetDict({"train": data(), "test": data()})
    with pytest.raises(TypeError, match="DatasetDict.*'train', 'test'.*one of them"):
        as_images(splits)
    with pytest.raises(TypeError, match="only be iterated over"):
        as_images(data().to_iterable_dataset())


def test_cross_validation_takes_the_list_of_images():
    model = DPNetClassifier(
        image_size=32, n_parts_per_class=1, max_epochs=1, random_state=0
    )
    X, y = data(), labels_of(data())
    arrays = [np.asarray(as_images(X).load(i)) for i in range(N)]
    np.testing.assert_array_equal(
        cross_val_score(model, images_of(X), y, cv=2),
        cross_val_score(model, arrays, y, cv=2),
    )
