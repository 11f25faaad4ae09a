"""Input and output of the commands: models, class folders, output files, results."""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skdpnet.cli.errors import CommandError
from skdpnet.cli.options import program_name
from skdpnet.storage.atomic_write import replace_file, target_file
from skdpnet.utils.optional import import_optional

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "check_output",
    "command_line",
    "counted",
    "draw_without_screen",
    "fingerprints",
    "label_of",
    "list_classes",
    "load_classifier",
    "note",
    "save_figure",
    "show",
    "shows_progress",
]

# Names, in lower case, of folders that hold subsets of a data set.
_TRAINING_SETS = {"train", "training"}
_SUBSETS = _TRAINING_SETS | {"val", "valid", "validation", "test", "testing"}


def note(args: argparse.Namespace, text: str) -> None:
    """Print a note on standard error, unless the option ``--quiet`` is set.

    Parameters
    ----------
    args : argparse.Namespace
        Its attribute `quiet` is used.
    text : str
    """
    if not args.quiet:
        print(text, file=sys.stderr, flush=True)


def shows_progress(args: argparse.Namespace) -> bool:
    """Return whether there are progress bars: not in files, and not where unwanted.

    Parameters
    ----------
    args : argparse.Namespace
        Its attribute `quiet` is used, if it has one.
    """
    return sys.stderr.isatty() and not getattr(args, "quiet", False)


def counted(n: int, noun: str) -> str:
    """Write a number with its noun, which has an s for any other number than 1."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def command_line(args: argparse.Namespace, *words: str) -> str:
    """Write a command that continues this one, ready to be copied.

    Parameters
    ----------
    args : argparse.Namespace
        The device and the cache of its command are those of the next one.
    *words : str
        The command and its arguments.

    Returns
    -------
    str
        Quoted for the shell.
    """
    options = []
    if args.memory is not None:
        options += ["--memory", args.memory]
    if args.device != "auto":
        options += ["--device", args.device]
    return f"{program_name()} {shlex.join([*words, *options])}"


def show(args: argparse.Namespace, document: Any, lines: Iterable[str]) -> None:
    """Print a result on standard output, as JSON or as text.

    Parameters
    ----------
    args : argparse.Namespace
        Its attribute `json` is used.
    document : JSON value
        The result.
    lines : iterable of str
        The same result as text.
    """
    if args.json:
        lines = [json.dumps(document, indent=2, allow_nan=False)]
    for line in lines:
        print(line)


def check_output(path: str) -> None:
    """Check that a file can be written, before its content is computed.

    Parameters
    ----------
    path : str

    Raises
    ------
    CommandError
        If the path is a folder, a pipe or a device, or its folder is missing or cannot
        be written to.
    """
    folder = os.path.dirname(path) or os.curdir
    if os.path.isdir(path):
        raise CommandError(f"{path} is a folder: name a file in it")
    if os.path.exists(path) and not os.path.isfile(path):
        raise CommandError(f"{path} is a pipe or a device: name a file")
    if not os.path.isdir(folder):
        raise CommandError(
            f"there is no folder {folder} to write {os.path.basename(path)} to: create "
            "it first"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(
            f"the folder {folder} cannot be written to: choose another, or change its "
            "permissions"
        )


def draw_without_screen() -> None:
    """Let matplotlib draw to files, also where there is no screen.

    Raises
    ------
    skdpnet.exceptions.MissingPackageError
        If matplotlib is not installed.
    """
    import_optional("matplotlib", "drawing a figure", "matplotlib").use("agg")


def save_figure(figure: Figure, path: str | Path, dpi: float | str = "figure") -> None:
    """Write a figure as a whole or not at all.

    Parameters
    ----------
    figure : matplotlib Figure
    path : str or Path
        Its suffix sets the format.
    dpi : float or "figure"
        Resolution.

    Raises
    ------
    OSError
        If writing fails.
    """
    content = io.BytesIO()
    suffix = os.path.splitext(path)[1]
    figure.savefig(content, format=suffix[1:].lower(), dpi=dpi)
    replace_file(target_file(path), content.getvalue())


def list_classes(
    folder: str, *, may_be_empty: bool = False
) -> tuple[list[str], list[str]]:
    """List the images of a folder that has a sub-folder for each class.

    Parameters
    ----------
    folder : str
    may_be_empty : bool, default=False
        Whether some class folders may have no image.

    Returns
    -------
    paths : list of str
        Paths of the images.
    labels : list of str
        Name of the class folder of each image.

    Raises
    ------
    CommandError
        If there is no such folder, or its sub-folders seem to be subsets instead of
        classes.
    ValueError, OSError
        As `skdpnet.datasets.load_image_folder`.
    """
    from skdpnet.datasets import load_image_folder
    from skdpnet.datasets._image_folder import class_folders

    if not os.path.exists(folder):
        raise CommandError(
            f"there is no folder {folder}; relative paths start at the working "
            f"directory {os.getcwd()}"
        )
    if not os.path.isdir(folder):
        raise CommandError(
            f"{folder} is not a folder: name the folder that holds the class folders"
        )
    names = list(class_folders(folder)) if may_be_empty else None
    paths, y, names = load_image_folder(folder, names=names)
    if {name.lower() for name in names} <= _SUBSETS:
        training_sets = [name for name in names if name.lower() in _TRAINING_SETS]
        example = os.path.join(folder, [*training_sets, *names][0])
        raise CommandError(
            f"the folders in {folder} ({', '.join(names)}) seem to be subsets of "
            f"the images, not classes: name one of them, such as {example}"
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
    skdpnet.images.ImageError
        If a file cannot be read, or is far longer than its image needs.
    """
    from skdpnet.images.collection import as_images

    images = as_images(paths)
    return [images.content_key(i) for i in range(len(images))]


def load_classifier(args: argparse.Namespace, memory: str | Path | None) -> Any:
    """Load the model ``args.model``, which must be a classifier of images.

    Parameters
    ----------
    args : argparse.Namespace
        Its attributes `model`, `device` and `quiet` are used.
    memory : str, path or None
        Folder that stores feature maps.

    Returns
    -------
    PartClassifier

    Raises
    ------
    CommandError
        If it is no classifier with parts, or was fitted on precomputed features or on
        an indicator matrix.
    OSError, ValueError
        As `skdpnet.load`.
    """
    import skdpnet
    from skdpnet.base.part_classifier import PartClassifier

    model = skdpnet.load(args.model, memory=memory, device=args.device)
    if not isinstance(model, PartClassifier):
        raise CommandError(
            f"{args.model} holds a {type(model).__name__}, which predicts no classes: "
            "name a file that `fit` wrote or a classifier with parts saved"
        )
    if model.multilabel_:
        raise CommandError(
            f"the model in {args.model} predicts several classes of an image, or none, "
            "and the commands are for one class of each image: use skdpnet.load and "
            "predict in Python"
        )
    if model.is_precomputed:
        raise CommandError(
            f"the model in {args.model} was fitted on features, not on images: name "
            "a model that was fitted on images"
        )
    return model.set_params(verbose=int(shows_progress(args)))


def label_of(model: Any, name: str) -> Any:
    """Find the class that a text on the command line or a folder's name stands for.

    Parameters
    ----------
    model : PartClassifier
    name : str

    Returns
    -------
    label
        An element of ``model.classes_``; a model that was not fitted by the command
        `fit` may have numbers for labels.

    Raises
    ------
    ValueError
        If there is no such class; the message suggests similar ones.
    """
    from skdpnet.utils.validation import class_number

    labels = {str(label): label for label in model.classes_.tolist()}
    if name in labels:
        return labels[name]
    return model.classes_.tolist()[class_number(model.classes_, name)]
