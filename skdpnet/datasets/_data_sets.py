"""Images and labels of the data sets of Hugging Face, torchvision and torch."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skdpnet.images.data_sets import data_set_images, hugging_face, parts_of
from skdpnet.images.item_values import joined
from skdpnet.utils.containers import is_data_set

__all__ = ["images_of", "labels_of"]

# The keys of dicts, and the columns of tables, under which labels are looked for.
_LABEL_KEYS = ("label", "labels", "target")


def images_of(data_set: Any, key: Any = None) -> list[Any]:
    """List the images of a data set, without fetching any.

    Estimators take data sets themselves. The list is for scikit-learn, whose searches
    and splits would fetch all items of a data set at once to take some of them, and for
    data sets in whose items it is not clear what is the image.

    Parameters
    ----------
    data_set : data set
        A ``datasets.Dataset`` of Hugging Face or a column of one, a data set of
        torchvision, torch's ``Subset`` or ``ConcatDataset``, or any object with a
        length and items by number that are images, tuples (image, label) or dicts.
    key : object, default=None
        The key of the image in dicts, or the column of a ``datasets.Dataset``. None:
        the only column of type ``datasets.Image``, or the only one of ``"image"``,
        ``"img"`` and ``"pixel_values"`` or, of dicts without any of these, the only key
        of a PIL image, or of an array or tensor of at least two axes.

    Returns
    -------
    list of length n_images
        Its items are images to all functions of this package, which fetch them one by
        one, whenever they are needed; one thread at a time fetches. Those of an
        ``ImageFolder`` without a transform are paths.

    Raises
    ------
    TypeError
        If `data_set` is no data set: a list or a dict, for instance.
    ValueError
        If it is not clear which column holds the images.

    See Also
    --------
    labels_of : The labels of the same items.

    Examples
    --------
    >>> from sklearn.model_selection import train_test_split
    >>> from torchvision.datasets import FakeData
    >>> from skdpnet import GlobalFeatures
    >>> from skdpnet.datasets import images_of, labels_of
    >>> data = FakeData(6, image_size=(3, 40, 60), num_classes=2)
    >>> train, test = train_test_split(images_of(data), test_size=2, random_state=0)
    >>> GlobalFeatures(image_size=32).fit(train).transform(test).shape
    (2, 1280)
    """
    _check_data_set(data_set)
    return data_set_images(data_set, key)


def labels_of(data_set: Any, key: Any = None) -> np.ndarray:
    """Return the labels of a data set, by the names of classes where it knows them.

    Images are not decoded where the labels of Hugging Face's and torchvision's data
    sets are kept apart from them. All items of other data sets are fetched.

    Parameters
    ----------
    data_set : data set
        As of `images_of`.
    key : object, default=None
        The key of the label in dicts, or the column of a ``datasets.Dataset``. None:
        the only column of type ``datasets.ClassLabel``, or the only one of ``"label"``,
        ``"labels"`` and ``"target"``.

    Returns
    -------
    ndarray of shape (n_images,)
        Names, if the data set has ``classes``, or a column of type
        ``datasets.ClassLabel``; otherwise labels as they are in the items.

    Raises
    ------
    TypeError
        If `data_set` is no data set.
    ValueError
        If an item has no label; if it is not clear which value or column it is; or if
        some labels are text and others numbers, in data sets that are concatenated.

    See Also
    --------
    images_of : The images of the same items.

    Examples
    --------
    >>> from torchvision.datasets import FakeData
    >>> from skdpnet.datasets import labels_of
    >>> labels_of(FakeData(4, image_size=(3, 8, 8), num_classes=3)).shape
    (4,)
    """
    _check_data_set(data_set)
    known = _labels(data_set, key)
    labels = [label() if callable(label) else label for label in known]
    n_texts = sum(isinstance(label, str) for label in labels)
    if 0 < n_texts < len(labels):
        raise ValueError(
            f"{n_texts} of {len(labels)} labels are text and the others are numbers; "
            "take the labels of each of the data sets, and bring them to one form"
        )
    return np.asarray(labels)


def _check_data_set(data_set: Any) -> None:
    if not is_data_set(data_set):
        raise TypeError(
            f"data_set must be an object with a length and items by number, such as a "
            f"datasets.Dataset or a torchvision data set, got a "
            f"{type(data_set).__name__}"
        )


def _labels(data_set: Any, key: Any) -> list[Any]:
    """Return labels, and functions that fetch those which only their items have."""
    parts = parts_of(data_set)
    if parts is not None:
        bases, numbers = parts
        labels = [label for base in bases for label in _labels(base, key)]
        return labels if numbers is None else [labels[i] for i in numbers]
    table = hugging_face(data_set)
    if table is not None and table[0].format["type"] != "custom":
        return _of_table(table[0], key)
    known = _kept_apart(data_set)
    if known is not None:
        return _named(known, data_set)
    return [functools.partial(_fetched, data_set, i, key) for i in range(len(data_set))]


def _fetched(data_set: Any, i: int, key: Any) -> Any:
    return _named([_label_in(data_set[i], i, key)], data_set)[0]


def _of_table(table: Any, key: Any) -> list[Any]:
    """Return the labels of a data set of Hugging Face."""
    features = table.features
    if key is None:
        typed = [name for name in features if _is_class(features[name])]
        usual = [name for name in _LABEL_KEYS if name in features]
        found = typed if len(typed) == 1 else usual
        key = _only(found, f"the columns {joined(features)}")
    elif key not in features:
        raise ValueError(f"there is no column {key!r} among {joined(features)}")
    labels = list(table.with_format(None).select_columns([key])[:][key])
    if not _is_class(features[key]):
        return labels
    for i, label in enumerate(labels):
        if label is None or label < 0:
            raise ValueError(f"item {i} has no label in the column {key!r} ({label})")
    return [features[key].names[label] for label in labels]


def _is_class(feature: Any) -> bool:
    return type(feature).__name__ == "ClassLabel"


def _kept_apart(data_set: Any) -> list[Any] | None:
    """Return the targets that a data set of torchvision keeps apart from its images."""
    made_by = getattr(type(data_set).__getitem__, "__module__", "")
    changed = getattr(data_set, "target_transform", None) is not None
    targets = getattr(data_set, "targets", None)
    if not made_by.startswith("torchvision.datasets.") or changed or targets is None:
        return None
    return np.asarray(targets).tolist() if len(targets) == len(data_set) else None


def _label_in(item: Any, i: int, key: Any) -> Any:
    """Return the label in an item."""
    if isinstance(item, Mapping):
        if key is None:
            names = f"item {i} with the keys {joined(item)}"
            key = _only([name for name in _LABEL_KEYS if name in item], names)
        elif key not in item:
            raise ValueError(f"item {i} has no key {key!r}, but {joined(item)}")
        label = item[key]
    elif isinstance(item, tuple) and len(item) == 2:
        label = item[1]
    else:
        raise ValueError(
            f"item {i} is of type {type(item).__name__}, neither (image, label) nor a "
            "dict with a label"
        )
    # A tensor or an array of one number.
    return label.item() if hasattr(label, "item") and np.size(label) == 1 else label


def _only(found: Sequence[Any], where: str) -> Any:
    if len(found) != 1:
        which = "several may hold labels" if found else "none is known to hold labels"
        raise ValueError(
            f"of {where} {which}; name one by key=... in labels_of(data_set, key=...)"
        )
    return found[0]


def _named(labels: list[Any], data_set: Any) -> list[Any]:
    """Replace numbers of classes by the names of the data set, if it has them all."""
    names = getattr(data_set, "classes", None)
    if not isinstance(names, Sequence) or isinstance(names, str):
        return labels
    are_known = all(
        isinstance(label, int) and 0 <= label < len(names) for label in labels
    )
    are_texts = all(isinstance(name, str) for name in names)
    return [names[label] for label in labels] if are_known and are_texts else labels
