"""``fit``: learn a model from class folders, and measure it on held-out images."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skdpnet import __version__
from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import (
    check_output,
    command_line,
    counted,
    note,
    show,
    shows_progress,
)
from skdpnet.cli.left_out import LeftOut
from skdpnet.cli.methods import FITTED, METHODS, check_settings, fitted_method
from skdpnet.cli.options import (
    add_command,
    add_common_options,
    add_folder_option,
    add_learning_options,
    weight,
    whole_number,
)
from skdpnet.cli.split import Split, check_classes, read_split

if TYPE_CHECKING:
    import numpy as np

__all__ = ["add_parser"]

_DETAILS = """\
DIR holds a folder for each class; the folder's name is the name of the class.

By default a fifth of the images of each class is held out, and the accuracy is
measured on them. The model stores digests of the images that it learned from,
so that `report` recognises them even if they are renamed.

Notes on what is being done, and the commands to go on with, are written to
standard error; progress bars appear in a terminal alone.

Images that cannot be used are left out and named on standard error, all at
once; the exit status is then 1.

--json: {model, method, classes, n_train, n_test, accuracy, seconds, left_out};
accuracy is a share, or null if no image is held out; seconds is the time for
learning, including feature maps; left_out is a list of paths.
"""
_EXAMPLES = """\
fit flowers/ -o flowers.skdpnet
fit flowers/ -o tree.skdpnet --method prototree
fit flowers/ -o all.skdpnet --test-fraction 0 --memory maps
"""
# Options that only the estimators with these parameters have.
_PENALTIES = {
    "orthogonality": "orthogonality_weight",
    "assignment": "assignment_weight",
    "specificity": "specificity_weight",
}
_WITH_PENALTIES = ("dpnet",)


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command to the program's parser.

    Parameters
    ----------
    commands : argparse._SubParsersAction
        The result of `ArgumentParser.add_subparsers`.
    """
    parser = add_command(
        commands, "fit", "learn a model from folders of images", _DETAILS, _EXAMPLES
    )
    add_folder_option(parser)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=os.path.expanduser,
        metavar="MODEL",
        help="file for the model",
    )
    parser.add_argument(
        "--method",
        type=fitted_method,
        choices=FITTED,
        default="dpnet",
        metavar="NAME",
        help=f"how to learn: {', '.join(FITTED[:-1])} or {FITTED[-1]} (default: dpnet)",
    )
    add_learning_options(parser, may_learn_all=True)
    parser.add_argument(
        "--parts-per-class",
        type=whole_number(1),
        metavar="N",
        help="number of parts of each class, for dpnet (default: 12), protopnet and "
        "protopshare (10)",
    )
    for name, target, default in [
        ("orthogonality", "similarities between parts", 0),
        ("assignment", "ambiguous assignments of regions to parts", 0),
        ("specificity", "the use of other classes' parts", 0.1),
    ]:
        parser.add_argument(
            f"--{name}",
            type=weight,
            metavar="WEIGHT",
            help=f"weight of dpnet's penalty on {target} (default: {default})",
        )
    add_common_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    check_output(args.output)
    method = METHODS[args.method]
    parameters = _parameters(args)
    left_out = LeftOut()
    split = read_split(args, left_out)
    paths, y, train, test = split.paths, split.y, split.train, split.test
    model = method.make(
        1,
        image_size=args.image_size,
        backbone=args.backbone,
        weights=args.weights,
        framing=args.framing,
        memory=args.memory,
        device=args.device,
        verbose=int(shows_progress(args)),
        random_state=args.seed,
        **parameters,
    )
    check_settings(model, method.parts, [paths[i] for i in train])
    from skdpnet.utils.devices import resolve_device

    note(
        args,
        f"Computing maps with {args.backbone} on {resolve_device(args.device)}, then "
        f"learning parts ({method.title}).",
    )
    seconds = -time.perf_counter()
    train = _fit(model, paths, y, train, left_out)
    seconds += time.perf_counter()
    # Whether there are progress bars concerns this run, not the saved model.
    verbose = model.verbose
    model.set_params(verbose=0)
    model.notes_ = {
        "training_digests": sorted(set(split.digests[train].tolist())),
        "test_fraction": args.test_fraction,
        "seed": args.seed,
        "skdpnet_version": __version__,
    }
    model.save(args.output)
    model.set_params(verbose=verbose)
    accuracy, n_test = None, len(test)
    if n_test:
        note(args, f"Measuring the accuracy on {counted(n_test, 'held-out image')}.")
        accuracy, n_test = _accuracy(
            model, [paths[i] for i in test], y[test], args.output, left_out
        )
    document = {
        "model": args.output,
        "method": args.method,
        "classes": model.classes_.tolist(),
        "n_train": len(train),
        "n_test": n_test,
        "accuracy": accuracy,
        "seconds": round(seconds, 3),
        "left_out": left_out.paths,
    }
    show(args, document, _lines(document))
    if not args.json:
        _say_what_is_next(args, split, left_out)
    return left_out.status(split.n_listed)


def _parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of those options that not all methods have."""
    parameters = {}
    parts = METHODS[args.method].parts
    if args.parts_per_class is not None:
        if parts is None:
            able = [name for name in FITTED if METHODS[name].parts]
            raise _no_such_option(args, "parts-per-class", able)
        parameters[parts] = args.parts_per_class
    for option, parameter in _PENALTIES.items():
        value = getattr(args, option)
        if value is None:
            continue
        if args.method not in _WITH_PENALTIES:
            raise _no_such_option(args, option, _WITH_PENALTIES)
        parameters[parameter] = value
    return parameters


def _no_such_option(
    args: argparse.Namespace, option: str, able: Sequence[str]
) -> CommandError:
    return CommandError(
        f"--method {args.method} has no --{option}, which is of {', '.join(able)}: "
        "leave it out, or name another method"
    )


def _say_what_is_next(
    args: argparse.Namespace, split: Split, left_out: LeftOut
) -> None:
    """Write the commands that can follow, about a held-out image if there is one."""
    chosen = split.test if len(split.test) else split.train
    paths = [split.paths[i] for i in chosen]
    example = paths[left_out.others(paths)[0]]
    page = os.path.splitext(args.output)[0] + ".html"
    commands = [
        ("explain", args.output, example, "-o", "why.png"),
        ("predict", args.output, example),
    ]
    if len(split.test):
        commands.insert(0, ("report", args.output, args.images, "-o", page))
    lines = (f"  {command_line(args, *words)}" for words in commands)
    note(args, "\n".join(["Next:", *lines]))


def _lines(document: dict[str, Any]) -> list[str]:
    accuracy = document["accuracy"]
    measured = (
        "Accuracy not measured: no image was held out."
        if accuracy is None
        else f"Accuracy on {document['n_test']} held-out images: {accuracy:.1%}"
    )
    return [
        f"Learned {len(document['classes'])} classes from {document['n_train']} "
        f"images in {document['seconds']:.0f} s.",
        measured,
        f"Model: {document['model']}",
    ]


def _fit(
    model: Any,
    paths: Sequence[str],
    y: np.ndarray,
    train: np.ndarray,
    left_out: LeftOut,
) -> np.ndarray:
    """Fit on those training images that can be decoded, and return their positions."""
    from skdpnet.images import ImageError

    try:
        model.fit([paths[i] for i in train], y[train])
        return train
    except ImageError as error:
        left_out.add(error.errors)
    # The error names all bad images, so that nothing but good ones remain.
    good = train[left_out.others([paths[i] for i in train])]
    check_classes(y[train].tolist(), y[good].tolist())
    model.fit([paths[i] for i in good], y[good])
    return good


def _accuracy(
    model: Any,
    paths: Sequence[str],
    y: np.ndarray,
    saved: str,
    left_out: LeftOut,
) -> tuple[float, int]:
    """Measure the accuracy of a model that is already saved in a file.

    Returns
    -------
    accuracy : float
    n : int
        Number of images on which it was measured.
    """
    from skdpnet.images import ImageError
    from skdpnet.images.collection import as_images

    images = as_images(paths).skipping()
    try:
        predicted = model.predict(images)
    except ImageError as error:
        left_out.add(error.errors)
        raise CommandError(
            f"the model is saved in {saved}, but its accuracy cannot be measured: no "
            "image that was held out can be used"
        ) from error
    left_out.add(images.left_out or ())
    good = left_out.others(paths)
    return float((predicted == y[good]).mean()), len(good)
