"""Readers of data sets as their owners ship them: paths, labels and the split.

Readers open no image, but check that each one exists, before hours of work.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from skdpnet.datasets import load_image_folder

__all__ = [
    "Split", "draw_split", "read_class_folders", "read_cub", "read_folders",
    "read_mit67", "split_folders",
]  # fmt: skip

_CUB = (
    "expected is the content of CUB_200_2011.tgz: images.txt, "
    "image_class_labels.txt, train_test_split.txt, classes.txt and images/. It is at "
    'data.caltech.edu under the name "CUB-200-2011".'
)
_MIT67 = (
    "expected are TrainImages.txt, TestImages.txt and Images/<class>/<image> of MIT "
    "Indoor Scene Recognition side by side. They are at "
    "web.mit.edu/torralba/www/indoor.html."
)


@dataclass(frozen=True)
class Split:
    """The training images and the test images of a data set.

    Parameters
    ----------
    train_paths, test_paths : list of str
        Paths of the images.
    train_y, test_y : int ndarray
        Class of each image, as its position in `names`.
    names : list of str
        Names of the classes.
    """

    train_paths: list[str]
    train_y: NDArray[np.int64]
    test_paths: list[str]
    test_y: NDArray[np.int64]
    names: list[str]


def read_folders(folder: str | os.PathLike[str], train: str, test: str) -> Split:
    """Read a training folder and a test folder, each with one folder per class.

    Parameters
    ----------
    folder : str or path
        The folder that contains both.
    train, test : str
        Names of the training folder and of the test folder.

    Returns
    -------
    Split

    Raises
    ------
    FileNotFoundError
        If one of the two folders is missing.
    ValueError
        If one of them has no images, or if the test folder has a class that the
        training folder lacks.
    """
    train_paths, train_y, names = _read_part(folder, train)
    test_paths, test_y, _ = _read_part(folder, test, names)
    return Split(train_paths, train_y, test_paths, test_y, names)


def _read_part(
    folder: str | os.PathLike[str], part: str, names: Sequence[str] | None = None
) -> tuple[list[str], NDArray[np.int64], list[str]]:
    if not Path(folder, part).is_dir():
        raise FileNotFoundError(
            f"no folder {part!r} in {os.fspath(folder)!r}; expected are "
            f"{part}/<class>/<image>."
        )
    return load_image_folder(Path(folder, part), names=names)


def read_class_folders(
    folder: str | os.PathLike[str], parts: Sequence[str]
) -> tuple[list[str], NDArray[np.int64]]:
    """Read several folders with the same class folders as one set of images.

    Parameters
    ----------
    folder : str or path
        The folder that contains them.
    parts : sequence of str
        Names of the folders, each with one folder per class.

    Returns
    -------
    paths : list of str
    y : int ndarray
        Class of each image; a class has the same number in all folders.

    Raises
    ------
    FileNotFoundError
        If one of the folders is missing.
    ValueError
        If a folder has no images, or a class that the first folder lacks.
    """
    all_paths, first, names = _read_part(folder, parts[0])
    all_y = [first]
    for part in parts[1:]:
        paths, y, _ = _read_part(folder, part, names)
        all_paths += paths
        all_y.append(y)
    return all_paths, np.concatenate(all_y)


def split_folders(
    folder: str | os.PathLike[str], test_fraction: float, seed: int
) -> Split:
    """Split a folder of class folders at random, stratified by class.

    Parameters
    ----------
    folder : str or path
        It has one folder per class.
    test_fraction : float in (0, 1)
        Share of the images that are test images.
    seed : int
        Random state of the split.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If there are no class folders with images, or too few images to split.
    """
    paths, y, names = load_image_folder(folder)
    train, test = train_test_split(
        np.arange(len(y)), test_size=test_fraction, stratify=y, random_state=seed
    )
    # Sorted, so that results do not depend on the order in which images were drawn.
    train, test = np.sort(train), np.sort(test)
    return Split(
        [paths[i] for i in train], y[train], [paths[i] for i in test], y[test], names
    )


def draw_split(split: Split, n_per_class: int, seed: int) -> Split:
    """Draw another split of the same images.

    Parameters
    ----------
    split : Split
    n_per_class : int
        Training images of each class; all other images are test images.
    seed : int
        Random state of the split.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If a class has too few images; the message names it.
    """
    paths = np.array(split.train_paths + split.test_paths)
    y = np.concatenate([split.train_y, split.test_y])
    # Sorted, so that splits do not depend on which folder an image lies in.
    order = np.lexsort([[Path(path).name for path in paths], y])
    paths, y = paths[order], y[order]
    random, chosen = np.random.RandomState(seed), np.zeros(len(y), bool)
    for label, name in enumerate(split.names):
        rows = np.flatnonzero(y == label)
        if len(rows) <= n_per_class:
            raise ValueError(
                f"{name!r} has {len(rows)} images; {n_per_class} for training leave "
                "none for testing."
            )
        chosen[random.permutation(rows)[:n_per_class]] = True
    return Split(
        paths[chosen].tolist(),
        y[chosen],
        paths[~chosen].tolist(),
        y[~chosen],
        split.names,
    )


def read_cub(folder: str | os.PathLike[str]) -> Split:
    """Read CUB-200-2011 with its owners' split.

    Parameters
    ----------
    folder : str or path
        The folder ``CUB_200_2011`` of the archive.

    Returns
    -------
    Split

    Raises
    ------
    FileNotFoundError
        If a list or an image is missing; the message names it.
    ValueError
        If a list is not of the expected form, or if the lists contradict each other.
    """
    root = Path(folder)
    images = _pairs(root / "images.txt")
    labels = _pairs(root / "image_class_labels.txt")
    is_train = _pairs(root / "train_test_split.txt")
    classes = _pairs(root / "classes.txt")
    for name, pairs in (
        ("image_class_labels.txt", labels),
        ("train_test_split.txt", is_train),
    ):
        if pairs.keys() != images.keys():
            raise ValueError(
                f"{root / name} and images.txt do not list the same images; {_CUB}"
            )
    position = {number: k for k, number in enumerate(classes)}
    unknown = set(labels.values()) - position.keys()
    if unknown:
        raise ValueError(
            f"{root / 'image_class_labels.txt'} has classes that classes.txt lacks: "
            f"{sorted(unknown)}; {_CUB}"
        )
    if not set(is_train.values()) <= {"0", "1"}:
        raise ValueError(
            f"{root / 'train_test_split.txt'} must have 1 (training) or 0 (test) for "
            f"each image; {_CUB}"
        )
    train, test = (
        [number for number in images if is_train[number] == part] for part in ("1", "0")
    )
    return _checked(
        [str(root / "images" / images[number]) for number in train],
        [position[labels[number]] for number in train],
        [str(root / "images" / images[number]) for number in test],
        [position[labels[number]] for number in test],
        names=list(classes.values()),
        layout=_CUB,
    )


def read_mit67(folder: str | os.PathLike[str]) -> Split:
    """Read MIT-67 Indoor with its owners' split.

    Images are found by their names in the lists, whatever the suffix; some files that
    end in .jpg have another format.

    Parameters
    ----------
    folder : str or path
        The folder of ``Images``, ``TrainImages.txt`` and ``TestImages.txt``.

    Returns
    -------
    Split

    Raises
    ------
    FileNotFoundError
        If a list or an image is missing; the message names it.
    ValueError
        If a list is not of the expected form, or if the test list has a class that the
        training list lacks.
    """
    root = Path(folder)
    lists = {}
    for name in ("TrainImages.txt", "TestImages.txt"):
        lists[name] = _lines(root / name, _MIT67)
        for line in lists[name]:
            if line.count("/") != 1:
                raise ValueError(
                    f"{root / name} has a line {line!r}, not class/image; {_MIT67}"
                )
    labels = {
        name: [line.partition("/")[0] for line in lines]
        for name, lines in lists.items()
    }
    names, train_y = np.unique(labels["TrainImages.txt"], return_inverse=True)
    test_names, test_y = np.unique(labels["TestImages.txt"], return_inverse=True)
    position = _positions(names.tolist(), test_names.tolist(), "TestImages.txt")
    return _checked(
        [str(root / "Images" / line) for line in lists["TrainImages.txt"]],
        train_y,
        [str(root / "Images" / line) for line in lists["TestImages.txt"]],
        position[test_y],
        names=names.tolist(),
        layout=_MIT67,
    )


def _positions(names: list[str], part_names: list[str], part: str) -> NDArray[np.int64]:
    """Return the position of each of `part_names` in `names`."""
    unknown = sorted(set(part_names) - set(names))
    if unknown:
        raise ValueError(f"{part} has classes that training lacks: {unknown}.")
    return np.array([names.index(name) for name in part_names], dtype=np.int64)


def _checked(
    train_paths: list[str], train_y, test_paths: list[str], test_y, *, names, layout
) -> Split:
    paths = train_paths + test_paths
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(paths)} listed images are missing, the "
            f"first is {missing[0]}; {layout}"
        )
    for part, some in (("training", train_paths), ("test", test_paths)):
        if not some:
            raise ValueError(f"the lists name no {part} image; {layout}")
    y = [np.asarray(labels, dtype=np.int64) for labels in (train_y, test_y)]
    return Split(train_paths, y[0], test_paths, y[1], names)


def _pairs(path: Path) -> dict[str, str]:
    """Read a list of CUB-200-2011; each line has a number, a blank and a value."""
    pairs = {}
    for line in _lines(path, _CUB):
        number, _, value = line.partition(" ")
        if not value:
            raise ValueError(f"{path} has a line {line!r} without a blank; {_CUB}")
        pairs[number] = value
    return pairs


def _lines(path: Path, layout: str) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; {layout}")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]
