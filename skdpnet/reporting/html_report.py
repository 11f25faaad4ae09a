"""Writing a fitted model's report to a file."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
from sklearn.utils import column_or_1d

from skdpnet.base.part_estimator import PartEstimator
from skdpnet.explanations.readout import read_model
from skdpnet.images.collection import Images, as_images
from skdpnet.images.containers import checked_items, is_path, path_text
from skdpnet.regions.extents import have_parts
from skdpnet.reporting.contents import gather
from skdpnet.reporting.page import check_templates, render
from skdpnet.reporting.thumbnails import Bitmaps, cut_boxes, cut_crops, shrink_images
from skdpnet.reporting.views import Pixels
from skdpnet.storage.atomic_write import replace_file, target_file
from skdpnet.utils.labels import label_objects
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
    class with the parts that contribute to it and the regions of training images that
    these respond to most; and test images with their explanations, including, for
    wrongly classified images, why the predicted and not the true class. It holds all
    its images, loads nothing from anywhere, and can be read without JavaScript and on
    paper.

    Parameters
    ----------
    estimator : fitted classifier
        As `skdpnet.explain` takes it, fitted on images.
    X_train : images
        Images that the galleries of the parts are chosen from; as a rule those that
        the model learned from.
    X_test : images
        Images that the model has not seen.
    y_test : array-like of shape (n,)
        Labels of X_test.
    path : str or path, default="report.html"
        The file; an existing file is replaced. It appears as a whole or not at all.
    title : str, default=None
        Heading of the page; None: the estimator's name.
    n_parts : int, default=8
        Number of parts listed for each class.
    n_crops : int, default=6
        Number of regions shown of each part.
    n_wrong : int, default=100
        Largest number of wrongly classified images shown: the first of each class,
        then the second of each, and so on, in the order of X_test.
    n_right : int, default=2
        Largest number of rightly classified images shown of each class: the first in
        X_test.
    verbose : int, default=0
        1 or more: progress bars.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model, or a step of it, is not fitted.
    ValueError
        If the model is not one that `skdpnet.explain` takes, or was fitted on
        features in place of images; if y_test has another length than X_test, lacks a
        label, or holds one that the model does not know; if a number is out of range.
    FileNotFoundError, IsADirectoryError
        If there is no such folder, or if the path is a folder. This is checked before
        anything is computed.
    skdpnet.images.ImageError
        If images cannot be read; the message names all of a set.
    skdpnet.exceptions.MissingPackageError
        If jinja2 is not installed.

    See Also
    --------
    skdpnet.explain : The explanation of one image.
    skdpnet.display : The same contents as matplotlib figures.

    Notes
    -----
    Both sets of images pass the network once, and not at all if their feature maps are
    in the cache (the estimator's `memory`). No more is kept of an explanation than the
    page shows.

    A model whose decision is not linear in the parts' responses has no weights; the
    page then shows the parts' mean contributions alone. Parts that classes share are
    listed at the classes that they speak for most, and together in a section. For a
    `ProtoTreeClassifier` each image also has its most probable path through the tree.

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
    check_templates()
    file = target_file(path)
    for name, value, least in (
        ("n_parts", n_parts, 1),
        ("n_crops", n_crops, 1),
        ("n_wrong", n_wrong, 0),
        ("n_right", n_right, 0),
    ):
        check_whole(name, value, least)
    parts, readout = read_model(estimator)
    if parts.is_precomputed:
        raise ValueError(
            "a report shows images, but the model was fitted on precomputed "
            'features: fit one with another backbone than "precomputed".'
        )
    if readout.outcome != "class":
        raise ValueError(
            "a report compares the one class that is predicted for each image with the "
            f"true one, and this {type(estimator).__name__} predicts no single class: "
            "see skdpnet.explain and skdpnet.display for single images."
        )
    train, test = _checked_images("X_train", X_train), _checked_images("X_test", X_test)
    truth = _class_numbers(readout.classes, y_test, len(test))
    contents = gather(
        estimator,
        train,
        test,
        truth,
        n_parts=int(n_parts),
        n_crops=int(n_crops),
        n_wrong=int(n_wrong),
        n_right=int(n_right),
        verbose=verbose,
    )
    numbers = [image.number for image in contents.images]
    bitmaps = Bitmaps()
    images = shrink_images(test, numbers, bitmaps, verbose)
    crops = cut_crops(train, contents.galleries.values(), bitmaps, verbose)
    regions = cut_boxes(
        test,
        {
            image.number: image.path.boxes
            for image in contents.images
            if image.path is not None
        },
        bitmaps,
    )
    names = _file_names(X_test, numbers)
    html = render(
        contents,
        Pixels(bitmaps.uris, images, crops, names, regions),
        title=f"Report of {type(estimator).__name__}" if title is None else str(title),
        model=_model_line(parts),
        n_train=len(train),
        n_right_each=int(n_right),
    )
    # Names of classes may come from names of folders, which may hold bytes that are
    # no text.
    replace_file(file, html.encode(errors="replace"))
    return file


def _checked_images(name: str, X) -> Images:
    """Check the headers of images; errors say which of the two sets is meant."""
    try:
        images = as_images(X)
        images.check()
    except (TypeError, ValueError) as error:
        error.add_note(f"This is about {name}.")
        raise
    return images


def _class_numbers(classes: np.ndarray, y, n: int) -> np.ndarray:
    """Convert the labels of the n test images to positions in `classes`."""
    labels = column_or_1d(label_objects(y, "y_test")).tolist()
    if len(labels) != n:
        raise ValueError(
            f"y_test must have a label for each image, but X_test has {n} and y_test "
            f"{len(labels)}."
        )
    numbers = {label: c for c, label in enumerate(classes.tolist())}
    first_items: dict = {}
    for i, label in enumerate(labels):
        if label not in numbers:
            first_items.setdefault(label, i)
    if first_items:
        first, i = next(iter(first_items.items()))
        names = ", ".join(map(repr, [*numbers][:_LABELS_NAMED]))
        more = ", …" if len(numbers) > _LABELS_NAMED else ""
        plural = "s" if len(first_items) > 1 else ""
        raise ValueError(
            f"y_test holds {len(first_items)} label{plural} that the model does not "
            f"know, first {first!r} (item {i}); it knows {names}{more}."
        )
    return np.array([numbers[label] for label in labels], np.intp)


def _file_names(X, numbers: list[int]) -> dict[int, str]:
    """Return the names, without folders, of those images that are files."""
    items = checked_items(X)
    return {i: Path(path_text(items[i])).name for i in numbers if is_path(items[i])}


def _model_line(parts: PartEstimator) -> str:
    backbone = parts.backbone
    if not isinstance(backbone, str):
        backbone = getattr(backbone, "__name__", type(backbone).__name__)
    shapes = itertools.compress(parts.map_shapes_, have_parts(parts.map_shapes_))
    sides = " and ".join(f"{shape[0]}×{shape[1]}" for shape in shapes)
    return (
        f"{type(parts).__name__} on {backbone}, {len(parts.part_classes_)} parts on "
        f"maps of {sides} cells"
    )
