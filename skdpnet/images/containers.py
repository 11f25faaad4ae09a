"""The kinds of lists of images that are accepted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import (
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    Set,
    ValuesView,
)
from typing import Any

import numpy as np
from PIL import Image

from skdpnet.images.arrays import CHANNELS, FEATURES_HINT, is_tensor
from skdpnet.images.conversion import UnusableImage
from skdpnet.images.data_sets import DataSetImage, data_set_images
from skdpnet.images.files import FOLDER_HINT
from skdpnet.images.item_values import joined
from skdpnet.utils.containers import is_data_set

_WRAP = "wrap it: [image]"
# Collections without an order, or that can be read only once; labels need an order. The
# keys of a dict have that of its values, and sorting them would part the two.
_NOT_LISTS: tuple[tuple[type, str], ...] = (
    (Mapping, "use list(X.values()), or list(X) if its keys are the images"),
    (KeysView, "use list(X)"),
    (ValuesView, "use list(X)"),
    (Iterator, "use list(X)"),
    (Set, "use sorted(X), and labels in that order"),
)


def is_batch(image: Any) -> bool:
    """Return whether an array or a column holds images; n×h×w are greyscale ones."""
    shape: tuple[int, ...] = getattr(image, "shape", ())
    if hasattr(image, "to_numpy"):
        return True
    is_grey = len(shape) == 3 and shape[0] == 1 and shape[2] not in CHANNELS
    return len(shape) in (1, 4) or is_grey


def is_path(item: object) -> bool:
    """Return whether an item is a path.

    Parameters
    ----------
    item : object
        Anything.

    Returns
    -------
    bool
    """
    return isinstance(item, (str, os.PathLike))


def path_text(path: str | os.PathLike[Any]) -> str:
    """Return a path as text.

    Parameters
    ----------
    path : str or os.PathLike
        Any path.

    Returns
    -------
    str
    """
    return str(os.fsdecode(path))


def name_of(item: object) -> str:
    """Name an item of a list of images for a message.

    Parameters
    ----------
    item : object
        Anything.

    Returns
    -------
    str
        For instance ``'photos/a.jpg'``, with the quotes.
    """
    if isinstance(item, DataSetImage):
        with contextlib.suppress(UnusableImage):
            return f"{item!r}, {name_of(item.fetch())}"
        return repr(item)
    if is_path(item):
        path = path_text(item)  # type: ignore[arg-type]
        # Names with line breaks or undecodable bytes would spoil the message.
        return f"'{path}'" if path.isprintable() else repr(path)
    if isinstance(item, Image.Image):
        return f"PIL image of size {item.width} x {item.height}, mode {item.mode}"
    if isinstance(item, np.ndarray):
        return f"array of shape {item.shape}"
    if is_tensor(item):
        return f"tensor of shape {tuple(item.shape)}"  # type: ignore[attr-defined]
    return type(item).__name__


def checked_items(X: Any) -> Any:
    """Check that X is a list of images, without checking the images themselves.

    Parameters
    ----------
    X : object
        The user's argument.

    Returns
    -------
    list, tuple, ndarray or torch.Tensor
        One image per item; of a data set, its images as they will be fetched.

    Raises
    ------
    TypeError
        If X is a single image or not a list.
    ValueError
        If X is empty or has the wrong shape.
    """
    _refuse_single(X)
    kind = type(X).__name__
    if kind == "DatasetDict":
        raise TypeError(
            f"X is a {kind} of several splits ({joined(X)}); pass one of them"
        )
    for kinds, remedy in _NOT_LISTS:
        if isinstance(X, kinds):
            raise TypeError(f"X is of type {kind}, not a list of images; {remedy}")
    if hasattr(X, "tocsr"):
        raise TypeError(f"X is a sparse matrix, not a list of images; {FEATURES_HINT}")
    if hasattr(X, "to_numpy"):  # a pandas Series or DataFrame
        X = X.to_numpy()
    if is_tensor(X):
        _check_stacked_tensor(tuple(X.shape))
    elif isinstance(X, np.ndarray):
        X = _column(X)
    elif is_data_set(X):
        X = data_set_images(X)
    elif not isinstance(X, Sequence):
        raise TypeError(
            f"X is of type {kind}, not a list of images; pass a list of paths, PIL "
            f"images, arrays or tensors, or a data set with items by number{_else(X)}"
        )
    if len(X) == 0:
        raise ValueError("X is empty; at least one image is needed")
    return X


def _else(X: object) -> str:
    """Return what to do about data that are read from the start alone."""
    if type(X).__name__ == "DataLoader":
        return "; pass the data set of the loader, X.dataset"
    if hasattr(X, "collect"):
        return "; a lazy frame is read by X.collect()"
    if isinstance(X, Iterable):
        return "; what can only be iterated over has to be a list first, list(X)"
    return ""


def _refuse_single(X: object) -> None:
    """Refuse a single image that is not in a list."""
    if is_path(X):
        path = os.path.expanduser(path_text(X))  # type: ignore[arg-type]
        if os.path.isdir(path):
            raise TypeError(f"X is a folder, '{path}'; {FOLDER_HINT}")
        raise TypeError(f"X is a single path, '{path}'; {_WRAP}")
    if isinstance(X, Image.Image):
        raise TypeError(f"X is a single PIL image; {_WRAP}")
    if isinstance(X, (bytes, bytearray)):
        raise TypeError("X is raw bytes, not a list of images; pass a list of paths")


def _check_stacked_tensor(shape: tuple[int, ...]) -> None:
    """Refuse a tensor that is not n x channels x height x width."""
    if len(shape) == 4 and shape[1] not in CHANNELS and shape[3] in CHANNELS:
        raise ValueError(
            f"X is a tensor of shape {shape}; channels last? use permute(0, 3, 1, 2)"
        )
    if len(shape) != 4:
        hints = {2: FEATURES_HINT, 3: f"a single image? {_WRAP}"}
        hint = hints.get(len(shape), "stack images to n x channels x height x width")
        raise ValueError(f"X is a tensor of shape {shape}, not n x C x H x W; {hint}")


def _column(X: np.ndarray) -> np.ndarray:
    """Check an array of images, and flatten a single column."""
    shape = X.shape
    if X.ndim and not len(X):
        return X
    if X.dtype.kind in "OUT":
        if X.ndim == 2 and shape[1] == 1:
            return X[:, 0]
        if X.ndim == 2:
            raise ValueError(
                f"X has {shape[1]} columns; pass the one column that holds the images"
            )
        if X.ndim != 1:
            raise ValueError(
                f"X is an array of dtype {X.dtype.name} and shape {shape}: NumPy took "
                "the images apart; pass a list instead"
            )
        return X
    if X.ndim == 2:
        single = f"a single greyscale image? {_WRAP}"
        hint = single if X.dtype.kind == "u" else f"{FEATURES_HINT}; {single}"
        raise ValueError(f"X is an array of shape {shape}, not of images; {hint}")
    if X.ndim == 3 and shape[2] in CHANNELS:
        raise ValueError(
            f"X is an array of shape {shape}, a single image? {_WRAP}; greyscale "
            "images? use list(X)"
        )
    if X.ndim == 4 and shape[3] not in CHANNELS and shape[1] in CHANNELS:
        raise ValueError(
            f"X is an array of shape {shape}; channels first? use transpose(0, 2, 3, 1)"
        )
    if X.ndim not in (3, 4):
        raise ValueError(
            f"X is an array of shape {shape} and dtype {X.dtype.name}, not of images; "
            "stack images to n x height x width x channels"
        )
    return X
