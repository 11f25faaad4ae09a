"""What commands read and write: models, class folders, output files, results."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from skdpnet.cli.errors import CommandError
from skdpnet.images.digest import digest_of_file

__all__ = [
    "check_output",
    "fingerprints",
    "label_of",
    "list_classes",
    "load_classifier",
    "note",
    "show",
]

_LEARNED = {"train", "training"}
_SETS = _LEARNED | {"val", "valid", "validation", "test", "testing"}


def note(args: argparse.Namespace, text: str) -> None:
    """Tell what is going on, on standard error, unless that is not wanted.

    Parameters
    ----------
    args : argparse.Namespace
    text : str
    """
    if not args.quiet:
        print(text, file=sys.stderr, flush=True)


def show(args: argparse.Namespace, document: Any, lines: Iterable[str]) -> None:
    """Print the result: as JSON or as text.

    Parameters
    ----------
    args : argparse.Namespace
    document : JSON value
    lines : iterable of str
        The text.
    """
    if args.json:
        lines = [json.dumps(document, indent=2, allow_nan=False)]
    for line in lines:
        print(line)


def check_output(path: str) -> None:
    """Check that a file can be written, before the work that it is for.

    Parameters
    ----------
    path : str

    Raises
    ------
    CommandError
    """
    folder = os.path.dirname(path) or os.curdir
    if os.path.isdir(path):
        raise CommandError(f"{path} is a folder: name a file in it to write to")
    if not os.path.isdir(folder):
        raise CommandError(
            f"there is no folder {folder} to write {os.path.basename(path)} in: make "
            "it first"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(
            f"the folder {folder} cannot be written to: choose another, or change its "
            "permissions"
        )


def list_classes(folder: str) -> tuple[list[str], list[str]]:
    """List the images of a folder with one sub-folder a class.

    Parameters
    ----------
    folder : str

    Returns
    -------
    paths : list of str
    labels : list of str
        Name of the class folder of each.

    Raises
    ------
    CommandError, ValueError, OSError
    """
    from skdpnet.datasets import load_image_folder

    if not os.path.exists(folder):
        raise CommandError(
            f"there is no folder {folder}; relative paths start at the working "
            f"directory, {os.getcwd()}"
        )
    if not os.path.isdir(folder):
        raise CommandError(f"{folder} is no folder: name the one of the class folders")
    paths, y, names = load_image_folder(folder)
    if {name.lower() for name in names} <= _SETS:
        one = next((name for name in names if name.lower() in _LEARNED), names[0])
        raise CommandError(
            f"the folders in {folder} ({', '.join(names)}) seem to be sets of "
            f"images, not classes: name one of them, {os.path.join(folder, one)}"
        )
    return paths, [names[label] for label in y]


def fingerprints(paths: Sequence[str]) -> list[str]:
    """Digest image files by their content, regardless of their names and places.

    Parameters
    ----------
    paths : sequence of str

    Returns
    -------
    list of str
        As from `skdpnet.images.digest.digest_of_file`.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    return [digest_of_file(Path(path).read_bytes()) for path in paths]


def load_classifier(args: argparse.Namespace, memory: str | Path | None) -> Any:
    """Load the model ``args.model``, one that names the classes of images.

    Parameters
    ----------
    args : argparse.Namespace
        With model, device and quiet.
    memory : str, path or None
        Folder that keeps feature maps.

    Returns
    -------
    DPNetClassifier

    Raises
    ------
    CommandError
        If it is another estimator, or one of given features.
    OSError, ValueError
        As `skdpnet.load`.
    """
    import skdpnet

    model = skdpnet.load(args.model, memory=memory, device=args.device)
    if not isinstance(model, skdpnet.DPNetClassifier):
        raise CommandError(
            f"{args.model} holds a {type(model).__name__}, which names no classes: "
            "name a model that `fit` or a DPNetClassifier saved"
        )
    if model.backbone == "precomputed":
        raise CommandError(
            f"the model in {args.model} was fitted on features, not on images: name "
            "one that sees images"
        )
    return model.set_params(verbose=int(not args.quiet))


def label_of(model: Any, name: str) -> Any:
    """Find the class that a name on the command line or of a folder means.

    Parameters
    ----------
    model : DPNetClassifier
    name : str

    Returns
    -------
    label
        Of the model's own kind: a model that was not fitted by `fit` may have numbers.

    Raises
    ------
    ValueError
        If there is no such class; the message names close ones.
    """
    from skdpnet.utils.validation import class_number

    spelled = {str(label): label for label in model.classes_.tolist()}
    if name not in spelled:
        class_number(model.classes_, name)
    return spelled[name]
