"""Data sets as X: whose value is the image, and how it is fetched."""

from __future__ import annotations

import pickle
import threading
import time
from collections import namedtuple

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, train_test_split
from torch.utils.data import ConcatDataset, DataLoader, Subset, random_split
from torchvision.datasets import FakeData, ImageFolder
from torchvision.transforms import ToTensor

from skdpnet import DPNetClassifier, FeatureMaps, GlobalFeatures, check_images
from skdpnet.datasets import images_of, labels_of
from skdpnet.images import ImageError
from skdpnet.images.collection import as_images

N = 6
Labelled = namedtuple("Labelled", "picture label")


def pixels(number: int) -> np.ndarray:
    """An image of its own for each number, which shows all values."""
    return np.random.RandomState(number).randint(0, 256, (24, 32, 3)).astype(np.uint8)


IMAGES = [pixels(i) for i in range(N)]
PIL_IMAGES = [Image.fromarray(image) for image in IMAGES]


class Items:
    """A data set whose items a function makes, which counts how often."""

    def __init__(self, make, n=N):
        self.make, self.n, self.fetched = make, n, []

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        self.fetched.append(i)
        return self.make(i)


ITEMS = {
    "image": lambda i: PIL_IMAGES[i],
    "(image, label)": lambda i: (PIL_IMAGES[i], i % 2),
    "named tuple": lambda i: Labelled(IMAGES[i], "a"),
    "(tensor, label)": lambda i: (torch.from_numpy(IMAGES[i]).permute(2, 0, 1), 1),
    "image, key": lambda i: {"label": 1, "image": PIL_IMAGES[i]},
    "img": lambda i: {"img": IMAGES[i], "mask": IMAGES[i][..., 0]},
    "pixel_values": lambda i: {"pixel_values": IMAGES[i] / 255.0, "labels": 0},
    "only pixels": lambda i: {"photo": PIL_IMAGES[i], "box": [1, 2], "name": "a"},
}


def seen(X) -> list[np.ndarray]:
    images = as_images(X)
    images.check()
    return [np.asarray(images.load(i)) for i in range(len(images))]


@pytest.mark.parametrize("form", ITEMS)
def test_the_image_of_an_item_is_found(form):
    for X in (Items(ITEMS[form]), [ITEMS[form](i) for i in range(N)]):
        np.testing.assert_array_equal(seen(X), IMAGES)


def test_paths_may_be_items(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(N)]
    for path, image in zip(paths, PIL_IMAGES, strict=True):
        image.save(path)
    for make in (lambda i: (str(paths[i]), i), lambda i: {"image": paths[i]}):
        np.testing.assert_array_equal(seen(Items(make)), IMAGES)
    # By the same content as the files themselves.
    keys = [as_images(Items(make)).content_key(i) for i in range(N)]
    assert keys == [as_images(paths).content_key(i) for i in range(N)]


AMBIGUOUS = {
    "two usual keys": (
        {"image": IMAGES[0], "img": IMAGES[1]},
        "'image', 'img'; name its key by skdpnet.datasets.images_of",
    ),
    "two of pixels": (
        {"left": IMAGES[0], "right": PIL_IMAGES[1], "label": 0},
        "'left', 'right'; name",
    ),
    "no pixels": ({"path": "a.jpg", "label": 0}, "'path', 'label'.*images_of"),
    "label first": ((3, PIL_IMAGES[0]), r"type int.*\(image, label\)"),
    "two images": ((PIL_IMAGES[0], IMAGES[0]), "several images"),
    "empty tuple": ((), "tuple is no image"),
    "features": ((0.5, 0.25), "precomputed"),
    "none": ((None, 1), "tuple is no image"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_items_in_which_no_image_is_certain_are_named(name):
    item, words = AMBIGUOUS[name]
    data = Items(lambda i: item if i == 2 else PIL_IMAGES[i])
    with pytest.raises(ImageError, match=f"(?s)item 2 .*image 2 of a Items.*{words}"):
        as_images(data).check()


def test_a_key_decides():
    pair = Items(lambda i: {"left": IMAGES[i], "right": IMAGES[-1 - i]})
    np.testing.assert_array_equal(seen(images_of(pair, "right")), IMAGES[::-1])
    with pytest.raises(ImageError, match="no key 'up', but 'left', 'right'"):
        as_images(images_of(pair, "up")).check()
    for other in ([1], {"a": 1}, np.zeros(3), "text"):
        with pytest.raises(TypeError, match="length and items by number"):
            images_of(other)


def test_what_a_data_set_raises_names_the_items():
    def make(i):
        if i in (1, 4):
            raise KeyError("lost")
        return PIL_IMAGES[i], 0

    with pytest.raises(ImageError, match="KeyError: 'lost'") as error:
        FeatureMaps(image_size=32).fit(Items(make))
    assert "image 1 of a Items" in str(error.value)
    assert "image 4 of a Items" in str(error.value)
    with pytest.warns(UserWarning, match="image 4"):
        kept = check_images(Items(make), errors="skip")
    np.testing.assert_array_equal(kept, [0, 2, 3, 5])


def test_what_is_only_iterated_over_is_refused():
    loader = DataLoader(FakeData(4, (3, 8, 8)))
    with pytest.raises(TypeError, match=r"DataLoader.*X\.dataset"):
        as_images(loader)
    with pytest.raises(ValueError, match="X is empty"):
        as_images(Items(ITEMS["image"], 0))


def test_items_are_fetched_when_they_are_needed_and_not_kept():
    data = Items(ITEMS["(image, label)"])
    images = as_images(data)
    assert data.fetched == []
    images.load(3)
    assert data.fetched == [3]
    taken = as_images(images_of(data)).take([5, 0])
    taken.load(0)
    assert data.fetched == [3, 5]


def test_one_thread_at_a_time_fetches():
    inside, most = 0, 0
    lock = threading.Lock()

    def make(i):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.002)
        with lock:
            inside -= 1
        return PIL_IMAGES[i], 0

    maps = FeatureMaps(image_size=32, num_workers=4).fit_transform(Items(make))
    assert most == 1
    np.testing.assert_array_equal(maps, FeatureMaps(image_size=32).transform(IMAGES))


def test_a_data_set_may_wrap_another():
    inner = as_images(Items(ITEMS["(image, label)"]))
    outer = Items(lambda i: np.asarray(inner.load(i)))
    np.testing.assert_array_equal(seen(outer), IMAGES)


def test_the_cache_knows_images_by_their_content(tmp_path):
    calls = []

    class Net(torch.nn.Module):
        def forward(self, images):
            calls.append(len(images))
            return torch.nn.functional.avg_pool2d(images, 8)

    maps = FeatureMaps(Net(), image_size=32, memory=tmp_path)
    expected = maps.fit_transform(IMAGES)
    calls.clear()
    forms = [Items(ITEMS["(image, label)"]), Items(ITEMS["img"]), PIL_IMAGES]
    for X in forms:
        np.testing.assert_array_equal(maps.transform(X), expected)
    # Probes of one image, and no other.
    assert set(calls) == {1}
    assert len(calls) <= len(forms)


@pytest.fixture
def folder(tmp_path):
    """The folder of an ImageFolder: JPEGs, one of them turned, a transparent PNG."""
    for i in range(N):
        name = tmp_path / ("heron" if i % 2 else "crow") / f"{i}.jpg"
        name.parent.mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6 if i == 1 else 1
        PIL_IMAGES[i].save(name, quality=95, exif=exif)
    Image.new("RGBA", (32, 24), (255, 0, 0, 128)).save(tmp_path / "crow" / "t.png")
    return tmp_path


def test_image_folders_are_read_as_files(folder):
    data = ImageFolder(folder)
    paths = [path for path, _ in data.samples]
    assert images_of(data) == paths
    np.testing.assert_array_equal(
        GlobalFeatures(image_size=32).fit_transform(data),
        GlobalFeatures(image_size=32).fit_transform(paths),
    )
    # Parts of it, and parts of parts, too.
    train, test = random_split(data, [5, 2], torch.Generator().manual_seed(0))
    both = ConcatDataset([test, Subset(train, [1, -1])])
    numbers = [*test.indices, train.indices[1], train.indices[-1]]
    assert images_of(both) == [paths[i] for i in numbers]
    names = np.array(["crow", "heron"])[data.targets]
    np.testing.assert_array_equal(labels_of(data), names)
    np.testing.assert_array_equal(labels_of(both), names[numbers])


def test_transforms_and_other_classes_decide_their_items(folder):
    data = ImageFolder(folder, transform=ToTensor())
    first = np.asarray(as_images(data).load(0))
    expected = Image.open(data.samples[0][0]).convert("RGB")
    np.testing.assert_array_equal(first, np.asarray(expected))

    class Inverted(ImageFolder):
        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            return 255 - np.asarray(image), label

    first = np.asarray(as_images(Inverted(folder)).load(0))
    np.testing.assert_array_equal(first, 255 - np.asarray(expected))

    class Turned(Subset):
        def __getitem__(self, i):
            image, label = super().__getitem__(i)
            return image.rotate(90, expand=True), label

        def __getitems__(self, numbers):
            return [self[i] for i in numbers]

    turned = Turned(ImageFolder(folder), [0])
    assert as_images(turned).load(0).size == (24, 32)


def test_a_data_set_is_fitted_like_its_images():
    data = FakeData(8, (3, 32, 32), num_classes=2)
    y = labels_of(data)
    assert set(y) == {0, 1}
    model = DPNetClassifier(
        image_size=32, n_parts_per_class=2, max_epochs=2, random_state=0
    )
    with pytest.raises(ValueError, match=r"target y is None.*labels_of\(X\)"):
        clone(model).fit(data, None)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        clone(model).fit(data, y[:5])
    images = [image for image, _ in data]
    expected = clone(model).fit(images, y).decision_function(images)
    # Labels of the data set are not looked at.
    other = FakeData(8, (3, 32, 32), num_classes=5)
    got = clone(model).fit(data, y).decision_function(other)
    np.testing.assert_array_equal(got, expected)


def test_searches_and_splits_take_the_list(tmp_path):
    data = FakeData(12, (3, 32, 32), num_classes=2)
    X, y = images_of(data), labels_of(data)
    model = DPNetClassifier(
        image_size=32,
        n_parts_per_class=2,
        max_epochs=2,
        random_state=0,
        memory=tmp_path,
    )
    grid = {"n_parts_per_class": [1, 2]}
    search = GridSearchCV(model, grid, cv=2).fit(X, y)
    arrays = [np.asarray(image) for image, _ in data]
    expected = GridSearchCV(model, grid, cv=2).fit(arrays, y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    # A search over the data set itself works too, by fetching it as a whole.
    direct = GridSearchCV(model, grid, cv=2).fit(data, y)
    np.testing.assert_array_equal(
        direct.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    train, test, *_ = train_test_split(X, y, random_state=0)
    again = pickle.loads(pickle.dumps(test))
    np.testing.assert_array_equal(seen(again), seen(test))
    assert len(train) == 9
