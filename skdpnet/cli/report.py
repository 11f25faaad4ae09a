"""``report``: a page with the classes, parts and decisions of a model."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Sequence
from typing import Any

from skdpnet.cli.copies import warn_of_copies
from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import (
    check_output,
    fingerprints,
    label_of,
    list_classes,
    load_classifier,
    note,
    show,
    shows_progress,
)
from skdpnet.cli.left_out import LeftOut
from skdpnet.cli.options import (
    add_command,
    add_common_options,
    add_folder_option,
)
from skdpnet.storage.temporary_files import temporary_folder

__all__ = ["add_parser"]

_DETAILS = """\
DIR holds a folder for each class, as for `fit`; some classes may be missing.
Images that the model learned from are recognised by their content, and
illustrate the parts. All others are test images: the page shows the decisions
about them, and the accuracy.

Images that cannot be used are left out and named on standard error, all at
once; the exit status is then 1.

--json: {path, accuracy, n_test, bytes, left_out}; accuracy is a share, bytes
the size of the page, left_out a list of paths.
"""
_EXAMPLES = """\
report flowers.skdpnet flowers/ -o flowers.html
report flowers.skdpnet new/ --train flowers/ --memory maps
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the program's parser.

    Parameters
    ----------
    commands : argparse._SubParsersAction
        The result of `ArgumentParser.add_subparsers`.
    """
    parser = add_command(
        commands,
        "report",
        "write a page about a model and its decisions",
        _DETAILS,
        _EXAMPLES,
    )
    parser.add_argument("model", metavar="MODEL", help="model file that `fit` wrote")
    add_folder_option(parser)
    parser.add_argument(
        "-o",
        "--output",
        default="report.html",
        type=os.path.expanduser,
        metavar="FILE",
        help="file for the page (default: report.html)",
    )
    parser.add_argument(
        "--train",
        type=os.path.expanduser,
        metavar="DIR",
        help="folder with class folders whose images illustrate the parts (default: "
        "the training images in DIR)",
    )
    parser.add_argument(
        "--title",
        metavar="TEXT",
        help="title of the page (default: the model's file name)",
    )
    add_common_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    check_output(args.output)
    paths, folders = list_classes(args.images, may_be_empty=True)
    illustrations = None
    if args.train is not None:
        illustrations = list_classes(args.train, may_be_empty=True)[0]
    from skdpnet.images.bad_images import header_errors
    from skdpnet.images.collection import as_images

    n_listed, left_out = len({*paths, *(illustrations or ())}), LeftOut()
    with contextlib.ExitStack() as stack:
        # The page needs the feature maps of an image several times, but the image
        # should go through the network only once.
        memory = args.memory or stack.enter_context(temporary_folder())
        model = load_classifier(args, memory)
        labels = _labels(model, folders, args)
        left_out.add(header_errors(as_images(paths)).values())
        good = left_out.others(paths)
        if not good:
            raise CommandError(f"no image in {args.images} can be used")
        paths, labels, folders = (
            [values[i] for i in good] for values in (paths, labels, folders)
        )
        is_training = _are_training_images(model, paths, folders, args)
        test = [i for i, learned in enumerate(is_training) if not learned]
        if not test:
            raise CommandError(
                f"{args.model} learned from all {len(paths)} images in "
                f"{args.images}, so there is none to test it on: name a folder with "
                "other images, or fit with a --test-fraction above 0"
            )
        if illustrations is None:
            pairs = zip(paths, is_training, strict=True)
            illustrations = [path for path, learned in pairs if learned]
        if not illustrations:
            illustrations = [paths[i] for i in test]
            note(
                args,
                f"There is no training image in {args.images}: test images illustrate "
                "the parts. Name others with --train.",
            )
        X_test, y_test = [paths[i] for i in test], [labels[i] for i in test]
        _leave_out(model, [*illustrations, *X_test], left_out)
        good = left_out.others(X_test)
        illustrations = [illustrations[i] for i in left_out.others(illustrations)]
        if not good or not illustrations:
            which = "illustrate the parts" if good else "test the model"
            raise CommandError(f"none of the images that {which} can be used")
        X_test, y_test = [X_test[i] for i in good], [y_test[i] for i in good]
        _write(args, model, illustrations, X_test, y_test, left_out)
    return left_out.status(n_listed)


def _leave_out(model: Any, paths: Sequence[str], left_out: LeftOut) -> None:
    """Compute the maps of images, which `memory` keeps, and leave out the others."""
    from skdpnet.images import ImageError
    from skdpnet.images.collection import as_images

    images = as_images(list(dict.fromkeys(paths))).skipping()
    try:
        for _ in model.iter_maps(images):
            pass
    except ImageError as error:
        left_out.add(error.errors)
    left_out.add(images.left_out or ())


def _labels(model: Any, names: Sequence[str], args: argparse.Namespace) -> list[Any]:
    """Convert names of class folders to labels of the model."""
    labels = {}
    for name in dict.fromkeys(names):
        try:
            labels[name] = label_of(model, name)
        except ValueError as error:
            raise CommandError(
                f"{os.path.join(args.images, name)} is not the folder of a class "
                f"of {args.model}: {error}"
            ) from error
    return [labels[name] for name in names]


def _are_training_images(
    model: Any, paths: Sequence[str], names: Sequence[str], args: argparse.Namespace
) -> list[bool]:
    """Return for each image whether the model learned from it, by its content."""
    notes = getattr(model, "notes_", {})
    if "training_digests" not in notes:
        note(
            args,
            f"{args.model} does not say which images it learned from: all images in "
            f"{args.images} are taken for test images.",
        )
    learned = set(notes.get("training_digests", ()))
    digests = fingerprints(paths)
    warn_of_copies(paths, names, digests)
    return [digest in learned for digest in digests]


def _write(
    args: argparse.Namespace,
    model: Any,
    X_train: list[str],
    X_test: list[str],
    labels: list[Any],
    left_out: LeftOut,
) -> None:
    """Write the page, and print the accuracy."""
    import numpy as np

    from skdpnet.reporting import report

    y_test = np.array(labels, dtype=model.classes_.dtype)
    accuracy = float((model.predict(X_test) == y_test).mean())
    path = report(
        model,
        X_train,
        X_test,
        y_test,
        args.output,
        title=os.path.basename(args.model) if args.title is None else args.title,
        verbose=int(shows_progress(args)),
    )
    n_bytes = os.path.getsize(path)
    document = {
        "path": os.fspath(path),
        "accuracy": accuracy,
        "n_test": len(X_test),
        "bytes": n_bytes,
        "left_out": left_out.paths,
    }
    lines = [
        f"Accuracy on {len(X_test)} test images: {accuracy:.1%}",
        f"Report: {document['path']} ({n_bytes / 1e6:.1f} MB)",
    ]
    show(args, document, lines)
