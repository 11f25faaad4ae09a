"""``compare``: several methods on the same images, on one page."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skdpnet.cli.errors import CommandError
from skdpnet.cli.io import check_output, counted, note, show, shows_progress
from skdpnet.cli.left_out import LeftOut
from skdpnet.cli.methods import METHODS, part_strides
from skdpnet.cli.options import (
    add_command,
    add_common_options,
    add_folder_option,
    add_learning_options,
)
from skdpnet.cli.split import Split, check_classes, read_split
from skdpnet.storage.temporary_files import temporary_folder

if TYPE_CHECKING:
    from skdpnet.reporting.compared import Compared

__all__ = ["add_parser"]

# What is always there to compare with.
_ALWAYS = ("global", "global-maps")
_DEFAULT = ("dpnet", "protopnet", "two-stage")
_SHOWN = 6
_DETAILS = """\
DIR holds a folder for each class, as for `fit`. All methods learn from the same
images, with their default settings, and are tested on the same held-out ones.
Feature maps are computed once. The page has a table with the accuracies, their
intervals and differences, and held-out images with each method's strongest
part. The global descriptors, which have no parts, are always in the table.

Images that cannot be used are left out and named on standard error, all at
once; the exit status is then 1.

--json: {path, classes, n_train, n_test, seed, maps_seconds, methods, left_out};
methods is a list of {name, method, accuracy, interval, seconds, parts,
parts_in_decision, is_best, difference, difference_interval}; differences are
from the best, image by image; intervals are of 95%; all are shares.
"""
_EXAMPLES = """\
compare flowers/ -o compare.html
compare flowers/ --memory maps --methods dpnet prototree
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
        "compare",
        "compare methods on the same images, on one page",
        _DETAILS,
        _EXAMPLES,
    )
    add_folder_option(parser)
    parser.add_argument(
        "-o",
        "--output",
        default="compare.html",
        type=os.path.expanduser,
        metavar="FILE",
        help="file for the page (default: compare.html)",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        default=_DEFAULT,
        metavar="NAME",
        help=f"methods, named after DIR: {', '.join(METHODS)} (default: "
        f"{' '.join(_DEFAULT)}); {' and '.join(_ALWAYS)} are added",
    )
    add_learning_options(parser, may_learn_all=False)
    add_common_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    check_output(args.output)
    if args.test_fraction == 0:
        raise CommandError("--test-fraction must be above 0: methods need a test")
    names = list(dict.fromkeys([*args.methods, *_ALWAYS]))
    left_out = LeftOut()
    split = read_split(args, left_out)
    with contextlib.ExitStack() as stack:
        memory = args.memory or stack.enter_context(temporary_folder())
        parameters = {
            "backbone": args.backbone,
            "weights": args.weights,
            "image_size": args.image_size,
            "framing": args.framing,
            "memory": memory,
            "device": args.device,
        }
        maps_seconds = -time.perf_counter()
        train, test = _compute_maps(args, split, parameters, left_out)
        maps_seconds += time.perf_counter()
        compared = _fit_all(args, names, split, train, test, parameters)
        _write(args, names, compared, split, train, test, maps_seconds, left_out)
    return left_out.status(split.n_listed)


def _compute_maps(
    args: argparse.Namespace,
    split: Split,
    parameters: dict[str, Any],
    left_out: LeftOut,
) -> tuple[list[int], list[int]]:
    """Compute and keep the maps of all images; return those that can be used.

    Returns
    -------
    train, test : lists of int
        Positions among the images of the split.
    """
    from skdpnet import FeatureMaps
    from skdpnet.images import ImageError
    from skdpnet.images.collection import as_images
    from skdpnet.utils.devices import resolve_device

    device = resolve_device(args.device)
    note(args, f"Computing feature maps with {args.backbone} on {device}.")
    # The network's last map, and the maps of the methods with parts.
    for strides in (None, part_strides()):
        maps = FeatureMaps(
            strides=strides, verbose=int(shows_progress(args)), **parameters
        )
        paths = [split.paths[i] for i in left_out.others(split.paths)]
        images = as_images(paths).skipping()
        try:
            for _ in maps.iter_maps(images):
                pass
        except ImageError as error:
            left_out.add(error.errors)
        left_out.add(images.left_out or ())
    good = set(left_out.others(split.paths))
    train, test = (
        [i for i in numbers.tolist() if i in good]
        for numbers in (split.train, split.test)
    )
    check_classes(split.y[split.train].tolist(), split.y[train].tolist())
    if not test:
        raise CommandError("no image that was held out can be used")
    return train, test


def _fit_all(
    args: argparse.Namespace,
    names: Sequence[str],
    split: Split,
    train: list[int],
    test: list[int],
    parameters: dict[str, Any],
) -> list[Compared]:
    """Fit each method on the training images, and measure it on the held-out ones."""
    import numpy as np

    from skdpnet.images.collection import as_images
    from skdpnet.reporting.compared import measure

    X, y = [split.paths[i] for i in train], split.y[train]
    X_test, y_test = as_images([split.paths[i] for i in test]), split.y[test]
    n_smallest = int(np.unique(y, return_counts=True)[1].min())
    verbose = int(shows_progress(args))
    compared = []
    for number, name in enumerate(names, 1):
        method = METHODS[name]
        note(args, f"Learning with {method.title} ({number} of {len(names)}).")
        model = method.make(
            n_smallest, random_state=args.seed, verbose=verbose, **parameters
        )
        seconds = -time.perf_counter()
        model.fit(X, y)
        seconds += time.perf_counter()
        compared.append(
            measure(
                method.title,
                model,
                X_test,
                y_test,
                seconds=seconds,
                has_parts=method.has_parts,
                shown=_shown(y_test),
                verbose=verbose,
            )
        )
    return compared


def _shown(y_test: Any) -> list[int]:
    """Return the first held-out image of each of the first classes."""
    import numpy as np

    _, first = np.unique(y_test, return_index=True)
    return first[:_SHOWN].tolist()


def _write(
    args: argparse.Namespace,
    names: Sequence[str],
    compared: Sequence[Compared],
    split: Split,
    train: list[int],
    test: list[int],
    maps_seconds: float,
    left_out: LeftOut,
) -> None:
    """Write the page, and print the table."""
    from skdpnet.images.collection import as_images
    from skdpnet.reporting.comparison import comparison_rows, write_comparison

    paths, y_test = [split.paths[i] for i in test], split.y[test]
    classes = sorted(set(split.y.tolist()))
    folder = os.path.basename(os.path.abspath(args.images))
    facts = [
        ("Classes", str(len(classes)), f"folders of {folder}"),
        ("Images to learn from", str(len(train)), f"{len(test)} held out for testing"),
        ("Feature maps", f"{maps_seconds:.0f} s", "once, for all methods"),
    ]
    sentence = (
        f"All methods learn from the same {counted(len(train), 'image')} and are "
        f"tested on the same {len(test)}: {args.test_fraction:.0%} of the images of "
        f"each class, drawn with the seed {args.seed}. All see feature maps of the "
        f"frozen network {args.backbone}."
    )
    write_comparison(
        args.output,
        compared,
        as_images(paths),
        y_test,
        shown=_shown(y_test),
        names=[os.path.basename(path) for path in paths],
        title=f"Methods compared on {folder}",
        facts=facts,
        split=sentence,
        verbose=int(shows_progress(args)),
    )
    rows = comparison_rows(compared)
    document = {
        "path": args.output,
        "classes": classes,
        "n_train": len(train),
        "n_test": len(test),
        "seed": args.seed,
        "maps_seconds": round(maps_seconds, 3),
        "methods": [
            {"name": name, **row, "seconds": round(row["seconds"], 3)}
            for name, row in zip(names, rows, strict=True)
        ],
        "left_out": left_out.paths,
    }
    show(args, document, [sentence, *_lines(rows), f"Page: {args.output}"])


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    width = max(len(row["method"]) for row in rows)
    lines = []
    for row in rows:
        low, high = (f"{100 * share:.1f}" for share in row["interval"])
        line = f"{row['method']:{width}}  {row['accuracy']:6.1%}  ({low} to {high})"
        if row["is_best"]:
            line += "  best"
        else:
            low, high = (f"{100 * share:+.1f}" for share in row["difference_interval"])
            line += f"  {100 * row['difference']:+.1f} ({low} to {high})"
        lines.append(line)
    return lines
