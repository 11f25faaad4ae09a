"""``report``: a page that shows a model's classes, parts and decisions."""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Sequence
from typing import Any

from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import (
    check_output,
    fingerprints,
    label_of,
    list_classes,
    load_classifier,
    note,
    show,
)
from skdpnet.cli.options import add_command, add_common_options

__all__ = ["add_parser"]

_DETAILS = """\
DIR holds one folder a class, as for `fit`; folders of some of the classes will do:

  python -m skdpnet report flowers.skdpnet flowers/ -o flowers.html

The images that the model learned from are known by their content and illustrate its
parts; all others are test images, whose decisions the page shows and counts.

--json: {path, accuracy, n_test, bytes}; accuracy is a share, bytes the page's size.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command.

    Parameters
    ----------
    commands : what `ArgumentParser.add_subparsers` gave
    """
    parser = add_command(
        commands, "report", "write a page on a model and its decisions", _DETAILS
    )
    parser.add_argument("model", metavar="MODEL", help="file that `fit` wrote")
    parser.add_argument("images", metavar="DIR", help="folder with a folder a class")
    parser.add_argument(
        "-o",
        "--output",
        default="report.html",
        metavar="FILE",
        help="the page (default: report.html)",
    )
    parser.add_argument(
        "--train",
        metavar="DIR",
        help="class folders whose images illustrate the parts, instead of the "
        "training images among DIR's",
    )
    parser.add_argument(
        "--title", metavar="TEXT", help="of the page (default: the model's file name)"
    )
    add_common_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> None:
    check_output(args.output)
    paths, folders = list_classes(args.images)
    shown = None if args.train is None else list_classes(args.train)[0]
    with contextlib.ExitStack() as stack:
        # The page looks at images again and again, the network should once.
        memory = args.memory or stack.enter_context(
            tempfile.TemporaryDirectory(prefix="skdpnet-", ignore_cleanup_errors=True)
        )
        model = load_classifier(args, memory)
        labels = _labels(model, folders, args)
        learned = _learned_from(model, paths, args)
        test = [i for i, known in enumerate(learned) if not known]
        if not test:
            raise CommandError(
                f"{args.model} learned from all {len(paths)} images in "
                f"{args.images}, so there is none to test it on: name a folder with "
                "others, or fit with a --test-fraction above 0"
            )
        if shown is None:
            shown = [path for path, known in zip(paths, learned, strict=True) if known]
        if not shown:
            shown = [paths[i] for i in test]
            note(
                args,
                f"No training image in {args.images}: test images illustrate the "
                "parts; --train DIR names others.",
            )
        _write(args, model, shown, [paths[i] for i in test], [labels[i] for i in test])


def _labels(model: Any, names: Sequence[str], args: argparse.Namespace) -> list[Any]:
    """Turn names of class folders into the model's own labels."""
    found = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = label_of(model, name)
        except ValueError as error:
            raise CommandError(
                f"{os.path.join(args.images, name)} is no folder of a class of "
                f"{args.model}: {error}"
            ) from error
    return [found[name] for name in names]


def _learned_from(
    model: Any, paths: Sequence[str], args: argparse.Namespace
) -> list[bool]:
    """Tell of each image whether the model learned from it, by its content."""
    notes = getattr(model, "notes_", {})
    if "training_images" not in notes:
        note(
            args,
            f"{args.model} does not tell which images it learned from: all in "
            f"{args.images} are taken for test images.",
        )
    known = set(notes.get("training_images", ()))
    return [one in known for one in fingerprints(paths)]


def _write(
    args: argparse.Namespace,
    model: Any,
    X_train: list[str],
    X_test: list[str],
    labels: list[Any],
) -> None:
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
        verbose=int(not args.quiet),
    )
    n_bytes = os.path.getsize(path)
    document = {
        "path": os.fspath(path),
        "accuracy": accuracy,
        "n_test": len(X_test),
        "bytes": n_bytes,
    }
    lines = [
        f"Accuracy on {len(X_test)} test images: {accuracy:.1%}",
        f"Report: {document['path']} ({n_bytes / 1e6:.1f} MB)",
    ]
    show(args, document, lines)
