"""``predict``: the classes of images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import load_classifier, show
from skdpnet.cli.options import add_command, add_common_options, whole

__all__ = ["add_parser", "check_images"]

_DETAILS = """\
One line an image, its fields separated by tabs: path, class, probability, and with
--top N the classes and probabilities that follow:

  python -m skdpnet predict flowers.skdpnet holiday/*.jpg

Names that begin with a dash go after a lone --, or are written ./-name.jpg.

--json: a list of {path, class, probability, top}; top is a list of N
{class, probability}, the most probable first.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command.

    Parameters
    ----------
    commands : what `ArgumentParser.add_subparsers` gave
    """
    parser = add_command(commands, "predict", "name the classes of images", _DETAILS)
    parser.add_argument("model", metavar="MODEL", help="file that `fit` wrote")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image files")
    parser.add_argument(
        "--top",
        type=whole(1),
        default=1,
        metavar="N",
        help="name the N most probable classes (default: 1)",
    )
    add_common_options(parser)
    parser.set_defaults(run=_run)


def check_images(paths: Sequence[str]) -> None:
    """Check that files are there and begin like images, before a model is loaded.

    Parameters
    ----------
    paths : sequence of str

    Raises
    ------
    CommandError, skdpnet.images.ImageError
    """
    for path in paths:
        if os.path.isdir(path):
            raise CommandError(
                f"{path} is a folder: name the images in it, {os.path.join(path, '*')}"
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


def _line(found: dict[str, Any]) -> str:
    fields = [found["path"]]
    for one in found["top"]:
        fields += [str(one["class"]), f"{one['probability']:.3f}"]
    return "\t".join(fields)
