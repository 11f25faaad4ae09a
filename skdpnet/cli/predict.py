"""``predict``: the classes of images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import load_classifier, show
from skdpnet.cli.options import add_command, add_common_options, whole_number

__all__ = ["add_parser", "check_images"]

_DETAILS = """\
Prints a line for each image, with fields separated by tabs: path, class,
probability and, with --top N, the next classes and their probabilities:

  python -m skdpnet predict flowers.skdpnet holiday/*.jpg

Write -- before names that begin with a dash, or write them as ./-name.jpg.

--json: a list of {path, class, probability, top}; top is a list of N
{class, probability}, the most probable class first.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the program's parser.

    Parameters
    ----------
    commands : argparse._SubParsersAction
        The result of `ArgumentParser.add_subparsers`.
    """
    parser = add_command(commands, "predict", "predict the classes of images", _DETAILS)
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


def check_images(paths: Sequence[str]) -> None:
    """Check that files exist and have the header of an image, before a model is loaded.

    Parameters
    ----------
    paths : sequence of str

    Raises
    ------
    CommandError
        If a path is a folder.
    skdpnet.images.ImageError
        If there is no such file, or it is not an image.
    """
    for path in paths:
        if os.path.isdir(path):
            raise CommandError(
                f"{path} is a folder: name the images in it, such as "
                f"{os.path.join(path, '*')}"
            )
    from skdpnet.images.collection import as_images

    as_images(paths).check()


def _run(args: argparse.Namespace) -> None:
    check_images(args.images)
    model = load_classifier(args, args.memory)
    labels = model.classes_.tolist()
    probabilities = model.predict_proba(args.images)
    document: list[dict[str, Any]] = []
    for path, row in zip(args.images, probabilities, strict=True):
        top = [
            {"class": labels[c], "probability": float(row[c])}
            for c in (-row).argsort(kind="stable")[: args.top]
        ]
        document.append({"path": path, **top[0], "top": top})
    show(args, document, map(_line, document))


def _line(prediction: dict[str, Any]) -> str:
    fields = [prediction["path"]]
    for row in prediction["top"]:
        fields += [str(row["class"]), f"{row['probability']:.3f}"]
    return "\t".join(fields)
