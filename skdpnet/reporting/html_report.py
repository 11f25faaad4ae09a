"""`report`: from a fitted model and two sets of images to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from skdpnet.explanations.readout import LinearReadout, linear_readout
from skdpnet.images.collection import Images, as_images
from skdpnet.images.containers import checked_items, is_path, path_text
from skdpnet.reporting.contents import gather
from skdpnet.reporting.page import render
from skdpnet.reporting.thumbnails import Bitmaps, cut_crops, shrink_images
from skdpnet.reporting.views import Pixels
from skdpnet.storage.atomic_write import replace_file, target_file
from skdpnet.utils.validation import check_whole

__all__ = ["report"]

_LABELS_NAMED = 5


def report(
    estimator,
    X_train,
    X_test,
    y_test,
    path: str | os.PathLike = "report.html",
    *,
    title: str | None = None,
    n_parts: int = 8,
    n_crops: int = 6,
    n_wrong: int = 100,
    n_right: int = 2,
    verbose: int = 0,
) -> Path:
    """Write how good a model is, and why it decides as it does, as one HTML file.

    The file holds the accuracy, overall and by class; the confusion matrix; each
    class with the parts that take part in it and the regions of training images
    that these respond to most; and test images with their explanations, of wrong
    ones also why the predicted and not the true class. It holds all its images,
    loads nothing from anywhere, and can be read without JavaScript and on paper.

    Parameters
    ----------
    estimator : fitted classifier
        As `skdpnet.explain` takes it, fitted on images.
    X_train : images
        That the parts' galleries are chosen from; those that the model learned from.
    X_test : images
        That the model has not seen.
    y_test : array-like of shape (n,)
        Their true classes.
    path : str or path, default="report.html"
        The file; an existing one is replaced. It appears whole or not at all.
    title : str, default=None
        Heading of the page; None: the estimator's name.
    n_parts : int, default=8
        How many parts of each class are listed.
    n_crops : int, default=6
        How many regions of each part are shown.
    n_wrong : int, default=100
        How many wrongly classified images are shown at most: the first of each
        class, then the second of each, and so on, in the order of X_test.
    n_right : int, default=2
        How many rightly classified images of each class are shown at most: the
        first ones in X_test.
    verbose : int, default=0
        1 or more: progress bars.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If the model is not one that `skdpnet.explain` takes, or sees features in
        place of images; if y_test has another length than X_test, or holds a label
        that the model does not know; if one of the numbers is out of range.
    FileNotFoundError, IsADirectoryError
        If there is no such folder, or the path is a folder: before any work is done.
    skdpnet.images.ImageError
        Names the first image that cannot be read.

    Notes
    -----
    Both sets of images go through the network once, and not at all where the
    estimator's `memory` holds their maps. No more is kept of an explanation than
    the page shows.

    Examples
    --------
    >>> import tempfile
    >>> from skdpnet import DPNetClassifier
    >>> from skdpnet.datasets import make_part_images
    >>> from skdpnet.reporting import report
    >>> birds = make_part_images(16, n_classes=2, image_size=64, random_state=0)
    >>> X, y = birds.images, birds.target_names[birds.target]
    >>> model = DPNetClassifier(
    ...     image_size=64, n_parts_per_class=2, max_epochs=0, random_state=0
    ... ).fit(X[:12], y[:12])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report(model, X[:12], X[12:], y[12:], f"{folder}/birds.html").name
    'birds.html'
    """
    file = target_file(path)
    for name, value, least in (
        ("n_parts", n_parts, 1),
        ("n_crops", n_crops, 1),
        ("n_wrong", n_wrong, 0),
        ("n_right", n_right, 0),
    ):
        check_whole(name, value, least)
    readout = linear_readout(estimator)
    if readout.parts._takes_features():
        raise ValueError(
            "a report shows images, but the model was fitted on precomputed "
            'features: fit one with another backbone than "precomputed".'
        )
    train, test = _checked_images("X_train", X_train), _checked_images("X_test", X_test)
    truth = _class_numbers(readout, y_test, len(test))
    contents = gather(
        estimator,
        readout,
        X_train,
        X_test,
        truth,
        n_parts=int(n_parts),
        n_crops=int(n_crops),
        n_wrong=int(n_wrong),
        n_right=int(n_right),
        verbose=verbose,
    )
    numbers = [own.number for own in contents.images]
    bitmaps = Bitmaps()
    images = shrink_images(test, numbers, bitmaps, verbose)
    crops = cut_crops(train, contents.galleries.values(), bitmaps, verbose)
    text = render(
        contents,
        Pixels(bitmaps.uris, images, crops, _file_names(X_test, numbers)),
        title=f"Report of {type(estimator).__name__}" if title is None else str(title),
        model=_model_line(readout),
        n_train=len(train),
        n_right_each=int(n_right),
    )
    # Names of folders may hold bytes that are no text.
    replace_file(file, text.encode(errors="replace"))
    return file


def _checked_images(name: str, X) -> Images:
    """Check the images' headers, saying which of the two sets is meant."""
    try:
        images = as_images(X)
        images.check()
    except (TypeError, ValueError) as error:
        error.add_note(f"This is about {name}.")
        raise
    return images


def _class_numbers(readout: LinearReadout, y, n: int) -> np.ndarray:
    """Turn the labels of the test images into the model's numbers of them."""
    labels = column_or_1d(y).tolist()
    if len(labels) != n:
        raise ValueError(
            f"y_test must have a label for each image, but X_test has {n} and y_test "
            f"{len(labels)}."
        )
    known = {label: c for c, label in enumerate(readout.classes.tolist())}
    unknown = {label: i for i, label in reversed([*enumerate(labels)])}
    unknown = {label: i for label, i in unknown.items() if label not in known}
    if unknown:
        first, i = min(unknown.items(), key=lambda pair: pair[1])
        some = ", ".join(map(repr, [*known][:_LABELS_NAMED]))
        more = ", …" if len(known) > _LABELS_NAMED else ""
        raise ValueError(
            f"y_test holds {len(unknown)} label{'s' * (len(unknown) > 1)} that the "
            f"model does not know, first {first!r} (item {i}); it knows {some}{more}."
        )
    return np.array([known[label] for label in labels], np.intp)


def _file_names(X, numbers: list[int]) -> dict[int, str]:
    """Names, without their folders, of those images that are files."""
    items = checked_items(X)
    return {i: Path(path_text(items[i])).name for i in numbers if is_path(items[i])}


def _model_line(readout: LinearReadout) -> str:
    parts: Any = readout.parts
    backbone = parts.backbone
    if not isinstance(backbone, str):
        backbone = getattr(backbone, "__name__", type(backbone).__name__)
    sides = " and ".join(f"{shape[0]}×{shape[1]}" for shape in parts.map_shapes_)
    return (
        f"{type(parts).__name__} on {backbone}, {len(parts.part_classes_)} parts on "
        f"maps of {sides} cells"
    )
