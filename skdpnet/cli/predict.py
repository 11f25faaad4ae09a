"""``predict``: the classes of images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import load_classifier, show
from skdpnet.cli.left_out import LeftOut
from skdpnet.cli.options import add_command, add_common_options, whole_number

__all__ = ["add_parser", "check_no_folder"]

_DETAILS = """\
Prints a line for each image, with fields separated by tabs: path, class,
probability and, with --top N, the next classes and their probabilities.

Images that cannot be used are left out and named on standard error, all at
once; the exit status is then 1.

Write -- before names that begin with a dash, or write them as ./-name.jpg.

--json: a list of {path, class, probability, top}; top is a list of N
{class, probability}, the most probable class first.
"""
_EXAMPLES = """\
predict flowers.skdpnet holiday/*.jpg
predict flowers.skdpnet holiday/*.jpg --top 3 --json
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the program's parser.

    Parameters
    ----------
    commands : argparse._SubParsersAction
        The result of `ArgumentParser.add_subparsers`.
    """
    parser = add_command(
        commands, "predict", "predict the classes of images", _DETAILS, _EXAMPLES
    )
    parser.add_argument("model", metavar="MODEL", help="model file that `fit` wrote")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image files")
    parser.add_argument(
        "--top",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="print the N most probable classes (default: 1)",
    )
    add_common_options(parser)
    parser.set_defaults(run=_run)


def check_no_folder(paths: Sequence[str]) -> None:
    """Check that no path is a folder.

    Parameters
    ----------
    paths : sequence of str

    Raises
    ------
    CommandError
    """
    for path in paths:
        if os.path.isdir(path):
            raise CommandError(
                f"{path} is a folder: name the images in it, such as "
                f"{os.path.join(path, '*')}"
            )


def _run(args: argparse.Namespace) -> int:
    check_no_folder(args.images)
    from skdpnet.images.collection import as_images

    left_out = LeftOut()
    images = as_images(args.images).skipping()
    images = images.checked()  # before the model is loaded
    model = load_classifier(args, args.memory)
    labels = model.classes_.tolist()
    probabilities = model.predict_proba(images)
    left_out.add(images.left_out or ())
    paths = [args.images[i] for i in left_out.others(args.images)]
    document: list[dict[str, Any]] = []
    for path, row in zip(paths, probabilities, strict=True):
        top = [
            {"class": labels[c], "probability": float(row[c])}
            for c in (-row).argsort(kind="stable")[: args.top]
        ]
        document.append({"path": path, **top[0], "top": top})
    show(args, document, map(_line, document))
    return left_out.status(len(args.images))


def _line(prediction: dict[str, Any]) -> str:
    fields = [prediction["path"]]
    for row in prediction["top"]:
        fields += [str(row["class"]), f"{row['probability']:.3f}"]
    return "\t".join(fields)
